import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  control,
  createJob,
  expectOneResultEach,
  jobEnded,
  jobThat,
  numbered,
  readJob,
  type ResultLine,
  resultLines,
  succeededOf,
  uploadJob,
} from '../support/job-client';
import { type Product, startProduct } from '../support/product';
import { declarations, type PythonWorker, startPython } from '../support/python-worker';

const WORDS = ['alder', 'birch', 'cedar', 'elm', 'fir', 'hazel', 'larch', 'maple', 'oak', 'pine', 'rowan'];

describe('a handler served in Python', () => {
  let product: Product;
  const workers: PythonWorker[] = [];
  const start = async (handler: 'text-stats' | 'moody'): Promise<PythonWorker> => {
    const worker = await startPython(product, handler);
    workers.push(worker);
    return worker;
  };

  beforeAll(async () => {
    product = await startProduct({ env: { MILLRACE_HANDLERS_DIR: declarations() } });
    await product.startWorker({ MILLRACE_PUBLIC_URL: product.url });
  }, 180_000);
  afterAll(async () => {
    await Promise.all(workers.map((worker) => worker.kill()));
    await product.close();
  });

  test('kill -9 of its worker in mid-job costs nothing: each text has its one result, exact, or the error that fits it', async () => {
    const first = await start('text-stats');
    const texts = Array.from({ length: 4_000 }, (_, n) => textOf(n));
    const { id } = await uploadJob(product, {
      body: { handler: 'text-stats', params: { top: 1 }, options: { max_concurrency: 40 } },
      contentType: 'application/x-ndjson',
      items: texts.map((text, n) => JSON.stringify({ custom_id: `t${n}`, input: { text } })).join('\n'),
    });
    await succeededOf(product, id, 100);
    await first.kill();
    expect(await readJob(product, id)).toMatchObject({ status: 'running' });
    const second = await start('text-stats');
    expect(await jobEnded(product, id)).toMatchObject({
      status: 'completed_with_errors',
      counts: { total: 4_000, succeeded: 3_600, failed: 400, pending: 0, running: 0, cancelled: 0 },
    });
    const lines = await resultLines(product, id);
    expect(lines.map(({ index }) => index)).toEqual(texts.map((_, n) => n));
    for (const line of lines) expectStats(line);
    await second.stop();
  }, 180_000);

  describe('that does as its items wish', () => {
    let worker: PythonWorker;

    beforeAll(async () => {
      worker = await start('moody');
    });

    test('each item has the attempts that it needed, with short waits and with long ones, and no more', async () => {
      const log = logFile();
      const items = Array.from({ length: 240 }, (_, n) => ({ n, good_at: (n % 4) + 1 }));
      const run = async (initial_interval_ms: number): Promise<void> => {
        const retry = { max_attempts: 3, initial_interval_ms, backoff_coefficient: 1 };
        const { id } = await createJob(product, {
          handler: 'moody',
          items,
          params: { log },
          options: { retry },
        });
        expect(await jobEnded(product, id)).toMatchObject({
          status: 'completed_with_errors',
          counts: { total: 240, succeeded: 180, failed: 60 },
        });
        for (const line of await resultLines(product, id)) {
          const needed = (line.index % 4) + 1;
          expect(line).toMatchObject(
            needed <= 3
              ? { status: 'succeeded', attempts: needed, output: { n: line.index, attempt: needed } }
              : { status: 'failed', attempts: 3, error: { message: 'ValueError: not at attempt 3' } },
          );
        }
      };
      await run(50);
      await run(3_000);
      const attempts = items.map(({ good_at }) => Math.min(3, good_at));
      expect(begun(log)).toEqual(items.flatMap(({ n }) => Array.from({ length: 2 * attempts[n]! }, () => n)));
    });

    test('what an item does costs that item alone, and its error says what it was', async () => {
      const wishes: [object, string, string][] = [
        [{ answer: 'large' }, 'output_too_large', 'larger than 1 MB'],
        [{ answer: 'nan' }, 'output_not_storable', 'not JSON'],
        [{ answer: 'surrogate' }, 'output_not_storable', 'surrogates'],
        [{ answer: 'text' }, 'output_invalid', 'must be object'],
        [{ raise: 'exit' }, 'handler_failed', 'SystemExit: 3'],
        [{ raise: 'stop_iteration' }, 'handler_failed', 'StopIteration'],
        [{ raise: 'item_error' }, 'too_moody', 'Not today.'],
        [{ seconds: 60 }, 'handler_timeout', '2 s'],
        [{ seconds: 60, deaf: true }, 'handler_timeout', '2 s'],
        [{ answer: 'unknown' }, 'input_invalid', '/answer: must be equal to one of the allowed values'],
      ];
      const items = [...wishes.map(([wish], n) => ({ n, ...wish })), { n: wishes.length }];
      const { id } = await createJob(product, {
        handler: 'moody',
        items,
        options: { item_timeout_ms: 2_000, retry: { max_attempts: 1 } },
      });
      await jobEnded(product, id);
      const lines = await resultLines(product, id);
      for (const [n, [, code, message]] of wishes.entries()) {
        expect(lines[n]).toMatchObject({ status: 'failed', attempts: 1, error: { code } });
        expect(lines[n]?.error?.message).toContain(message);
      }
      expect(lines[wishes.length]).toMatchObject({ status: 'succeeded', output: { n: wishes.length } });
    });

    test('a pause lets what runs end and begins nothing; after a resume every item has run once', async () => {
      const log = logFile();
      const { id } = await createJob(product, {
        handler: 'moody',
        items: Array.from({ length: 40 }, (_, n) => ({ n, seconds: 1 })),
        params: { log },
        options: { max_concurrency: 4 },
      });
      await succeededOf(product, id, 4);
      await control(product, id, 'pause');
      const { counts } = await jobThat(product, id, {
        what: 'the rest',
        fits: ({ status, counts: { running } }) => status === 'paused' && running === 0,
        limitMs: 10_000,
      });
      expect(begun(log)).toHaveLength(counts.succeeded);
      expect(counts.succeeded).toBeLessThan(40);
      await control(product, id, 'resume');
      expect(await jobEnded(product, id)).toMatchObject({ status: 'completed', counts: { succeeded: 40 } });
      expect(begun(log)).toEqual(Array.from({ length: 40 }, (_, n) => n));
    });

    test('a cancel does not wait for items that take long, and keeps what was finished', async () => {
      const items = Array.from({ length: 200 }, (_, n) => ({ n, seconds: n < 10 ? 0 : 50 }));
      const options = { max_concurrency: 20, item_timeout_ms: 60_000 };
      const { id } = await createJob(product, { handler: 'moody', items, options });
      await succeededOf(product, id, 10);
      await control(product, id, 'cancel');
      expect(await jobEnded(product, id, 10_000)).toMatchObject({
        status: 'cancelled',
        counts: { succeeded: 10, failed: 0, cancelled: 190, running: 0 },
      });
    });

    test('a worker that is frozen past its heartbeat and comes back changes nothing of what another has done', async () => {
      const options = { max_concurrency: 20 };
      const items = numbered(400, { seconds: 0.2 });
      const { id } = await createJob(product, { handler: 'moody', items, options });
      await succeededOf(product, id, 20);
      worker.process.kill('SIGSTOP');
      const other = await start('moody');
      const { counts } = await readJob(product, id);
      await succeededOf(product, id, counts.succeeded + 20);
      worker.process.kill('SIGCONT');
      await expectOneResultEach(product, id, { total: 400 });
      await other.kill();
      // It has not lost its wits by that.
      const next = await createJob(product, { handler: 'moody', items: numbered(40) });
      await expectOneResultEach(product, next.id, { total: 40 });
      // Each poll that the frozen worker had open may swallow the chunk for as long as a heartbeat is waited for.
    }, 240_000);

    test('SIGTERM lets what runs end, and another worker goes on', async () => {
      const log = logFile();
      const { id } = await createJob(product, {
        handler: 'moody',
        items: Array.from({ length: 100 }, (_, n) => ({ n, seconds: 0.4 })),
        params: { log },
        options: { max_concurrency: 10 },
      });
      await succeededOf(product, id, 10);
      await worker.stop();
      worker = await start('moody');
      expect(await jobEnded(product, id)).toMatchObject({ status: 'completed', counts: { succeeded: 100 } });
      expect(begun(log)).toEqual(Array.from({ length: 100 }, (_, n) => n));
    });
  });
});

