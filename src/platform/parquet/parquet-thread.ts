/** Entry of the thread in which one Parquet file is made: encoding takes too long for the event loop of an API. */
import { parentPort } from 'node:worker_threads';
import { ResultTable } from './table';

export type Step = { do: 'observe' | 'write'; lines: string } | { do: 'finish' };

export type StepDone = { bytes: Uint8Array } | { error: Error };

const NOTHING = new Uint8Array(0);

function serve(port: NonNullable<typeof parentPort>): void {
  const table = new ResultTable();
  const take = (step: Step): Uint8Array => {
    if (step.do === 'finish') return table.finish();
    if (step.do === 'write') return table.write(step.lines);
    table.observe(step.lines);
    return NOTHING;
  };
  port.on('message', (step: Step) => {
    try {
      const bytes = take(step);
      const done: StepDone = { bytes };
      port.postMessage(done, bytes === NOTHING ? [] : [bytes.buffer as ArrayBuffer]);
    } catch (cause) {
      const done: StepDone = { error: cause instanceof Error ? cause : new Error(String(cause)) };
      port.postMessage(done);
    }
  });
}

if (parentPort !== null) serve(parentPort);
