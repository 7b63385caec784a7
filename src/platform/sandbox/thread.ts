/** Entry of the evaluating thread: works through a slice, marks the input it is at and posts outcomes as it goes. */
import { parentPort, workerData } from 'node:worker_threads';
import type jsonata from 'jsonata';
import type { Evaluation } from '../../domain/handler/expression';
import { createEvaluator, type Evaluator, Refusal } from './evaluate';
import { type FromThread, MARK, type Slice, type ThreadData } from './protocol';
import { createSchemaEvaluator } from './schema-check';

/** What is not posted yet is lost with the thread and done again, so it is at most this long. */
const FLUSH_AFTER_MS = 2;

/** A copy of the library that shares no object with any other. */
function loadLibrary(): typeof jsonata {
  const file = require.resolve('jsonata');
  delete require.cache[file];
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- an import would give the one copy again
  const library = require('jsonata') as typeof jsonata;
  // Else this module would keep every copy alive.
  module.children = module.children.filter((child) => child.id !== file);
  return library;
}

function post(message: FromThread): void {
  parentPort?.postMessage(message);
}

async function work<C>(slice: Slice, evaluator: Evaluator<C>, marks: Int32Array): Promise<void> {
  const startedAt = performance.now();
  let flushedAt = startedAt;
  let from = 0;
  let outcomes: Evaluation[] = [];
  const flush = (now: number): void => {
    if (outcomes.length > 0) post({ kind: 'outcomes', id: slice.id, from, outcomes });
    from += outcomes.length;
    outcomes = [];
    flushedAt = now;
  };
  for (let index = 0; index < slice.inputs.length; index++) {
    const now = performance.now();
    if (index > 0 && now - startedAt > slice.sliceMs) break;
    if (Atomics.load(marks, MARK.stop) === slice.id) break;
    if (now - flushedAt >= FLUSH_AFTER_MS) flush(now);
    Atomics.store(marks, MARK.index, index);
    Atomics.add(marks, MARK.counter, 1);
    outcomes.push(await workAt(index, slice, evaluator));
  }
  Atomics.store(marks, MARK.index, -1);
  flush(0);
  post({ kind: 'end', id: slice.id });
}

async function workAt<C>(index: number, slice: Slice, evaluator: Evaluator<C>): Promise<Evaluation> {
  try {
    const compiled = evaluator.compile(slice.owner, slice.expression);
    if (slice.mode === 'check') return { ok: true, output: 'null', durationMs: 0 };
    return await evaluator.evaluate(compiled, slice.inputs[index] as string, slice.timeoutMs);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { ok: false, code: 'expression_failed', message: error.message, durationMs: 0 };
  }
}

function main(port: NonNullable<typeof parentPort>, data: ThreadData): void {
  const marks = new Int32Array(data.marks);
  const serve = <C>(evaluator: Evaluator<C>): void => {
    port.on('message', (slice: Slice) => void work(slice, evaluator, marks));
  };
  if (data.work === 'schemas') serve(createSchemaEvaluator());
  else {
    serve(createEvaluator(loadLibrary));
    loadLibrary();
  }
  post({ kind: 'ready' });
}

if (parentPort) main(parentPort, workerData as ThreadData);
