import type { Handler, HandlerItem, RunBatch } from '../../domain/handler/contract';
import { describeHandler } from './define-handler';
import { itemFeed } from './item-feed';
import { checkOutput } from './output';
import { toFailed } from './run-groups';

/** Small enough that a stop is seen, and other work gets its turn, within a few milliseconds. */
const GROUP = 500;

/** Output = input, the exact text. Without a promise per item, so that it shows what the engine itself can do. */
export function createEcho(): Handler {
  return {
    ...describeHandler({ name: 'echo', description: 'Answers each item with its input, untouched.' }),
    validateParams: async () => {},
    async runItems(items, batch) {
      const feed = itemFeed(items, batch);
      const size = (): number => (batch.oneByOne ? 1 : GROUP);
      try {
        for (let group = await feed.take(size); group.length > 0; group = await feed.take(size)) {
          for (const item of group) echo(item, batch);
        }
      } finally {
        await feed.close();
      }
    },
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
