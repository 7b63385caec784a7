import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { gunzipSync, constants as zlib } from 'node:zlib';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { parquetReadObjects } from 'hyparquet';
import Koa from 'koa';
import { writeStream } from '../../src/api/middleware/write-stream';
import { stream } from '../../src/api/respond';
import type { ApiState } from '../../src/api/state';
import { decodeId } from '../../src/domain/ids';
import { statement } from '../../src/platform/postgres/statement';
import { type BatchApi, startBatchApi } from '../support/batch-api';
import { jobWith, upTo } from '../support/batch-job';
import { fillWithResults } from '../support/bulky-job';
import { until } from '../support/wait';

let api: BatchApi;

beforeAll(async () => {
  api = await startBatchApi();
});

afterAll(() => api.close());

/** `fetch` decodes and adds headers of its own. */
async function open(
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<IncomingMessage> {
  const outgoing = request(`${api.url}${path}`, {
    method,
    headers: { Authorization: `Bearer ${api.key}`, ...headers },
  });
  outgoing.on('error', () => undefined).end();
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  return response;
}

async function bytesOf(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

const download = async (path: string, headers?: Record<string, string>): Promise<Buffer> =>
  bytesOf(await open(path, headers));

/** `once` would reject where an error comes first. */
const closed = (response: IncomingMessage): Promise<unknown> =>
  new Promise((resolve) => response.once('close', resolve));

const GZIP = { 'Accept-Encoding': 'gzip' };

const INSERT = statement(
  'test.odd_results',
  `insert into results (job_id, index, status, output, error, attempts, duration_ms)
   select $1, place - 1, case when error is null then 'succeeded' else 'failed' end, output::json, error::json, 2, 5
   from unnest($2::text[], $3::text[]) with ordinality as given (output, error, place)`,
);
const END = statement(
  'test.ended',
  `update jobs set status = 'completed_with_errors', ended_at = now() where id = $1`,
);
const GONE = statement('test.job_gone', 'delete from jobs where id = $1');

/** Lines of all kinds: of every length, over several lines, with every sort of character, failed and never attempted. */
async function oddJob(): Promise<string> {
  const { id } = await api.create();
  const name = (i: number): string => ['plain', 'b"c', 'ä,ö', '=1+1', '日本', '😀\n'][i % 6] + String(i);
  await api.put(
    id,
    upTo(400)
      .map((i) => JSON.stringify({ input: i, custom_id: name(i) }))
      .join('\n'),
  );
  const output = (i: number): string | null =>
    i % 7 === 3
      ? null
      : ([`${i}.0`, `"${'é'.repeat(i)}"`, `{"a": [\n  ${i}\r\n]}`, 'null', `"\\u0041\\n${i}"`][i % 5] ??
        null);
  const error = (i: number): string | null =>
    i % 7 === 3 ? JSON.stringify({ code: 'handler_failed', message: `"${i}",\r\n-${i}` }) : null;
  const done = upTo(390);
  await api.database.run(INSERT, [decodeId('job', id), done.map(output), done.map(error)]);
  await api.database.run(END, [decodeId('job', id)]);
  return id;
}

describe('gzip', () => {
  it.each<[string | undefined, boolean]>([
    [undefined, false],
    ['', false],
    ['gzip', true],
    ['x-gzip', true],
    ['GZIP', true],
    ['gzip, deflate, br', true],
    ['br;q=1.0, gzip;q=0.8, *;q=0.1', true],
    ['*', true],
    ['gzip;q=0', false],
    ['gzip;q=0.000, *', false],
    ['x-gzip;q=0', false],
    ['*;q=0', false],
    ['deflate, br', false],
    ['identity', false],
    ['identity;q=1, gzip;q=0.5', false],
    ['identity;q=0.5, gzip;q=1', true],
    ['identity;q=0, gzip;q=0.1', true],
    ['identity;q=0', false],
    ['gzip;q=nonsense', false],
  ])('Accept-Encoding %j: %s', async (accepted, compressed) => {
    const id = await jobWith(api, { total: 3, done: upTo(3), status: 'completed' });
    const headers: Record<string, string> = accepted === undefined ? {} : { 'Accept-Encoding': accepted };
    const plain = await download(`/v1/jobs/${id}/results`);
    const response = await open(`/v1/jobs/${id}/results`, headers);
    expect(response.headers['content-encoding']).toBe(compressed ? 'gzip' : undefined);
    expect(response.headers['vary']).toMatch(/accept-encoding/i);
    const body = await bytesOf(response);
    expect(compressed ? gunzipSync(body) : body).toEqual(plain);
    const head = await open(`/v1/jobs/${id}/results`, headers, 'HEAD');
    expect(head.headers['content-encoding']).toBe(compressed ? 'gzip' : undefined);
    head.resume();
  });

  it('makes a large download smaller and loses nothing of it', async () => {
    const id = await jobWith(api, { total: 20_000, done: upTo(20_000), status: 'completed' });
    for (const format of ['ndjson', 'csv']) {
      const plain = await download(`/v1/jobs/${id}/results?format=${format}`);
      const packed = await download(`/v1/jobs/${id}/results?format=${format}`, GZIP);
      expect(packed.length).toBeLessThan(plain.length / 5);
      expect(gunzipSync(packed).equals(plain)).toBe(true);
    }
  });

  it('of a download that fails midway never ends well', async () => {
    const { id } = await api.create();
    await fillWithResults(api.database, id, { total: 30_000, pieces: 32, kind: 'random' });
    const response = await open(`/v1/jobs/${id}/results?format=csv`, GZIP);
    const chunks: Buffer[] = [];
    const ended = jest.fn();
    response.on('end', ended).on('error', () => undefined);
    response.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      if (chunks.length !== 10) return;
      response.pause();
      void api.database.run(GONE, [decodeId('job', id)]).then(() => response.resume());
    });
    await closed(response);
    expect(ended).not.toHaveBeenCalled();
    expect(response.complete).toBe(false);
    const received = Buffer.concat(chunks);
    expect(() => gunzipSync(received)).toThrow('unexpected end of file');
    const readable = gunzipSync(received, { finishFlush: zlib.Z_SYNC_FLUSH }).toString();
    expect(readable.startsWith('index,custom_id,')).toBe(true);
  });
});

