import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { decodeId } from '../../src/domain/ids';
import { copyField } from '../../src/platform/postgres/copy-text';
import { statement } from '../../src/platform/postgres/statement';
import { type BatchApi, startBatchApi } from '../support/batch-api';
import { until } from '../support/wait';

const COUNT_ITEMS = statement<{ n: number }>(
  'test.count_items',
  'select count(*)::int as n from items where job_id = $1',
);
const ECHO_TEXT = statement<{ v: string }>(
  'test.echo_text',
  'select custom_id as v from items where job_id = $1 order by index',
);
const NDJSON = { 'Content-Type': 'application/x-ndjson' };
const CSV = { 'Content-Type': 'text/csv' };
const JSON_ARRAY = { 'Content-Type': 'application/json' };

let api: BatchApi;

beforeAll(async () => {
  api = await startBatchApi({ itemsMax: 50_000, limits: { bytesMax: 8 * 1024 * 1024 } });
});

afterAll(() => api.close());

async function storedItems(jobId: string): Promise<number> {
  const [row] = await api.database.run(COUNT_ITEMS, [decodeId('job', jobId)]);
  return row?.n ?? -1;
}

async function itemsOf(jobId: string): Promise<{ index: number; custom_id: string; input: unknown }[]> {
  const { body } = await api.call(`/v1/jobs/${jobId}/items`);
  return body.data;
}

describe('an upload becomes the items of its job', () => {
  const untouched = { status: 'pending', attempts: 0, error: null };
  const wanted = [
    { index: 0, custom_id: 'a', ...untouched, input: { n: 1 } },
    { index: 1, custom_id: '1', ...untouched, input: { n: 2 } },
  ];
  it.each([
    ['NDJSON', NDJSON, '{"custom_id":"a","input":{"n":1}}\n{"n":2}\n'],
    [
      'NDJSON by its other name',
      { 'Content-Type': 'application/jsonl; charset=utf-8' },
      '{"custom_id":"a","input":{"n":1}}\r\n\r\n{"n":2}',
    ],
    ['a JSON array', JSON_ARRAY, '[\n{"custom_id":"a","input":{"n":1}},\n{"n":2}]'],
  ])('%s', async (_name, headers, body) => {
    const { id } = await api.create();
    const reply = await api.put(id, body, headers);
    expect([reply.status, reply.body.counts.total, reply.body.status]).toEqual([200, 2, 'created']);
    expect(await itemsOf(id)).toEqual(wanted);
  });

  it('CSV, its values as text', async () => {
    const { id } = await api.create();
    const reply = await api.put(id, '\ufeffname,custom_id,n\r\n"x, ""y""\nz",a,1\r\nß,b,2\r\n', CSV);
    expect([reply.status, reply.body.counts.total]).toEqual([200, 2]);
    expect((await itemsOf(id)).map(({ custom_id, input }) => [custom_id, input])).toEqual([
      ['a', { name: 'x, "y"\nz', n: '1' }],
      ['b', { name: 'ß', n: '2' }],
    ]);
  });

  it('packed by gzip', async () => {
    const { id } = await api.create();
    const reply = await api.put(id, gzipSync('1\n2\n3\n'), { 'Content-Encoding': 'gzip' });
    expect([reply.status, reply.body.counts.total]).toEqual([200, 3]);
  });

  it('empty: no items, and then the job cannot start', async () => {
    const { id } = await api.create();
    expect((await api.put(id, '')).body.counts.total).toBe(0);
    const reply = await api.call(`/v1/jobs/${id}/start`, { method: 'POST' });
    expect([reply.status, reply.body.code]).toEqual([409, 'job_has_no_items']);
  });

  it('with its exact text, digits and all', async () => {
    const { id } = await api.create();
    await api.put(id, '12345678901234567890.10\n{"input":{"b":1.0,"a":1e400}}\n');
    const { text } = await api.call(`/v1/jobs/${id}/items`);
    expect(text).toContain('"input":12345678901234567890.10}');
    expect(text).toContain('"input":{"b":1.0,"a":1e400}}');
  });

  it('and the next one replaces it whole', async () => {
    const { id } = await api.create();
    await api.put(id, '1\n2\n3\n');
    expect((await api.put(id, '{"custom_id":"x","input":1}\n')).body.counts.total).toBe(1);
    expect((await itemsOf(id)).map((item) => item.custom_id)).toEqual(['x']);
    expect(await storedItems(id)).toBe(1);
  });
});

