import { setImmediate } from 'node:timers/promises';
import { z } from 'zod';
import { defineHandler } from '../../src/activities/handlers/define-handler';
import type { ItemContext } from '../../src/activities/handlers/definition';
import { ItemFailure } from '../../src/activities/handlers/failure';
import type { Json, RetryPolicy } from '../../src/domain/batch/job';
import { AppError } from '../../src/domain/errors';
import type { Handler, HandlerItem } from '../../src/domain/handler/contract';
import { changeable, recordBatch, runAll, toItem, toItems } from '../support/handler-batch';
import { until } from '../support/wait';

const THREE: RetryPolicy = {
  max_attempts: 3,
  initial_interval_ms: 1,
  backoff_coefficient: 1,
  max_interval_ms: 1,
};

/** A handler of a bare function. */
function handlerOf(run: (input: Json, ctx: ItemContext<unknown>) => unknown): Handler {
  return defineHandler({ name: 'h', description: 'd', run: (item, ctx) => run(item.input as Json, ctx) });
}

const never = (): Promise<never> => new Promise(() => {});

describe('a handler with run', () => {
  test('gets input, custom id, idempotency key and params, and what it answers is the output', async () => {
    const handler = defineHandler({
      name: 'h',
      description: 'd',
      params: z.object({ greeting: z.string().default('hello') }),
      input: z.object({ name: z.string() }),
      run: ({ input, index, customId, idempotencyKey }, ctx) => ({
        text: `${ctx.params.greeting} ${input.name}`,
        ids: [index, customId, idempotencyKey, ctx.idempotencyKey, ctx.tenantId, ctx.jobId, ctx.attempt],
      }),
    });
    const record = recordBatch();
    await handler.runItems([{ ...toItem(7, '{"name":"Ada"}'), customId: 'a' }], record.batch);
    expect(record.outcomes).toEqual([
      {
        index: 7,
        status: 'succeeded',
        output: '{"text":"hello Ada","ids":[7,"a","job_1:7","job_1:7","tnt_1","job_1",1]}',
        error: null,
        attempts: 1,
        durationMs: expect.any(Number),
      },
    ]);
  });

  test.each<[string, (input: Json) => unknown, string, string]>([
    [
      'throws',
      () => {
        throw new Error('no luck');
      },
      'handler_failed',
      'no luck',
    ],
    [
      'rejects later',
      async () => {
        await setImmediate();
        throw new Error('no luck');
      },
      'handler_failed',
      'no luck',
    ],
    [
      'throws text',
      () => {
        // eslint-disable-next-line @typescript-eslint/only-throw-error -- what a careless handler does
        throw 'no luck';
      },
      'handler_failed',
      'The handler threw "no luck".',
    ],
    [
      'throws undefined',
      () => {
        // eslint-disable-next-line @typescript-eslint/only-throw-error -- what a careless handler does
        throw undefined;
      },
      'handler_failed',
      'The handler threw undefined.',
    ],
    [
      'throws an object without a prototype',
      () => {
        throw Object.create(null);
      },
      'handler_failed',
      'The handler threw {}.',
    ],
    [
      'throws what throws when read',
      () => {
        // eslint-disable-next-line @typescript-eslint/only-throw-error -- what a hostile handler does
        throw new Proxy(
          {},
          {
            get: () => {
              throw new Error('x');
            },
            has: () => {
              throw new Error('x');
            },
          },
        );
      },
      'handler_failed',
      'The handler threw something that cannot be read.',
    ],
    [
      'throws an AppError',
      () => {
        throw new AppError('expression_failed', 'why');
      },
      'expression_failed',
      'why',
    ],
    [
      'names its code',
      () => {
        throw new ItemFailure('no_such_address', 'why');
      },
      'no_such_address',
      'why',
    ],
    [
      'answers a BigInt',
      () => 1n,
      'output_not_storable',
      'The output is not JSON: Do not know how to serialize a BigInt',
    ],
    [
      'answers a circle',
      () => {
        const a: object[] = [];
        a.push(a);
        return a;
      },
      'output_not_storable',
      'The output is not JSON: Converting circular structure to JSON',
    ],
    [
      'answers a function',
      () => ({ f: () => 1 }),
      'output_not_storable',
      'The output is not JSON: a function has no JSON form',
    ],
    ['answers U+0000', () => 'a\u0000', 'output_not_storable', 'The output holds the character U+0000.'],
    [
      'answers a lone surrogate',
      () => ({ '\ud83d': 1 }),
      'output_not_storable',
      'The output holds a lone surrogate.',
    ],
    [
      'answers more than 1 MB',
      () => 'é'.repeat(600_000),
      'output_too_large',
      'The output is larger than 1 MB.',
    ],
  ])('that %s fails that item and no other', async (_name, misbehave, code, message) => {
    const handler = handlerOf((input) => (input === 1 ? misbehave(input) : input));
    const outcomes = await runAll(handler, [0, 1, 2]);
    expect(outcomes.map(({ output }) => output)).toEqual(['0', null, '2']);
    expect(outcomes[1]).toMatchObject({ status: 'failed', attempts: 1, error: { code, message } });
  });

  test("an error's message is cut to 1,000 characters and has no stack", async () => {
    const [outcome] = await runAll(
      handlerOf(() => {
        throw new Error('x'.repeat(5_000));
      }),
      [0],
    );
    expect(outcome?.error?.message).toBe(`${'x'.repeat(999)}…`);
    const [short] = await runAll(
      handlerOf(() => {
        throw new Error('short');
      }),
      [0],
    );
    expect(JSON.stringify(short)).not.toContain('at ');
  });

  test('undefined is the output null, and an output schema is held against what it answers', async () => {
    expect(
      (
        await runAll(
          handlerOf(() => undefined),
          [0],
        )
      )[0]?.output,
    ).toBe('null');
    const strict = defineHandler({
      name: 'h',
      description: 'd',
      output: z.object({ n: z.number() }),
      run: ({ input }) => input as { n: number },
    });
    const [good, bad] = await runAll(strict, [{ n: 1 }, { n: 'x' }]);
    expect(good?.output).toBe('{"n":1}');
    expect(bad?.error).toMatchObject({ code: 'output_invalid', message: expect.stringContaining('n: ') });
  });

  test('an input that its schema refuses fails as input_invalid and never reaches it', async () => {
    const seen: unknown[] = [];
    const handler = defineHandler({
      name: 'h',
      description: 'd',
      input: z.object({ n: z.number() }),
      run: ({ input }) => seen.push(input),
    });
    const [bad, good] = await runAll(handler, [{ n: 'x' }, { n: 2 }], { options: { retry: THREE } });
    expect(bad).toMatchObject({ status: 'failed', attempts: 1, error: { code: 'input_invalid' } });
    expect(good?.status).toBe('succeeded');
    expect(seen).toEqual([{ n: 2 }]);
  });

  test('past the item timeout its signal aborts and the item fails, even if it ignores the signal', async () => {
    const reasons: unknown[] = [];
    const handler = handlerOf((input, ctx) => {
      if (input !== 1) return input;
      ctx.signal.addEventListener('abort', () => reasons.push((ctx.signal.reason as Error).name));
      return never();
    });
    const outcomes = await runAll(handler, [0, 1, 2], { options: { item_timeout_ms: 20 } });
    expect(outcomes.map(({ error }) => error?.code)).toEqual([undefined, 'handler_timeout', undefined]);
    expect(reasons).toEqual(['TimeoutError']);
  });

  test("a rejection after the timeout is nobody's unhandled rejection", async () => {
    const unhandled: unknown[] = [];
    const listen = (reason: unknown): number => unhandled.push(reason);
    process.on('unhandledRejection', listen);
    let reject: (error: Error) => void = () => {};
    const handler = handlerOf(
      () =>
        new Promise((_, fail) => {
          reject = fail;
        }),
    );
    await runAll(handler, [0], { options: { item_timeout_ms: 5 } });
    reject(new Error('late'));
    await setImmediate();
    await setImmediate();
    process.off('unhandledRejection', listen);
    expect(unhandled).toEqual([]);
  });
});

