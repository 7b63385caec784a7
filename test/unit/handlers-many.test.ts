import { defineHandler } from '../../src/activities/handlers/define-handler';
import { ItemFailure } from '../../src/activities/handlers/failure';
import type { RetryPolicy } from '../../src/domain/batch/job';
import type { Handler } from '../../src/domain/handler/contract';
import { runAll } from '../support/handler-batch';

const THREE: RetryPolicy = {
  max_attempts: 3,
  initial_interval_ms: 1,
  backoff_coefficient: 1,
  max_interval_ms: 1,
};

describe('a handler with runMany', () => {
  const many = (runMany: (inputs: unknown[], attempt: number) => unknown, batchSize = 4): Handler =>
    defineHandler({
      name: 'many',
      description: 'd',
      batchSize,
      runMany: (items, ctx) =>
        runMany(
          items.map(({ input }) => input),
          ctx.attempt,
        ) as never,
    });

  test('gets items in groups and answers per item', async () => {
    const sizes: number[] = [];
    const handler = many((inputs) => {
      sizes.push(inputs.length);
      return inputs.map((n) => (n === 5 ? { error: new ItemFailure('odd', 'no fives') } : { output: n }));
    });
    const outcomes = await runAll(handler, [...Array(10).keys()]);
    expect(sizes.toSorted()).toEqual([2, 4, 4]);
    expect(
      outcomes
        .filter(({ status }) => status === 'succeeded')
        .map(({ output }) => output)
        .join(''),
    ).toBe('012346789');
    expect(outcomes[5]?.error).toEqual({ code: 'odd', message: 'no fives' });
  });

  test('never gets more items at once than the batch may have in flight', async () => {
    const sizes: number[] = [];
    const handler = many((inputs) => {
      sizes.push(inputs.length);
      return inputs.map(() => ({ output: 1 }));
    }, 100);
    await runAll(handler, [...Array(10).keys()], { concurrency: 3 });
    expect(Math.max(...sizes)).toBe(3);
    sizes.length = 0;
    await runAll(handler, [...Array(4).keys()], { oneByOne: true });
    expect(sizes).toEqual([1, 1, 1, 1]);
  });

  test('is asked again about the failed items only', async () => {
    const calls: unknown[][] = [];
    const handler = many((inputs, attempt) => {
      calls.push(inputs);
      return inputs.map((n) => (n === 2 && attempt < 3 ? { error: new Error('again') } : { output: n }));
    });
    const outcomes = await runAll(handler, [1, 2, 3], { options: { retry: THREE } });
    expect(calls).toEqual([[1, 2, 3], [2], [2]]);
    expect(outcomes.map(({ attempts }) => attempts)).toEqual([1, 3, 1]);
  });

  test.each<[string, (inputs: unknown[]) => unknown]>([
    ['too few answers', (inputs) => inputs.slice(1).map(() => ({ output: 1 }))],
    [
      'answers that are none',
      (inputs) => inputs.map((_, i) => (i < inputs.length - 1 ? { output: 1 } : 'x')),
    ],
  ])('that gives %s fails the items without one', async (_name, run) => {
    const outcomes = await runAll(many(run), [0, 1, 2]);
    expect(outcomes.map(({ error }) => error?.message)).toEqual([
      undefined,
      undefined,
      'The handler gave no answer for this item.',
    ]);
  });

  test('that throws fails the group it was at', async () => {
    const handler = many((inputs) => {
      if (inputs.includes(1)) throw new Error('no luck');
      return inputs.map(() => ({ output: 1 }));
    }, 2);
    const outcomes = await runAll(handler, [0, 1, 2, 3]);
    expect(outcomes.map(({ status }) => status)).toEqual(['failed', 'failed', 'succeeded', 'succeeded']);
  });
});