describe('any text goes through COPY unchanged', () => {
  it('as a custom_id', async () => {
    const textArb = fc.string({
      unit: fc.constantFrom('\\', '\t', '\n', '\r', 'N', '.', 't', 'b', '\b', '\v', 'ß', '😀', '"', "'"),
      minLength: 1,
      maxLength: 12,
    });
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(textArb, { minLength: 1, maxLength: 30 }), async (texts) => {
        const { id } = await api.create();
        const lines = texts.map((custom_id) => JSON.stringify({ custom_id, input: custom_id }));
        expect((await api.put(id, lines.join('\n'))).status).toBe(200);
        const rows = await api.database.run(ECHO_TEXT, [decodeId('job', id)]);
        expect(rows.map((row) => row.v)).toEqual(texts);
        expect((await itemsOf(id)).map((item) => item.input)).toEqual(texts.slice(0, 50));
      }),
      { numRuns: 20 },
    );
  });

  it('null is a mark of its own, not a text', () => {
    expect(copyField(null)).toBe('\\N');
    expect(copyField('\\N')).toBe('\\\\N');
  });
});

describe('a faulty upload leaves the job as it was', () => {
  const three = '"a"\n"b"\n"c"\n';
  const long = `"${'x'.repeat(1_048_576)}"`;
  const many = Array.from({ length: 30_000 }, (_, i) => `{"custom_id":"id-${i}","input":${i}}`);
  it.each<[string, Record<string, string>, string | Buffer, number, string, number | undefined]>([
    ['NDJSON that is none', NDJSON, `1\n\n{"a":\n2`, 400, 'malformed_ndjson', 3],
    ['a JSON array that is none', JSON_ARRAY, `[1,\n{"a" 1}]`, 400, 'malformed_json', 2],
    ['a JSON object', JSON_ARRAY, `{"a":1}`, 422, 'invalid_item', 1],
    ['CSV with a short row', CSV, `a,b\n1,2\n"1\n1"\n`, 400, 'malformed_csv', 3],
    ['U+0000', NDJSON, `1\n{"a":"\\u0000"}`, 422, 'not_storable', 2],
    ['a lone surrogate', NDJSON, `{"\\udead":1}`, 422, 'not_storable', 1],
    ['bytes that are no UTF-8', NDJSON, Buffer.from('1\n"\xff"\n', 'latin1'), 422, 'not_storable', 2],
    ['a custom_id that is no text', NDJSON, `1\n{"custom_id":1,"input":1}`, 422, 'invalid_item', 2],
    [
      'a custom_id over the limit',
      NDJSON,
      `{"custom_id":"${'x'.repeat(256)}","input":1}`,
      422,
      'invalid_item',
      1,
    ],
    [
      'a custom_id given twice',
      NDJSON,
      `{"custom_id":"a","input":1}\n\n{"custom_id":"a","input":1}`,
      422,
      'duplicate_custom_id',
      3,
    ],
    [
      'a custom_id given twice, far apart',
      NDJSON,
      [...many, '', many[7], ...many.slice(0, 5)].join('\n'),
      422,
      'duplicate_custom_id',
      30_002,
    ],
    [
      'a custom_id twice in a JSON array',
      JSON_ARRAY,
      `[{"custom_id":"a",\n"input":1},\n\n{"custom_id":"a",\n"input":2}]`,
      422,
      'duplicate_custom_id',
      4,
    ],
    ['a custom_id twice in CSV', CSV, `custom_id,x\r\na,"1\r\n2"\r\na,2\r\n`, 422, 'duplicate_custom_id', 4],
    [
      'a custom_id that is a later index',
      NDJSON,
      `{"custom_id":"2","input":1}\n1\n\n2\n`,
      422,
      'duplicate_custom_id',
      4,
    ],
    [
      'a custom_id that is an earlier index',
      NDJSON,
      `\n1\n{"custom_id":"0","input":1}\n`,
      422,
      'duplicate_custom_id',
      3,
    ],
    ['an oversized line', NDJSON, `1\n${long}\n2`, 413, 'item_too_large', 2],
    ['an oversized element', JSON_ARRAY, `[1,\n\n${long}]`, 413, 'item_too_large', 3],
    ['an oversized record', CSV, `a\n1\n${'x'.repeat(1_048_577)}\n`, 413, 'item_too_large', 3],
    [
      'an item that nests too deep',
      NDJSON,
      `1\n${'['.repeat(600)}${']'.repeat(600)}`,
      422,
      'invalid_item',
      2,
    ],
    ['too many items', NDJSON, '1\n'.repeat(50_001), 422, 'too_many_items', 50_001],
    ['too many bytes', NDJSON, `${' '.repeat(1000)}\n`.repeat(9000), 413, 'body_too_large', undefined],
    [
      'a gzip stream that is none',
      { ...NDJSON, 'Content-Encoding': 'gzip' },
      '1\n2\n',
      400,
      'malformed_request',
      undefined,
    ],
    [
      'a gzip stream cut off',
      { ...NDJSON, 'Content-Encoding': 'gzip' },
      gzipSync(three).subarray(0, 15),
      400,
      'upload_incomplete',
      undefined,
    ],
    [
      'too many bytes once unpacked',
      { ...NDJSON, 'Content-Encoding': 'gzip' },
      gzipSync('1\n'.repeat(20).padEnd(9_000_000, '\n')),
      413,
      'body_too_large',
      undefined,
    ],
    [
      'an unknown content type',
      { 'Content-Type': 'application/xml' },
      '<a/>',
      415,
      'unsupported_media_type',
      undefined,
    ],
    [
      'another charset',
      { 'Content-Type': 'text/csv; charset=latin1' },
      'a\n1',
      415,
      'unsupported_media_type',
      undefined,
    ],
    [
      'an unknown encoding',
      { ...NDJSON, 'Content-Encoding': 'br' },
      '1',
      415,
      'unsupported_media_type',
      undefined,
    ],
  ])('%s', async (_name, headers, body, status, code, line) => {
    const { id } = await api.create();
    await api.put(id, three);
    const reply = await api.put(id, body, headers);
    expect([reply.status, reply.body.code, reply.body.errors?.[0]?.line]).toEqual([status, code, line]);
    expect((await itemsOf(id)).map((item) => item.input)).toEqual(['a', 'b', 'c']);
    await until('what it had written is gone', async () => (await storedItems(id)) === 3);
    expect((await api.put(id, '1\n')).status).toBe(200);
  });
});