describe('retries', () => {
  test('go on until an attempt succeeds, and the attempts are counted', async () => {
    const attempts: number[] = [];
    const handler = handlerOf((_, ctx) => {
      attempts.push(ctx.attempt);
      if (ctx.attempt < 3) throw new Error('again');
      return 'ok';
    });
    const [outcome] = await runAll(handler, [0], { options: { retry: THREE } });
    expect(outcome).toMatchObject({ status: 'succeeded', output: '"ok"', attempts: 3 });
    expect(attempts).toEqual([1, 2, 3]);
  });

  test('end with max_attempts, and the last error is the one that is told', async () => {
    const handler = handlerOf((_, ctx) => {
      throw new Error(`attempt ${ctx.attempt}`);
    });
    const [outcome] = await runAll(handler, [0], { options: { retry: THREE } });
    expect(outcome).toMatchObject({ status: 'failed', attempts: 3, error: { message: 'attempt 3' } });
  });

  test.each<[string, unknown, number]>([
    ['a plain error', new Error('x'), 3],
    ['an error that says nonRetryable', Object.assign(new Error('x'), { nonRetryable: true }), 1],
    ['an AppError that the catalogue calls final', new AppError('invalid_item', 'x'), 1],
    ['an AppError that the catalogue calls retryable', new AppError('dependency_unavailable', 'x'), 3],
    [
      'a final AppError that says otherwise',
      Object.assign(new AppError('invalid_item', 'x'), { nonRetryable: false }),
      3,
    ],
    ['an ItemFailure', new ItemFailure('some_code', 'x'), 3],
    ['an ItemFailure that is final', new ItemFailure('some_code', 'x', { retryable: false }), 1],
  ])('%s', async (_name, error, attempts) => {
    const [outcome] = await runAll(
      handlerOf(() => {
        throw error;
      }),
      [0],
      { options: { retry: THREE } },
    );
    expect(outcome?.attempts).toBe(attempts);
  });

  test('a timeout is tried again', async () => {
    const handler = handlerOf((_, ctx) => (ctx.attempt < 2 ? never() : 'ok'));
    const [outcome] = await runAll(handler, [0], { options: { retry: THREE, item_timeout_ms: 10 } });
    expect(outcome).toMatchObject({ output: '"ok"', attempts: 2 });
  });
});

