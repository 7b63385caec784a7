import { createReader, followChanges } from '../../src/api/access/follow-changes';
import { until } from '../support/wait';

interface News {
  latest: number;
  changes: { seq: number; subject: string }[];
}

function open() {
  const told: (string[] | 'gap')[] = [];
  const state = { now: 0, news: (_after: number): News => ({ latest: 0, changes: [] }) };
  const reader = createReader({
    feed: { readAfter: async (seq) => state.news(seq) },
    onChanges: (subjects) => told.push([...subjects]),
    onGap: () => told.push('gap'),
    monotonicMs: () => state.now,
  });
  const read = async (news: News): Promise<void> => {
    state.news = () => news;
    await reader.read();
  };
  return { reader, told, state, read };
}

const change = (seq: number, subject = `key_${seq}`): { seq: number; subject: string } => ({ seq, subject });

test('the first read is a gap, whatever the log holds: nobody knows what was missed', async () => {
  const { told, read } = open();
  await read({ latest: 7, changes: [] });
  await read({ latest: 7, changes: [] });
  expect(told).toEqual(['gap']);
});

test('each change is told once, those of one read together', async () => {
  const { told, read } = open();
  await read({ latest: 7, changes: [] });
  await read({ latest: 10, changes: [change(8, 'a'), change(9, 'b'), change(10, 'a')] });
  await read({ latest: 10, changes: [] });
  await read({ latest: 11, changes: [change(11, 'c')] });
  expect(told).toEqual(['gap', ['a', 'b'], ['c']]);
});

test.each([
  ['a number is missing', { latest: 10, changes: [change(9), change(10)] }],
  ['changes were pruned before they were read', { latest: 10, changes: [] }],
  ['a page was not enough', { latest: 10, changes: [change(8), change(9)] }],
  ['the log goes on before, as after a backup came back', { latest: 3, changes: [] }],
])('where %s everything is forgotten, and the log is followed from there', async (_title, news) => {
  const { told, read } = open();
  await read({ latest: 7, changes: [] });
  await read(news);
  await read({ latest: news.latest + 1, changes: [change(news.latest + 1, 'next')] });
  expect(told).toEqual(['gap', 'gap', ['next']]);
});

test('it is known up to when a read began, not ended, and a read that fails adds nothing', async () => {
  const { reader, state, read } = open();
  expect(reader.knownUntil()).toBe(Number.NEGATIVE_INFINITY);
  state.now = 100;
  state.news = () => {
    state.now = 900;
    return { latest: 1, changes: [] };
  };
  await reader.read();
  expect(reader.knownUntil()).toBe(100);
  state.news = () => {
    throw new Error('away');
  };
  await expect(reader.read()).rejects.toThrow('away');
  expect(reader.knownUntil()).toBe(100);
  await read({ latest: 1, changes: [] });
  expect(reader.knownUntil()).toBe(900);
});

test('it goes on after failures, says so once each way, and stops when it is closed', async () => {
  const lines: string[] = [];
  let reads = 0;
  const follower = followChanges({
    feed: {
      readAfter: async () => {
        reads += 1;
        if (reads < 3) throw new Error('away');
        return { latest: 0, changes: [] };
      },
    },
    onChanges: () => undefined,
    onGap: () => undefined,
    monotonicMs: () => performance.now(),
    random: () => 0,
    log: { info: (_fields, line) => lines.push(line), warn: (_fields, line) => lines.push(line) },
  });
  await until('reads after the failures', () => reads > 4);
  await follower.close();
  expect(lines).toEqual([
    'changes to API keys cannot be followed; each key is looked up anew',
    'changes to API keys are followed again',
  ]);
  expect(follower.knownUntil()).toBeGreaterThan(0);
});
