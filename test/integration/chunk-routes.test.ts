import { gzipSync } from 'node:zlib';
import { CLEAN_ITEMS_MIN } from '../../src/domain/batch/run';
import { decodeId } from '../../src/domain/ids';
import { statement } from '../../src/platform/postgres/statement';
import { type ChunkApi, grantFor, KEYS, type LentChunk, startChunkApi } from '../support/chunk-api';
import { numbers } from '../support/jobs';
import { until } from '../support/wait';

const SET_OPTIONS = statement('test.set_options', `update jobs set options = $2 where id = $1`);
const SET_STATUS = statement('test.set_status', `update jobs set status = $2, desired = $3 where id = $1`);
const COUNTS = statement<{ succeeded: number; failed: number; running: number; held: boolean }>(
  'test.chunk_counts',
  `select succeeded, failed, running, held from chunks where job_id = $1 and no = 0`,
);

describe('the routes of lent chunks', () => {
  let api: ChunkApi;
  beforeAll(async () => {
    api = await startChunkApi();
  });
  afterAll(() => api.close());

  const counts = async ({ jobId }: LentChunk) => (await api.db.run(COUNTS, [decodeId('job', jobId)]))[0];
  const setStatus = ({ jobId }: LentChunk, status: string, desired = 'running') =>
    api.db.run(SET_STATUS, [decodeId('job', jobId), status, desired]);

  describe('who may', () => {
    test('a text that is no token, one that was altered and one under a key that is gone are 401, with a challenge', async () => {
      const chunk = await api.lend(numbers(1));
      const grant = grantFor(chunk);
      const flipped =
        chunk.token.slice(0, -5) + (chunk.token.at(-5) === 'A' ? 'B' : 'A') + chunk.token.slice(-4);
      const widened = chunk.token.replace(/^(mct_.{30})./, (_, head: string) => `${head}A`);
      const foreign = api.sign(grant, [Buffer.alloc(32, 9)]);
      for (const token of ['', 'mrk_0', flipped, widened, foreign, `${chunk.token}A`]) {
        for (const part of ['claim', 'items', 'results'] as const) {
          const reply = await chunk.call(part, { token, epoch: 1 });
          expect([part, reply.status, reply.body.code]).toEqual([part, 401, 'invalid_chunk_token']);
          expect(reply.headers.get('www-authenticate')).toContain('invalid_token');
        }
      }
      const bare = await fetch(`${api.url}${chunk.path}/claim`, { method: 'POST' });
      expect(bare.status).toBe(401);
      expect(await counts(chunk)).toBeUndefined();
    });

    test('every key of the installation verifies', async () => {
      const chunk = await api.lend(numbers(1));
      const grant = grantFor(chunk);
      const token = api.sign(grant, [KEYS[1] as Uint8Array]);
      expect((await chunk.call('claim', { token })).status).toBe(200);
    });

    test('an expired token is told apart, since a new loan is to come', async () => {
      const chunk = await api.lend(numbers(1));
      const token = api.sign({ ...grantFor(chunk), expiresAt: new Date(Date.now() - 1_000) });
      expect((await chunk.call('claim', { token })).body).toMatchObject({
        status: 401,
        code: 'chunk_token_expired',
      });
    });

    test("another chunk's token finds nothing here, be it of the same job, of another job or of another tenant", async () => {
      const chunk = await api.lend(numbers(1));
      const other = await api.lend(numbers(1));
      const sibling = api.sign(grantFor({ ...chunk, no: 1 }));
      const epoch = await chunk.claim();
      for (const token of [other.token, sibling]) {
        for (const part of ['claim', 'items', 'results'] as const) {
          const reply = await chunk.call(part, { token, epoch });
          expect([part, reply.status]).toEqual([part, 404]);
        }
        expect((await chunk.call('claim', { token, epoch, method: 'DELETE' })).status).toBe(404);
      }
      expect((await chunk.items(epoch)).indexes).toEqual([0]);
    });

    test('no token and no item ever reaches the log', async () => {
      const chunk = await api.lend(['"hunter2"']);
      const epoch = await chunk.claim();
      await chunk.items(epoch);
      await chunk.post(epoch, [{ index: 0, output: 'hunter2' }]);
      await chunk.call('results', { epoch, text: '{"hunter2' });
      await chunk.call('claim', { token: `${chunk.token}x` });
      const logged = api.logged();
      expect(logged.includes(chunk.path)).toBe(true);
      expect(logged.match(/hunter2|mct_[\w-]{8,}/g)).toBeNull();
    });
  });

  describe('the fence', () => {
    test('the newest claim holds the chunk: whoever had it before can neither take items nor write nor give it back', async () => {
      const chunk = await api.lend(numbers(3));
      const first = await chunk.claim();
      await chunk.post(first, [{ index: 0, output: 'first' }]);
      const second = await chunk.claim();
      expect(second).toBeGreaterThan(first);
      const late = [
        await chunk.call('items', { epoch: first }),
        await chunk.post(first, [{ index: 1, output: 'first' }]),
        await chunk.call('results', { epoch: first, text: '' }),
        await chunk.call('claim', { epoch: first, method: 'DELETE' }),
      ];
      expect(late.map(({ status, body }) => [status, body.code])).toEqual(
        late.map(() => [409, 'superseded']),
      );
      expect((await chunk.items(second)).indexes).toEqual([1, 2]);
      await chunk.post(second, [{ index: 1, output: 'second' }]);
      expect((await chunk.results()).map(({ output }) => output)).toEqual(['first', 'second']);
    });

    test('a hold is needed: without an epoch, or with one that is no number, nothing is answered', async () => {
      const chunk = await api.lend(numbers(1));
      await chunk.claim();
      expect((await chunk.call('items')).status).toBe(422);
      expect((await chunk.call('results', { text: '', headers: { 'Millrace-Epoch': 'x' } })).status).toBe(
        422,
      );
      expect((await chunk.call('items', { epoch: 99 })).status).toBe(409);
    });

    test('results that come twice, or after an error that is to be tried again, change nothing', async () => {
      const chunk = await api.lend(numbers(2), { retry: retries(2, 60_000) });
      const epoch = await chunk.claim();
      await chunk.post(epoch, [{ index: 0, output: 'a' }]);
      const again = await chunk.post(epoch, [{ index: 0, output: 'b' }, failure(0, 1), failure(1, 1)]);
      expect(again.body).toMatchObject({ accepted: 2, stop: null });
      await chunk.post(epoch, [failure(1, 1), failure(1, 1)]);
      expect(await chunk.results()).toMatchObject([{ index: 0, output: 'a', attempts: 1 }]);
      expect(await counts(chunk)).toMatchObject({ succeeded: 1, failed: 0 });
      await chunk.post(epoch, [failure(1, 2)]);
      expect(await chunk.results()).toMatchObject([
        { index: 0 },
        { index: 1, status: 'failed', attempts: 2 },
      ]);
    });
  });

  describe('params', () => {
    const params = { top: 3, token: 'hunter2', headers: { Authorization: 'hunter2', accept: 'x' } };

    test('are kept sealed where they are secret, and a claim gets them in clear', async () => {
      const chunk = await api.lend(numbers(1), {}, params);
      expect(JSON.stringify((await api.runs.find(chunk))?.params)).not.toContain('hunter2');
      expect((await chunk.call('claim')).body.work.params).toEqual(params);
      expect(api.logged().includes('hunter2')).toBe(false);
    });

    test('that no key opens any more fail the items, and the job can end', async () => {
      const chunk = await api.lend(numbers(40), {}, params, Buffer.alloc(32, 8));
      expect((await chunk.call('claim')).body).toMatchObject({ stop: 'done', work: null });
      const results = await chunk.results();
      expect(results).toHaveLength(40);
      for (const { error } of results) expect(error).toMatchObject({ code: 'secret_unreadable' });
      expect(await counts(chunk)).toMatchObject({ failed: 40, held: false });
      expect(api.logged().includes('MILLRACE_SECRET_KEYS')).toBe(true);
    });
  });

  describe('items', () => {
    test('come in pages, exact and in order, with what identifies them', async () => {
      const inputs = ['12345678901234567890.10', '{"a":\n [1,\r\n 2]}', '"é\\u2028\u2028"', '3', '4'];
      const chunk = await api.lend(
        inputs.map((input) => (input.startsWith('1234') ? `{"n":${input}}` : input)),
      );
      const epoch = await chunk.claim();
      const { reply, indexes } = await chunk.items(epoch, '?limit=3');
      expect(indexes).toEqual([0, 1, 2]);
      expect(reply.headers.get('millrace-next')).toBe('2');
      expect(reply.headers.get('content-type')).toContain('application/x-ndjson');
      const [first, second, third] = reply.text.split('\n');
      expect(first).toBe(
        `{"index":0,"custom_id":"0","attempt":1,"idempotency_key":"${chunk.jobId}:0","input":{"n":12345678901234567890.10}}`,
      );
      expect(second).toContain('"input":{"a":  [1,  2]}}');
      expect(third).toContain('"input":"é\\u2028\u2028"}');
      const rest = await chunk.items(epoch, '?after=2');
      expect([rest.indexes, rest.reply.headers.get('millrace-next')]).toEqual([[3, 4], '4']);
      const end = await chunk.items(epoch, '?after=4');
      expect([end.indexes, end.reply.headers.get('millrace-next')]).toEqual([[], null]);
    });

    test('a page is bounded by bytes, and one large item still comes', async () => {
      const large = JSON.stringify('x'.repeat(1_000_000));
      const chunk = await api.lend(Array.from({ length: 6 }, () => large));
      const epoch = await chunk.claim();
      const { indexes } = await chunk.items(epoch);
      expect(indexes.length).toBeGreaterThan(0);
      expect(indexes.length).toBeLessThan(4);
    });

    test('what the input schema refuses fails without going out', async () => {
      const chunk = await api.lend(['1', 'null', '3', '2000000']);
      const epoch = await chunk.claim();
      expect((await chunk.items(epoch)).indexes).toEqual([0, 2]);
      expect(await chunk.results()).toMatchObject([
        { index: 1, status: 'failed', attempts: 1, error: { code: 'input_invalid' } },
        {
          index: 3,
          status: 'failed',
          error: { message: 'The handler refuses the input: must be <= 1000000' },
        },
      ]);
    });

    test('an item that failed comes again when it is due: soon is worth waiting for, later is not', async () => {
      const soon = await api.lend(numbers(1), { retry: retries(3, 1_000) });
      let epoch = await soon.claim();
      await soon.items(epoch);
      await soon.post(epoch, [failure(0, 1)]);
      const wait = Number((await soon.items(epoch)).reply.headers.get('millrace-wait-ms'));
      expect(wait).toBeGreaterThan(0);
      expect(wait).toBeLessThanOrEqual(2_000);
      const due = await until('the item', async () => {
        const { reply, indexes } = await soon.items(epoch);
        return indexes.length > 0 && reply.text;
      });
      expect(JSON.parse(due)).toMatchObject({ index: 0, attempt: 2 });

      const later = await api.lend(numbers(1), { retry: retries(3, 1_000) });
      epoch = await later.claim();
      await later.post(epoch, [failure(0, 1, { retry_after_ms: 3_600_000 })]);
      const end = await later.items(epoch);
      expect([end.indexes, end.reply.headers.get('millrace-wait-ms')]).toEqual([[], null]);
    });

    test('a job with a max_rps hands out no more than it may begin, and says when to ask again', async () => {
      const chunk = await api.lend(numbers(50), { max_rps: 0.5 });
      const claim = await chunk.call('claim');
      expect(claim.body.work.paced).toBe(true);
      const epoch = claim.body.epoch as number;
      expect((await chunk.items(epoch)).indexes).toEqual([0]);
      const { indexes, reply } = await chunk.items(epoch, '?after=0');
      expect(indexes).toEqual([]);
      expect(Number(reply.headers.get('millrace-wait-ms'))).toBeGreaterThan(500);
    });
  });

  describe('results', () => {
    test('are judged as those of our own handlers: exact output, codes, limits', async () => {
      const chunk = await api.lend(numbers(7));
      const epoch = await chunk.claim();
      const lines = [
        '{"index":0,"output": 1.10 ,"duration_ms":12.4}',
        '',
        `{"index":1,"output":${JSON.stringify('x'.repeat(1_100_000))}}`,
        '{"index":2,"output":"\\u0000"}',
        '{"index":3,"output":"wrong"}',
        '{"index":4,"error":{"code":"no_luck","message":"bad\\ud800","retryable":false}}',
        '{"index":5,"output":null}',
        '  {"index":6,"output":{"input":1,"output":2}}  ',
      ];
      const reply = await chunk.call('results', { epoch, text: lines.join('\r\n') });
      expect(reply.body).toMatchObject({ accepted: 7, stop: null });
      expect(await chunk.results()).toMatchObject([
        { status: 'succeeded', output: 1.1 },
        { status: 'failed', error: { code: 'output_too_large' } },
        { status: 'failed', error: { code: 'output_not_storable' } },
        { status: 'failed', error: { code: 'output_invalid' } },
        { status: 'failed', error: { code: 'no_luck', message: 'bad\ufffd' } },
        { status: 'succeeded', output: null },
        { status: 'succeeded', output: { input: 1, output: 2 } },
      ]);
      expect(await counts(chunk)).toMatchObject({ succeeded: 3, failed: 4 });
    });

    test.each([
      ['{"index":0,"output":1}\n{"index":1,', 400, 'malformed_ndjson', 2],
      ['\n\n[1]', 422, 'validation_failed', 3],
      ['{"index":2,"output":1}', 422, 'validation_failed', 1],
      ['{"index":-1,"output":1}', 422, 'validation_failed', 1],
      ['{"index":0}', 422, 'validation_failed', 1],
      ['{"index":0,"output":1,"error":{"code":"a","message":"b"}}', 422, 'validation_failed', 1],
      ['{"index":0,"error":{"code":"Not A Code","message":"b"}}', 422, 'validation_failed', 1],
      ['{"index":0,"output":1,"more":true}', 422, 'validation_failed', 1],
      ['{"index":0,"error":{"code":"a","message":"b","retry_after_ms":1e99}}', 422, 'validation_failed', 1],
    ])(
      '%j is refused with its line, and nothing of the request is kept',
      async (text, status, code, line) => {
        const chunk = await api.lend(numbers(2));
        const epoch = await chunk.claim();
        const good = '{"index":1,"output":1}';
        const reply = await chunk.call('results', { epoch, text: `${text}\n${good}` });
        expect(reply.body).toMatchObject({ status, code, errors: [{ line }] });
        expect(await chunk.results()).toEqual([]);
      },
    );

    test('bytes that are no UTF-8, another media type and too much at once are refused', async () => {
      const chunk = await api.lend(numbers(2));
      const epoch = await chunk.claim();
      const bad = Buffer.from([...Buffer.from('{"index":0,"output":"'), 0xff, ...Buffer.from('"}')]);
      expect((await chunk.call('results', { epoch, text: bad })).body).toMatchObject({
        code: 'not_storable',
        errors: [{ line: 1 }],
      });
      const json = { 'Content-Type': 'application/json' };
      expect((await chunk.call('results', { epoch, text: '{}', headers: json })).status).toBe(415);
      const much = `{"index":0,"output":"${'x'.repeat(4_300_000)}"}`;
      expect((await chunk.call('results', { epoch, text: much })).status).toBe(413);
      const packed = gzipSync(much);
      const gzip = { 'Content-Encoding': 'gzip' };
      expect((await chunk.call('results', { epoch, text: packed, headers: gzip })).status).toBe(413);
      const fine = gzipSync('{"index":0,"output":1}');
      expect((await chunk.call('results', { epoch, text: fine, headers: gzip })).status).toBe(200);
    });

    test('more failures than the job bears stop it', async () => {
      const chunk = await api.lend(numbers(10), { tolerated_failure: { count: 2 } });
      const epoch = await chunk.claim();
      expect((await chunk.post(epoch, [failure(0, 1), failure(1, 1)])).body.stop).toBeNull();
      expect((await chunk.post(epoch, [failure(2, 1)])).body.stop).toBe('exceeded');
      expect((await chunk.items(epoch)).reply.headers.get('millrace-stop')).toBe('exceeded');
    });
  });

  describe('keeping in touch', () => {
    const ask = async (chunk: LentChunk, epoch: number, running?: number) =>
      (await chunk.call('results', { epoch, text: '', ...(running === undefined ? {} : { running }) })).body;

    test('an empty post tells what the operator wants by now, and how many items may be in flight', async () => {
      const chunk = await api.lend(numbers(10), { max_concurrency: 20 });
      const epoch = await chunk.claim();
      expect(await ask(chunk, epoch)).toEqual({ accepted: 0, stop: null, concurrency: 20 });
      const options = (await api.runs.find(chunk))?.options;
      await api.db.run(SET_OPTIONS, [
        decodeId('job', chunk.jobId),
        JSON.stringify({ ...options, max_concurrency: 3 }),
      ]);
      expect(await ask(chunk, epoch)).toMatchObject({ concurrency: 3 });
      for (const [status, desired, stop] of [
        ['paused', 'paused', 'paused'],
        ['queued', 'running', 'paused'],
        ['running', 'running', null],
        ['cancelling', 'cancelled', 'cancelled'],
      ] as const) {
        await setStatus(chunk, status, desired);
        expect([status, (await ask(chunk, epoch)).stop]).toEqual([status, stop]);
        expect((await chunk.items(epoch)).reply.headers.get('millrace-stop')).toBe(stop);
      }
      // What was finished is still taken.
      expect((await chunk.post(epoch, [{ index: 0, output: 1 }])).body).toMatchObject({ stop: 'cancelled' });
      expect(await chunk.results()).toHaveLength(1);
    });

    test('what is in flight shows in the counts of the job', async () => {
      const chunk = await api.lend(numbers(10));
      const epoch = await chunk.claim();
      await ask(chunk, epoch, 4);
      expect(await counts(chunk)).toMatchObject({ running: 4 });
      await ask(chunk, epoch);
      expect(await counts(chunk)).toMatchObject({ running: 4 });
      await ask(chunk, epoch, 0);
      expect(await counts(chunk)).toMatchObject({ running: 0 });
    });

    test('a claim of a job that is paused or gone says so', async () => {
      const chunk = await api.lend(numbers(1));
      await setStatus(chunk, 'paused', 'paused');
      expect((await chunk.call('claim')).body).toEqual({ stop: 'paused', epoch: null, work: null });
      await setStatus(chunk, 'finalizing');
      expect((await chunk.call('claim')).body).toMatchObject({ stop: 'ended' });
    });
  });

  describe('a worker that is lost', () => {
    /** Claims as a worker does that then dies. */
    const dies = async (chunk: LentChunk): Promise<number> => chunk.claim();

    test('twice without a word is under suspicion: its items go out one by one, and the one that ended it twice is given up', async () => {
      const chunk = await api.lend(numbers(50));
      await dies(chunk);
      await dies(chunk);
      let poisonous = -1;
      for (const [turn, survives] of [
        [1, 3],
        [2, 0],
      ] as const) {
        const { epoch, work } = (await chunk.call('claim')).body;
        expect(work).toMatchObject({ isolated: true, concurrency: 1 });
        let after = '';
        for (let n = 0; n < survives; n++) {
          const { indexes } = await chunk.items(epoch, after);
          expect(indexes).toHaveLength(1);
          await chunk.post(epoch, [{ index: indexes[0], output: n }]);
          after = `?after=${indexes[0]}`;
        }
        // It gets one more, and dies of it.
        poisonous = (await chunk.items(epoch, after)).indexes[0] as number;
        expect([turn, poisonous]).toEqual([turn, 3]);
      }
      const { work, epoch } = (await chunk.call('claim')).body;
      expect(work).toMatchObject({ isolated: false });
      expect((await chunk.results())[3]).toMatchObject({
        index: 3,
        status: 'failed',
        error: { code: 'handler_crashed' },
      });
      expect((await chunk.items(epoch)).indexes).toHaveLength(46);
    });

    test('enough items that end well one by one end the suspicion', async () => {
      const chunk = await api.lend(numbers(16 * (CLEAN_ITEMS_MIN + 10)));
      await dies(chunk);
      await dies(chunk);
      const epoch = await chunk.claim();
      for (let index = 0; index < CLEAN_ITEMS_MIN; index++) {
        expect((await chunk.items(epoch)).indexes).toEqual([index]);
        await chunk.post(epoch, [{ index, output: 1 }]);
      }
      expect((await chunk.items(epoch)).reply.headers.get('millrace-stop')).toBe('time_box');
      expect((await chunk.call('claim', { epoch, method: 'DELETE' })).status).toBe(204);
      expect((await chunk.call('claim')).body.work).toMatchObject({ isolated: false });
    });

    test('one that says that it stops is not lost', async () => {
      const chunk = await api.lend(numbers(5));
      for (let n = 0; n < 5; n++) {
        const epoch = await chunk.claim();
        await chunk.items(epoch);
        expect((await chunk.call('claim', { epoch, method: 'DELETE' })).status).toBe(204);
        expect(await counts(chunk)).toMatchObject({ held: false });
      }
      expect((await chunk.call('claim')).body.work).toMatchObject({ isolated: false });
    });
  });
});

function retries(max_attempts: number, initial_interval_ms: number) {
  return { max_attempts, initial_interval_ms, backoff_coefficient: 1, max_interval_ms: 3_600_000 };
}

function failure(index: number, attempt: number, more: object = {}): object {
  return { index, attempt, error: { code: 'out_of_luck', message: 'no', ...more } };
}
