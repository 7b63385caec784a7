import type { Handler, HandlerItem, RunBatch } from '../../domain/handler/contract';
import { describeHandler } from './define-handler';
import { eachItem } from './each-item';
import { checkOutput } from './output';
import { toFailed } from './run-groups';

/** Output = input, the exact text. Without a promise per item, so that it shows what the engine itself can do. */
export function createEcho(): Handler {
  return {
    ...describeHandler({ name: 'echo', description: 'Answers each item with its input, untouched.' }),
    validateParams: async () => {},
    runItems: (items, batch) => eachItem(items, batch, (item) => echo(item, batch)),
  };
}

function echo(item: HandlerItem, batch: RunBatch): void {
  batch.onStart(item);
  const output = checkOutput(item.inputText);
  const { index } = item;
  batch.onOutcome(
    output.ok
      ? { index, status: 'succeeded', output: output.text, error: null, attempts: 1, durationMs: 0 }
      : toFailed(index, output.failure, { attempts: 1, startedAt: performance.now() }),
  );
}