/** n % 37 + 1 words in sentences of five; every tenth has none. */
function textOf(n: number): string {
  if (n % 10 === 9) return '12 + 30 = 42?';
  const words = Array.from({ length: (n % 37) + 1 }, (_, i) => WORDS[(n + i) % WORDS.length] as string);
  return words.map((word, i) => (i % 5 === 4 ? `${word}.` : word)).join(' ');
}

function expectStats({ index, custom_id, ...line }: ResultLine): void {
  expect(custom_id).toBe(`t${index}`);
  if (index % 10 === 9) {
    expect(line).toMatchObject({ status: 'failed', attempts: 1, error: { code: 'no_words' } });
    return;
  }
  const text = textOf(index);
  const words = (index % 37) + 1;
  expect(line).toMatchObject({
    status: 'succeeded',
    attempts: 1,
    output: { characters: text.length, words, sentences: Math.ceil(words / 5), language: null },
  });
}

function logFile(): string {
  return path.join(mkdtempSync(path.join(tmpdir(), 'millrace-moody-')), 'log');
}

/** Items in order of number, once for each time that one was begun. */
function begun(log: string): number[] {
  if (!existsSync(log)) return [];
  const lines = readFileSync(log, 'utf8').trimEnd().split('\n');
  return lines.map(Number).toSorted((a, b) => a - b);
}