/** What a client knows of a download that broke off: the lines that arrived whole, and the index of the last one. */
function wholePart(text: string, format: string): { kept: string; cursor: string | undefined } {
  if (format === 'ndjson') {
    const kept = text.slice(0, text.lastIndexOf('\n') + 1);
    const last = kept.split('\n').at(-2);
    return { kept, cursor: last === undefined ? undefined : String(JSON.parse(last).index) };
  }
  for (let end = text.lastIndexOf('\r\n'); end >= 0; end = text.lastIndexOf('\r\n', end - 1)) {
    const kept = text.slice(0, end + 2);
    // A line break in quotes ends no record.
    if (kept.split('"').length % 2 === 0) continue;
    const records: string[][] = parse(kept, { record_delimiter: '\r\n' });
    const index = records.at(-1)?.[0];
    return { kept, cursor: index === 'index' ? undefined : index };
  }
  return { kept: '', cursor: undefined };
}

describe('a download of an ended job that broke off', () => {
  let id: string;
  beforeAll(async () => {
    id = await oddJob();
  });

  it.each([
    ['ndjson', '', {}],
    ['ndjson', '&status=succeeded', {}],
    ['ndjson', '&status=failed', {}],
    ['ndjson', '&status=cancelled', {}],
    ['ndjson', '', GZIP],
    ['csv', '', {}],
    ['csv', '&status=failed', GZIP],
  ])('goes on behind the last whole line: %s%s %j', async (format, filter, headers) => {
    const path = `/v1/jobs/${id}/results?format=${format}${filter}`;
    const get = async (from: string): Promise<Buffer> => {
      const response = await open(path + from, headers);
      expect(response.headers['x-resumable']).toBe('true');
      const body = await bytesOf(response);
      return response.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body;
    };
    const whole = await get('');
    expect(whole.length).toBeGreaterThan(1_000);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(whole.length), { maxLength: 4 }), async (cuts) => {
        let kept = '';
        let from = '';
        for (const cut of cuts) {
          const part = wholePart(new TextDecoder().decode((await get(from)).subarray(0, cut)), format);
          if (part.cursor === undefined) continue;
          kept += part.kept;
          from = `&cursor=${part.cursor}`;
        }
        expect(kept + (await get(from)).toString()).toBe(whole.toString());
      }),
      { numRuns: 12 },
    );
  });

  it('has nothing left behind its last line, and no header a second time', async () => {
    expect((await download(`/v1/jobs/${id}/results?cursor=399`)).length).toBe(0);
    const response = await open(`/v1/jobs/${id}/results?format=csv&cursor=399`);
    expect(response.headers['content-type']).toBe('text/csv; charset=utf-8; header=absent');
    expect((await bytesOf(response)).length).toBe(0);
  });

  it.each(['400', '2147483647', '2147483648', '-1', '1.5', 'x', ''])(
    'is refused by a cursor %j',
    async (cursor) => {
      const { status, body } = await api.call(`/v1/jobs/${id}/results?cursor=${cursor}`);
      expect([status, body.code, body.errors[0].parameter]).toEqual([422, 'validation_failed', 'cursor']);
    },
  );

  it('cannot be gone on with as Parquet, and says so', async () => {
    const { status, body } = await api.call(`/v1/jobs/${id}/results?format=parquet&cursor=3`);
    expect([status, body.errors[0].parameter]).toEqual([422, 'cursor']);
    const response = await open(`/v1/jobs/${id}/results?format=parquet`, {}, 'HEAD');
    expect(response.headers['x-resumable']).toBeUndefined();
  });

  it('of a job that has not ended is no such download', async () => {
    const running = await jobWith(api, { total: 5, done: [0, 1] });
    const { status, body } = await api.call(`/v1/jobs/${running}/results?cursor=0`);
    expect([status, body.code]).toEqual([409, 'job_not_ended']);
    const partial = await api.call(`/v1/jobs/${running}/results`);
    expect(partial.headers.get('x-partial')).toBe('true');
    expect(partial.headers.get('x-resumable')).toBeNull();
  });
});

