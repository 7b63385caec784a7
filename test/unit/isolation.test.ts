import { createIsolation, type Isolation, type IsolationOptions } from '../../src/activities/batch/isolation';

const never = new AbortController().signal;

function setUp(options: Partial<IsolationOptions> = {}): { isolation: Isolation; pass(ms: number): void } {
  let now = 1_000_000;
  // Suspects that wait inside do so in real time; here they do it until the others left or they are aborted.
  const isolation = createIsolation({ now: () => now, waitMs: 60_000, ...options });
  return {
    isolation,
    pass: (ms) => {
      now += ms;
    },
  };
}

function share(isolation: Isolation, onWanted: () => void = () => undefined): () => void {
  const end = isolation.share(onWanted);
  if (end === undefined) throw new Error('turned away');
  return end;
}

async function alone(isolation: Isolation): Promise<() => void> {
  const end = await isolation.alone(never);
  if (end === undefined) throw new Error('turned away');
  return end;
}

describe('isolation', () => {
  test('ordinary attempts work beside each other', () => {
    const { isolation } = setUp();
    share(isolation);
    share(isolation);
    expect(isolation.share(() => undefined)).toBeDefined();
  });

  test('a suspect works only when every other has left; each of them was asked to', async () => {
    const { isolation } = setUp();
    const asked: string[] = [];
    const first = share(isolation, () => asked.push('first'));
    const second = share(isolation, () => asked.push('second'));
    let began = false;
    const turn = alone(isolation).then((end) => {
      began = true;
      return end;
    });
    expect(asked).toEqual(['first', 'second']);
    first();
    await new Promise((resolve) => setImmediate(resolve));
    expect(began).toBe(false);
    second();
    (await turn)();
  });

  test('nobody begins beside a suspect, be it at work or waiting', async () => {
    const { isolation } = setUp();
    const end = share(isolation);
    const turn = alone(isolation);
    expect(isolation.share(() => undefined)).toBeUndefined();
    expect(await isolation.alone(never)).toBeUndefined();
    end();
    const endTurn = await turn;
    expect(isolation.share(() => undefined)).toBeUndefined();
    expect(await isolation.alone(never)).toBeUndefined();
    endTurn();
    expect(isolation.share(() => undefined)).toBeDefined();
  });

  test('a suspect that can’t have its turn in time goes, and the process is kept free until it comes again', async () => {
    const { isolation, pass } = setUp({ waitMs: 1, keepMs: 10_000 });
    const end = share(isolation);
    expect(await isolation.alone(never)).toBeUndefined();
    pass(9_999);
    expect(isolation.share(() => undefined)).toBeUndefined();
    end();
    (await alone(isolation))();
  });

  test('a suspect that never comes again keeps the process free for no longer than that', async () => {
    const { isolation, pass } = setUp({ waitMs: 1, keepMs: 10_000 });
    share(isolation);
    expect(await isolation.alone(never)).toBeUndefined();
    pass(10_000);
    expect(isolation.share(() => undefined)).toBeDefined();
  });

  test('whoever made way for a suspect has its time before the next one', async () => {
    const { isolation, pass } = setUp({ returnMs: 2_500, sharedMs: 20_000 });
    const end = share(isolation);
    const turn = alone(isolation);
    end();
    (await turn)();
    expect(await isolation.alone(never)).toBeUndefined();
    const again = share(isolation);
    pass(19_999);
    expect(await isolation.alone(never)).toBeUndefined();
    pass(1);
    const next = alone(isolation);
    again();
    (await next)();
  });

  test('suspects follow each other at once where nobody made way, and soon where nobody came again', async () => {
    const { isolation, pass } = setUp({ returnMs: 2_500 });
    (await alone(isolation))();
    const endTurn = await alone(isolation);
    expect(isolation.share(() => undefined)).toBeUndefined();
    endTurn();
    expect(await isolation.alone(never)).toBeUndefined();
    pass(2_500);
    (await alone(isolation))();
  });

  test('a suspect that is stopped while it waits leaves at once and without a turn', async () => {
    const { isolation } = setUp();
    share(isolation);
    const stopped = new AbortController();
    const turn = isolation.alone(stopped.signal);
    stopped.abort();
    expect(await turn).toBeUndefined();
    expect(await isolation.alone(stopped.signal)).toBeUndefined();
  });
});