describe('who may upload, and when', () => {
  it('a started job takes no items', async () => {
    const { id } = await api.create();
    await api.put(id, '1\n');
    await api.call(`/v1/jobs/${id}/start`, { method: 'POST' });
    const reply = await api.put(id, '1\n2\n');
    expect([reply.status, reply.body.code]).toEqual([409, 'job_not_open']);
  });

  it("another tenant's job is not found", async () => {
    const { id } = await api.create();
    const { key } = await api.newTenant();
    const reply = await api.call(`/v1/jobs/${id}/items`, {
      method: 'PUT',
      body: '1\n',
      key,
      headers: NDJSON,
    });
    expect([reply.status, reply.body.code]).toEqual([404, 'not_found']);
    expect(await storedItems(id)).toBe(0);
  });
});

/** An upload by hand, whose body comes when the test says so. */
function beginUpload(jobId: string, headers: string[] = ['Transfer-Encoding: chunked']): Socket {
  const socket = connect(api.port, '127.0.0.1');
  socket.on('error', () => undefined);
  const lines = [
    `PUT /v1/jobs/${jobId}/items HTTP/1.1`,
    'Host: x',
    `Authorization: Bearer ${api.key}`,
    'Content-Type: application/x-ndjson',
    ...headers,
  ];
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  return socket;
}