const parquetRows = async (path: string): Promise<Record<string, unknown>[]> =>
  parquetReadObjects({ file: new Uint8Array(await download(path)).buffer });

describe('a line of NDJSON', () => {
  it('has names as JSON.stringify writes them and outputs as they were written, but for line breaks', async () => {
    const storable = fc
      .string({ unit: 'binary', minLength: 1, maxLength: 20 })
      .map((text) => text.replaceAll('\0', '\u0001').toWellFormed());
    const names =
      fc.sample(fc.uniqueArray(storable, { minLength: 200, maxLength: 200 }), { numRuns: 1, seed: 5 })[0] ??
      [];
    const outputs = names.map((name, i) => JSON.stringify({ [name]: [i, name] }, null, i % 3));
    const { id } = await api.create();
    await api.put(id, names.map((name) => JSON.stringify({ input: 0, custom_id: name })).join('\n'));
    await api.database.run(INSERT, [decodeId('job', id), outputs, names.map(() => null)]);
    await api.database.run(END, [decodeId('job', id)]);
    const lines = (await download(`/v1/jobs/${id}/results`)).toString().split('\n');
    const wanted = names.map((name, i) => {
      const output = outputs[i]?.replace(/[\r\n]+/g, ' ');
      const given = `{"index":${i},"custom_id":${JSON.stringify(name)},"status":"succeeded","output":${output}`;
      return `${given},"error":null,"attempts":2,"duration_ms":5}`;
    });
    expect(lines).toEqual([...wanted, '']);
  });
});