describe('a batch', () => {
  test('never has more items in flight than its concurrency, and uses all of it', async () => {
    let running = 0;
    let most = 0;
    const handler = handlerOf(async () => {
      most = Math.max(most, ++running);
      await setImmediate();
      running--;
    });
    await runAll(
      handler,
      Array.from({ length: 50 }, (_, i) => i),
      { concurrency: 7 },
    );
    expect(most).toBe(7);
  });

  test('follows a concurrency that changes: up at once, down with the items that end', async () => {
    const concurrency = changeable(2);
    let running = 0;
    const release: (() => void)[] = [];
    const handler = handlerOf(async () => {
      running++;
      await new Promise<void>((resolve) => release.push(resolve));
      running--;
    });
    const ended = runAll(handler, [...Array(40).keys()], { concurrency });
    await until('two', () => running === 2);
    concurrency.set(5);
    await until('five', () => running === 5);
    concurrency.set(1);
    // The five end, and from then on there is never more than one.
    for (const go of release.splice(0)) go();
    await until('one', () => running === 1 && release.length === 1);
    concurrency.set(30);
    await until('thirty', () => running === 30);
    const finish = setInterval(() => release.splice(0).forEach((go) => go()), 1);
    expect(await ended).toHaveLength(40);
    clearInterval(finish);
  });

  test('lanes that waited through a narrowing take nothing when their turn comes', async () => {
    const concurrency = changeable(25);
    let open: () => void = () => undefined;
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    async function* source(): AsyncGenerator<HandlerItem> {
      await opened;
      for (let i = 0; i < 60; i++) yield toItem(i, '1');
    }
    let [running, most] = [0, 0];
    const handler = handlerOf(async () => {
      most = Math.max(most, ++running);
      await setImmediate();
      running--;
    });
    const record = recordBatch({ concurrency });
    const ended = handler.runItems(source(), record.batch);
    concurrency.set(1);
    open();
    await ended;
    expect(most).toBe(1);
    expect(record.outcomes).toHaveLength(60);
  });

  test('each item of a group that is tried again is admitted by itself', async () => {
    let left = 4;
    const handler = defineHandler({
      name: 'h',
      description: 'd',
      batchSize: 10,
      runMany: (items) => items.map(() => ({ error: new Error('again') })),
    });
    const record = recordBatch({ admit: async () => left-- > 0, options: { retry: THREE } });
    await handler.runItems(toItems([...Array(10).keys()]), record.batch);
    const attempts = record.byIndex().map((outcome) => [outcome.status, outcome.attempts]);
    expect(attempts.filter(([status]) => status === 'deferred')).toHaveLength(10);
    expect(attempts.filter(([, made]) => made === 2)).toHaveLength(4);
  });

  test('an item that may not be tried again here and now is deferred, with the attempts it had', async () => {
    const handler = handlerOf(() => {
      throw new Error('again');
    });
    const record = recordBatch({
      admit: async () => false,
      options: { retry: { ...THREE, initial_interval_ms: 1 } },
    });
    await handler.runItems(toItems([0]), record.batch);
    expect(record.outcomes).toMatchObject([{ status: 'deferred', attempts: 1, delayMs: 0 }]);
  });

  test('the wait that a failure asks for goes before a shorter one of the policy', async () => {
    const handler = handlerOf(() => {
      throw new ItemFailure('busy', 'come back later', { retryAfterMs: 90_000 });
    });
    const record = recordBatch({ options: { retry: { ...THREE, initial_interval_ms: 1 } } });
    await handler.runItems(toItems([0]), record.batch);
    expect(record.outcomes).toMatchObject([{ status: 'deferred', delayMs: 90_000 }]);
  });

  test('takes nothing new once mayStart says no, and those running end in peace', async () => {
    let may = true;
    const handler = handlerOf(async (input) => {
      if (input === 3) may = false;
      await setImmediate();
      return input;
    });
    const record = recordBatch({ concurrency: 2, mayStart: () => may });
    await handler.runItems(toItems([...Array(20).keys()]), record.batch);
    expect(record.started.length).toBeLessThanOrEqual(5);
    expect(record.outcomes.map(({ index }) => index).toSorted()).toEqual(record.started.toSorted());
  });

  test('ends at once when its signal aborts: handlers are told, and running items have no outcome', async () => {
    const controller = new AbortController();
    const told: unknown[] = [];
    const handler = handlerOf((input, ctx) => {
      if (input === 0) return 'done';
      ctx.signal.addEventListener('abort', () => told.push(input));
      if (input === 2) controller.abort();
      return never();
    });
    const record = recordBatch({ concurrency: 2, signal: controller.signal });
    await handler.runItems(toItems([0, 1, 2, 3, 4]), record.batch);
    expect(record.outcomes.map(({ index }) => index)).toEqual([0]);
    expect(told.toSorted()).toEqual([1, 2]);
    expect(record.started).toEqual([0, 1, 2]);
  });

  test('does not wait for a retry when its signal aborts', async () => {
    const controller = new AbortController();
    const handler = handlerOf(() => {
      controller.abort();
      throw new Error('again');
    });
    const retry = { ...THREE, initial_interval_ms: 3_600_000, max_interval_ms: 3_600_000 };
    const record = recordBatch({ signal: controller.signal, options: { retry } });
    await handler.runItems(toItems([0]), record.batch);
    expect(record.outcomes).toEqual([]);
  });

  test('reads an async source one item at a time, no further than it has lanes, and closes it', async () => {
    let pulled = 0;
    let closed = false;
    let running = 0;
    const aheads: number[] = [];
    async function* source(): AsyncGenerator<HandlerItem> {
      try {
        for (let i = 0; i < 100; i++) {
          pulled++;
          aheads.push(pulled - running);
          yield toItem(i, '1');
        }
      } finally {
        closed = true;
      }
    }
    let may = true;
    const handler = handlerOf(async () => {
      if (++running === 10) may = false;
      await setImmediate();
    });
    const record = recordBatch({ concurrency: 3, mayStart: () => may });
    await handler.runItems(source(), record.batch);
    expect(Math.max(...aheads)).toBeLessThanOrEqual(3);
    expect(record.outcomes.length).toBe(record.started.length);
    expect(closed).toBe(true);
  });

  test('passes on what its source throws, after the running items have ended', async () => {
    async function* source(): AsyncGenerator<HandlerItem> {
      yield toItem(0, '0');
      throw new Error('the database is away');
    }
    const record = recordBatch();
    const handler = handlerOf(async (input) => {
      await setImmediate();
      return input;
    });
    await expect(handler.runItems(source(), record.batch)).rejects.toThrow('the database is away');
    expect(record.outcomes.map(({ output }) => output)).toEqual(['0']);
  });

  test('one by one: an item is pulled only when the former has its outcome', async () => {
    const story: string[] = [];
    async function* source(): AsyncGenerator<HandlerItem> {
      for (let i = 0; i < 3; i++) {
        story.push(`pull ${i}`);
        yield toItem(i, '1');
      }
    }
    const record = recordBatch({ oneByOne: true, onOutcome: ({ index }) => story.push(`outcome ${index}`) });
    await handlerOf(async () => setImmediate()).runItems(source(), record.batch);
    expect(story).toEqual(['pull 0', 'outcome 0', 'pull 1', 'outcome 1', 'pull 2', 'outcome 2']);
  });

  test('of a handler that never waits leaves the event loop its turns', async () => {
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const spin = (): void => {
      for (const end = performance.now() + 1; performance.now() < end; );
    };
    await runAll(
      handlerOf(spin),
      Array.from({ length: 300 }, () => 0),
    );
    clearInterval(timer);
    expect(turns).toBeGreaterThan(3);
  });
});