function chunk(text: string): string {
  return `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
}

function collect(socket: Socket): { text: string } {
  const answer = { text: '' };
  socket.on('data', (data) => (answer.text += data.toString()));
  return answer;
}

const UPLOADING = statement<{ n: number }>(
  'test.uploading',
  `select count(*)::int as n from pg_stat_activity where datname = current_database() and query ilike 'copy items%'
   and state = 'active'`,
);

const TERMINATE = statement(
  'test.terminate',
  `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()
   and query ilike 'copy items%' and state = 'active'`,
);

async function uploadsRunning(): Promise<number> {
  return (await api.database.run(UPLOADING))[0]?.n ?? -1;
}

describe('connections', () => {
  it('cut in mid-upload: the job is as it was and nothing stays open', async () => {
    const { id } = await api.create();
    await api.put(id, '"kept"\n');
    const socket = beginUpload(id);
    socket.write(chunk('1\n2\n3\n'));
    await until('the upload runs', async () => (await uploadsRunning()) === 1);
    socket.destroy();
    await until('its transaction is gone', async () => (await uploadsRunning()) === 0);
    await until('its rows are gone', async () => (await storedItems(id)) === 1);
    expect((await itemsOf(id)).map((item) => item.input)).toEqual(['kept']);
  });

  it('that end before the announced length: the job is as it was', async () => {
    const { id } = await api.create();
    await api.put(id, '"kept"\n');
    const socket = beginUpload(id, ['Content-Length: 100']);
    socket.resume();
    socket.end('1\n2\n3\n');
    await once(socket, 'close');
    await until('its transaction is gone', async () => (await uploadsRunning()) === 0);
    expect((await itemsOf(id)).map((item) => item.input)).toEqual(['kept']);
  });

  it('get the answer to a fault at once, while they still send', async () => {
    const { id } = await api.create();
    const socket = beginUpload(id);
    const answer = collect(socket);
    socket.write(chunk('1\n{\n2\n'));
    await until('the answer', () => answer.text.includes('"malformed_ndjson"'));
    expect(answer.text).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer.text.toLowerCase()).toContain('connection: close');
  });

  it('get the answer to a duplicate at once, though PostgreSQL alone knows of it', async () => {
    const { id } = await api.create();
    const socket = beginUpload(id);
    const answer = collect(socket);
    const line = '{"custom_id":"twice","input":1}\n';
    socket.write(chunk(line + line + '1\n'.repeat(20_000)));
    await until('the answer', () => answer.text.includes('"duplicate_custom_id"'));
    expect(answer.text).toContain('"line":2');
    socket.destroy();
  });

  it('that push megabytes without listening still get the answer, not a reset', async () => {
    const { id } = await api.create();
    const body = `{\n${`${JSON.stringify('x'.repeat(1000))}\n`.repeat(7_000)}`;
    for (let round = 0; round < 5; round++) {
      const reply = await api.put(id, body);
      expect([reply.status, reply.body.code]).toEqual([400, 'malformed_ndjson']);
    }
  });

  it('learn at once that PostgreSQL dropped its side, and the process lives on', async () => {
    const { id } = await api.create();
    await api.put(id, '"kept"\n');
    const socket = beginUpload(id);
    const answer = collect(socket);
    socket.write(chunk('1\n'));
    await until('the upload runs', async () => (await uploadsRunning()) === 1);
    await api.database.run(TERMINATE);
    await until('the answer', () => answer.text.includes('"dependency_unavailable"'));
    expect(answer.text).toMatch(/^HTTP\/1\.1 503 /);
    expect((await itemsOf(id)).map((item) => item.input)).toEqual(['kept']);
    socket.destroy();
  });
});

describe('two uploads at once', () => {
  it('do not wait for each other, and the one that ends last wins', async () => {
    const { id } = await api.create();
    const first = beginUpload(id);
    const answer = collect(first);
    first.write(chunk('{"custom_id":"same","input":"first"}\n'));
    await until('the first runs', async () => (await uploadsRunning()) === 1);
    const second = await api.put(id, '{"custom_id":"same","input":"second"}\n"more"\n');
    expect(second.body.counts.total).toBe(2);
    expect((await itemsOf(id))[0]?.input).toBe('second');
    first.write(`${chunk('"last"\n')}0\r\n\r\n`);
    await until('the first ends', () => answer.text.includes('"total":2'));
    expect((await itemsOf(id)).map((item) => item.input)).toEqual(['first', 'last']);
    expect(await storedItems(id)).toBe(2);
    first.destroy();
  });

  it('many at once leave exactly one of them', async () => {
    const { id } = await api.create();
    const bodies = [1, 2, 3, 4, 5, 6].map((n) => `${JSON.stringify(n)}\n`.repeat(n * 100));
    const replies = await Promise.all(bodies.map((body) => api.put(id, body)));
    expect(replies.map((reply) => reply.status)).toEqual([200, 200, 200, 200, 200, 200]);
    const { body: job } = await api.call(`/v1/jobs/${id}`);
    const [first] = await itemsOf(id);
    expect(job.counts.total).toBe(Number(first?.input) * 100);
    expect(await storedItems(id)).toBe(job.counts.total);
  });

  it('a job that was started under an upload stays as it was started', async () => {
    const { id } = await api.create();
    await api.put(id, '"a"\n');
    const socket = beginUpload(id);
    const answer = collect(socket);
    socket.write(chunk('"late"\n'));
    await until('the upload runs', async () => (await uploadsRunning()) === 1);
    expect((await api.call(`/v1/jobs/${id}/start`, { method: 'POST' })).status).toBe(202);
    socket.write('0\r\n\r\n');
    await until('the answer', () => answer.text.includes('"job_not_open"'));
    expect((await itemsOf(id)).map((item) => item.input)).toEqual(['a']);
    socket.destroy();
  });
});

describe('with small limits', () => {
  let small: BatchApi;
  beforeAll(async () => {
    small = await startBatchApi({
      limits: { pace: { bytesPerSecond: 1000, windowMs: 150 } },
      uploads: { perTenant: 1, total: 2 },
    });
  });
  afterAll(() => small.close());

  it('an upload that dribbles is cut with 408', async () => {
    const { id } = await small.create();
    const socket = connect(small.port, '127.0.0.1');
    socket.on('error', () => undefined);
    const answer = collect(socket);
    socket.write(
      `PUT /v1/jobs/${id}/items HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${small.key}\r\n` +
        'Content-Type: application/x-ndjson\r\nContent-Length: 1000000\r\n\r\n1\n',
    );
    await until('the answer', () => answer.text.includes('"upload_too_slow"'));
    expect(answer.text).toMatch(/^HTTP\/1\.1 408 /);
    await until('the connection ends', () => socket.destroyed || socket.readableEnded);
  });

  it('more uploads than a tenant may have at once are refused, and others are not', async () => {
    const { id } = await small.create();
    const socket = connect(small.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(
      `PUT /v1/jobs/${id}/items HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${small.key}\r\n` +
        'Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n',
    );
    const feed = setInterval(() => socket.write(chunk(`"${'x'.repeat(500)}"\n`)), 20);
    const refused = await until('a refusal', async () => {
      const reply = await small.put(id, '1\n');
      return reply.status === 429 && reply;
    });
    expect(refused.body.code).toBe('too_many_uploads');
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    const other = await small.newTenant();
    const job = await small.call('/v1/jobs', { body: { handler: 'echo' }, key: other.key });
    const path = `/v1/jobs/${job.body.id}/items`;
    const reply = await small.call(path, { method: 'PUT', body: '1\n', key: other.key, headers: NDJSON });
    expect(reply.status).toBe(200);
    clearInterval(feed);
    socket.destroy();
    await until('its place is free again', async () => (await small.put(id, '1\n')).status === 200);
  });
});