describe('every format', () => {
  it.each([undefined, 'succeeded', 'failed', 'cancelled'])(
    'has the same lines of status %s',
    async (status) => {
      const id = await oddJob();
      const filter = status === undefined ? '' : `&status=${status}`;
      const ndjson = (await download(`/v1/jobs/${id}/results?format=ndjson${filter}`)).toString().split('\n');
      const lines = ndjson.filter((line) => line !== '').map((line) => JSON.parse(line));
      expect(lines.length).toBe(
        status === undefined ? 400 : status === 'failed' ? 56 : status === 'cancelled' ? 10 : 334,
      );
      const csv = parse<Record<string, string>>(
        await download(`/v1/jobs/${id}/results?format=csv${filter}`),
        { columns: true, record_delimiter: '\r\n' },
      );
      const parquet = await parquetRows(`/v1/jobs/${id}/results?format=parquet${filter}`);
      const summary = (index: unknown, state: unknown, code: unknown, message: unknown): unknown[] => [
        ...[Number(index), state, code ?? '', message ?? ''],
      ];
      const wanted = lines.map((line) =>
        summary(line.index, line.status, line.error?.code, line.error?.message),
      );
      expect(csv.map((row) => summary(row.index, row.status, row.error_code, row.error_message))).toEqual(
        wanted,
      );
      expect(parquet.map((row) => summary(row.index, row.status, row.error_code, row.error_message))).toEqual(
        wanted,
      );
      expect(parquet.map((row) => row.custom_id)).toEqual(lines.map((line) => line.custom_id));
    },
  );

  it('of a running job is partial, Parquet too', async () => {
    const id = await jobWith(api, { total: 3_000, done: upTo(3_000).filter((i) => i % 3 === 0) });
    const response = await open(`/v1/jobs/${id}/results?format=parquet`, GZIP);
    expect(response.headers['x-partial']).toBe('true');
    expect(response.headers['content-encoding']).toBeUndefined();
    expect(response.headers['content-type']).toBe('application/vnd.apache.parquet');
    expect(response.headers['content-disposition']).toMatch(/\.parquet"$/);
    const rows = await parquetReadObjects({ file: new Uint8Array(await bytesOf(response)).buffer });
    expect(rows.map((row) => row.index)).toEqual(upTo(3_000).filter((i) => i % 3 === 0));
    expect(rows[1]).toMatchObject({ status: 'failed', error_message: '=boom', 'output.i': null });
    expect(rows[2]).toMatchObject({ status: 'succeeded', error_message: null, 'output.i': 6 });
  });

  it('of a job without results is empty, and of one that does not exist a problem', async () => {
    const { id } = await api.create();
    expect(await parquetRows(`/v1/jobs/${id}/results?format=parquet`)).toEqual([]);
    const stranger = await api.newTenant();
    const reply = await api.call(`/v1/jobs/${id}/results?format=parquet`, { key: stranger.key });
    expect(reply.status).toBe(404);
  });

  it.each([
    ['NDJSON', ''],
    ['NDJSON of one status', '?status=succeeded'],
    ['CSV', '?format=csv'],
    ['Parquet, between its two passes', '?format=parquet'],
  ])('breaks off where the job goes away: %s', async (_what, query) => {
    const { id } = await api.create();
    await fillWithResults(api.database, id, { total: 30_000, pieces: 32, kind: 'random' });
    const response = await open(`/v1/jobs/${id}/results${query}`);
    await api.database.run(GONE, [decodeId('job', id)]);
    await expect(bytesOf(response)).rejects.toThrow('aborted');
    expect(response.complete).toBe(false);
  });
});

describe('Parquet files in the making', () => {
  it('are bounded in number, and one that its client leaves makes room', async () => {
    const { id } = await api.create();
    await fillWithResults(api.database, id, { total: 30_000, pieces: 32, kind: 'random' });
    const path = `/v1/jobs/${id}/results?format=parquet`;
    const held = await Promise.all([open(path), open(path)]);
    for (const response of held) response.on('error', () => undefined);
    const refused = await api.call(path);
    expect([refused.status, refused.body.code]).toEqual([429, 'too_many_downloads']);
    expect(refused.headers.get('retry-after')).toBe('5');
    expect((await download(`/v1/jobs/${id}/results`)).length).toBeGreaterThan(0);
    held[0]?.destroy();
    await until('there is room', async () => (await api.call(path, { method: 'GET' })).status === 200);
    held[1]?.destroy();
  });
});

it('a client that takes nothing for too long is cut, one that is only slow is not', async () => {
  const piece = Buffer.alloc(1024 * 1024);
  const broken: unknown[] = [];
  const app = new Koa<ApiState>();
  app.use((ctx) => {
    const chunks = async function* (): AsyncGenerator<Buffer> {
      for (let i = 0; i < 64; i++) yield piece;
    };
    const answer = stream('application/octet-stream', chunks());
    return writeStream(ctx, answer, 200).catch((error: unknown) => void broken.push(error));
  });
  const server = app.listen(0, '127.0.0.1');
  try {
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const get = async (): Promise<IncomingMessage> => {
      const outgoing = request({ port, host: '127.0.0.1' });
      outgoing.on('error', () => undefined).end();
      const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
      return response.on('error', () => undefined);
    };
    const slow = await get();
    let bytes = 0;
    slow.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      slow.pause();
      setTimeout(() => slow.resume(), 1);
    });
    await once(slow, 'end');
    expect([bytes, broken]).toEqual([64 * piece.length, []]);
    const stalled = await get();
    stalled.pause();
    await until('it is cut', async () => broken.length > 0);
    stalled.resume();
    await closed(stalled);
    expect(stalled.complete).toBe(false);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
