/** The `http` handler against a real server on the loopback, which is opened to it; 127.0.0.2 is not. */
import { readFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { createHttp } from '../../src/activities/handlers/http';
import type { ItemError, Json } from '../../src/domain/batch/job';
import type { AppError } from '../../src/domain/errors';
import type { ItemOutcome } from '../../src/domain/handler/contract';
import { retryAfterMs } from '../../src/domain/outbound/retry-after';
import { createOutboundClient, type OutboundClient } from '../../src/platform/http/outbound';
import { type BatchOverrides, recordBatch, runAll, toItem } from '../support/handler-batch';

interface Seen {
  method: string;
  url: string;
  headers: http.IncomingHttpHeaders;
  body: string;
}

let server: http.Server;
let client: OutboundClient;
let base: string;
let seen: Seen[];
let answer: (req: Seen, res: http.ServerResponse) => void;

beforeAll(async () => {
  server = http.createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      const { method = '', url = '', headers } = req;
      const one = { method, url, headers, body: Buffer.concat(chunks).toString() };
      seen.push(one);
      answer(one, res);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  client = createOutboundClient({ opened: ['127.0.0.1/32'], userAgent: 'Millrace/test' });
});
beforeEach(() => {
  seen = [];
  answer = (_req, res) => res.end();
});
afterAll(async () => {
  await client.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const run = (
  params: object,
  inputs: readonly Json[] = [{}],
  more: BatchOverrides = {},
): Promise<ItemOutcome[]> =>
  runAll(createHttp(client), inputs, { params: { url: `${base}/`, ...params } as Json, ...more });

/** The error of a single item, and that nothing was sent unless it was. */
async function errorOf(params: object, input: Json = {}): Promise<ItemError | null | undefined> {
  const [outcome] = await run(params, [input]);
  return outcome?.error;
}

async function outputOf(params: object, input: Json = {}): Promise<unknown> {
  const [outcome] = await run(params, [input]);
  if (typeof outcome?.output !== 'string') throw new Error(JSON.stringify(outcome?.error));
  return JSON.parse(outcome.output);
}

const json =
  (text: string, type = 'application/json') =>
  (_req: unknown, res: http.ServerResponse) =>
    res.writeHead(200, { 'content-type': type }).end(text);

describe('the request', () => {
  test('is a GET without a body, a POST with one, or what the params say', async () => {
    await run({});
    await run({ body: 1 });
    await run({ method: 'PUT', body_text: 'x' });
    await run({ method: 'DELETE' });
    expect(seen.map(({ method }) => method)).toEqual(['GET', 'POST', 'PUT', 'DELETE']);
  });

  test("carries the item's idempotency key, unless a header of that name is given", async () => {
    await run({}, [0, 1]);
    await run({ headers: { 'idempotency-key': 'k-{{index}}-{{custom_id}}' } });
    expect(seen.map(({ headers }) => headers['idempotency-key']).toSorted()).toEqual([
      'job_1:0',
      'job_1:1',
      'k-0-0',
    ]);
    expect(seen[0]?.headers['user-agent']).toBe('Millrace/test');
  });

  test('puts values into path and query percent-encoded, where they cannot become anything else', async () => {
    const hostile = '../a/b?c=d&e#f@evil.test\\%2e{{index}}\r\nX: y ü';
    await run({ url: `${base}/p/{{ input.v }}/q?x={{input.v}}&n={{input.list[1]["a b"]}}#{{input.v}}` }, [
      { v: hostile, list: [0, { 'a b': true }] },
    ]);
    const encoded = encodeURIComponent(hostile);
    expect(seen[0]?.url).toBe(`/p/${encoded}/q?x=${encoded}&n=true`);
    const { searchParams } = new URL(base + (seen[0]?.url ?? ''));
    expect(searchParams.get('x')).toBe(hostile);
  });

  test('may go to a URL that each item names', async () => {
    await run({ url: '{{input.url}}' }, [{ url: `${base}/one` }, { url: `${base}/two?x=1` }]);
    expect(seen.map(({ url }) => url).toSorted()).toEqual(['/one', '/two?x=1']);
  });

  test('has a JSON body in which a lone placeholder is the value itself, digit by digit, and others are text', async () => {
    const record = recordBatch({
      params: {
        url: base,
        body: {
          all: '{{input}}',
          id: '{{input.id}}',
          list: ['{{input.tags[0]}}', '{{ input.none }}', 7, null, true, 'plain'],
          text: 'No. {{input.id}} "{{input.name}}" {{input.tags}} {{"{{"}}x}}',
          key: '{{idempotency_key}}',
        },
      },
    });
    const input = '{ "id":12345678901234567890, "name":"a\\"b\\nü", "tags":[1.10,\n"x"], "none":null }';
    await createHttp(client).runItems([toItem(3, input)], record.batch);
    expect(seen[0]?.headers['content-type']).toBe('application/json');
    expect(seen[0]?.body).toBe(
      `{"all":${input},"id":12345678901234567890,"list":[1.10,null,7,null,true,"plain"],` +
        '"text":"No. 12345678901234567890 \\"a\\"b\\nü\\" [1.10,\\"x\\"] {{x}}","key":"job_1:3"}',
    );
    expect(() => JSON.parse(seen[0]?.body ?? '') as unknown).not.toThrow();
  });

  test('has a form, or a text of whatever type', async () => {
    const value = 'a&b=c d+ü';
    await run({ body_form: { 'x y': '{{input.v}}!', z: '1' } }, [{ v: value }]);
    await run({ body_text: '<a>{{input.v}}</a>', headers: { 'content-type': 'text/xml' } }, [{ v: value }]);
    expect(seen.map(({ headers }) => headers['content-type'])).toEqual([
      'application/x-www-form-urlencoded',
      'text/xml',
    ]);
    expect([...new URLSearchParams(seen[0]?.body)]).toEqual([
      ['x y', `${value}!`],
      ['z', '1'],
    ]);
    expect(seen[1]?.body).toBe(`<a>${value}</a>`);
  });

  test('has secret headers as they are, placeholders in them included', async () => {
    await run(
      { headers: { 'X-A': '{{input.a}}' }, secret_headers: { Authorization: 'Bearer {{input.a}}' } },
      [{ a: 'é' }],
    );
    expect(seen[0]?.headers).toMatchObject({ 'x-a': 'é', authorization: 'Bearer {{input.a}}' });
  });

  test.each<[string, object, Json, string]>([
    [
      'a value that is missing',
      { url: '/{{input.a.b[0]}}' },
      { a: { b: [] } },
      '{{input.a.b[0]}} is missing',
    ],
    ['null in a text', { body_text: 'x{{input.a}}' }, { a: null }, '{{input.a}} is null'],
    [
      'nothing where a segment of the path should be',
      { url: '/users/{{input.a}}' },
      { a: '' },
      'is an empty text',
    ],
    ['a way up the path', { url: '/users/{{input.a}}/x' }, { a: '..' }, 'a path with . or .. in it'],
    [
      'a way up the path, in two pieces',
      { url: '/users/.{{input.a}}' },
      { a: '.' },
      'a path with . or .. in it',
    ],
    [
      'a line break in a header',
      { headers: { 'x-a': '{{input.a}}' } },
      { a: 'b\r\nx-b: c' },
      'the header x-a holds',
    ],
    [
      'a letter that no header holds',
      { headers: { 'x-a': '{{input.a}}' } },
      { a: 'ł' },
      'the header x-a holds',
    ],
    ['a URL that is none', { url: '{{input.a}}' }, { a: 'nonsense' }, '{{input.a}} is no URL'],
    ['a URL that is no text', { url: '{{input.a}}' }, { a: { b: 1 } }, '{{input.a}} is no URL'],
    ['a URL with credentials', { url: '{{input.a}}' }, { a: 'http://u:p@example.com/' }, 'holds credentials'],
    [
      'a body that grows beyond all measure',
      { body: Array.from({ length: 30 }, () => '{{input}}') },
      'x'.repeat(100_000),
      'longer than 2097152 characters',
    ],
  ])('%s fails the item, finally and before anything is sent', async (_name, params, input, message) => {
    const { url } = params as { url?: string };
    const full = url?.startsWith('/') ? { ...params, url: base + url } : params;
    const [outcome] = await run(full, [input], { options: { retry: { ...RETRY, max_attempts: 3 } } });
    expect(outcome).toMatchObject({ status: 'failed', attempts: 1, error: { code: 'template_failed' } });
    expect(outcome?.error?.message).toContain(message);
    expect(seen).toEqual([]);
  });
});

const RETRY = { max_attempts: 1, initial_interval_ms: 1, backoff_coefficient: 1, max_interval_ms: 1 };

describe('the output', () => {
  test('has status, a few headers and the body; JSON as it came, on one line', async () => {
    answer = (_req, res) =>
      res
        .writeHead(201, {
          'content-type': 'application/problem+json; charset=utf-8',
          'x-other': '1',
          etag: '"e"',
        })
        .end(gzipOf(res, '{\n  "id": 12345678901234567890,\n  "a": [1.10]\n}\n'));
    const [outcome] = await run({});
    expect(outcome?.output).toBe(
      '{"status":201,"headers":{"content-type":"application/problem+json; charset=utf-8","etag":"\\"e\\""},' +
        '"body":{"id": 12345678901234567890,"a": [1.10]}}',
    );
  });

  test('is the body alone, and has the headers that are asked for', async () => {
    answer = json('[1.0]');
    expect((await run({ response: 'body' }))[0]?.output).toBe('[1.0]');
    expect(await outputOf({ response_headers: ['Date-Is', 'Transfer-Encoding'] })).toEqual({
      status: 200,
      headers: { 'transfer-encoding': 'chunked' },
      body: [1],
    });
  });

  test.each<[string, Buffer | string, string | undefined, unknown]>([
    ['text', 'grün "x"\n', 'text/plain', 'grün "x"\n'],
    ['text of another charset', Buffer.from('grün', 'latin1'), 'text/plain; charset="iso-8859-1"', 'grün'],
    ['text without a type', 'abc', undefined, 'abc'],
    ['JSON that is called text', '{"a":1}', 'text/plain', '{"a":1}'],
    ['JSON that is none', '{"a":', 'application/json', '{"a":'],
    ['lines of JSON', '{}\n{}\n', 'application/x-ndjson', '{}\n{}\n'],
    ['bytes', Buffer.from([0xff, 0xfe, 0x00]), 'image/png', { base64: '//4A' }],
    ['text with U+0000', 'a\u0000b', 'text/plain', { base64: 'YQBi' }],
    ['nothing', '', 'application/json', null],
    ['bytes that are called JSON', Buffer.from([0x80]), 'application/json', { base64: 'gA==' }],
  ])('of %s', async (_name, body, type, expected) => {
    answer = (_req, res) => res.writeHead(200, type === undefined ? {} : { 'content-type': type }).end(body);
    expect(await outputOf({ response: 'body' })).toEqual(expected);
  });

  test('of what cannot be stored, or is too large, is a failure with a code that says so', async () => {
    answer = json('"\\u0000"');
    expect(await errorOf({})).toMatchObject({ code: 'output_not_storable' });
    answer = json('x'.repeat(1_048_577), 'text/plain');
    expect(await errorOf({})).toMatchObject({ code: 'response_too_large' });
    answer = json('"'.repeat(1_000_000), 'text/plain');
    expect(await errorOf({})).toMatchObject({ code: 'output_too_large' });
    answer = (_req, res) =>
      res.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(50_000_000)));
    expect(await errorOf({})).toMatchObject({ code: 'response_too_large' });
  });
});

function gzipOf(res: http.ServerResponse, text: string): Buffer | string {
  return res.headersSent ? text : gzipSync(text);
}

describe('an answer other than 2xx', () => {
  test('is a failure with the status and the beginning of the body, on one line', async () => {
    answer = (_req, res) => res.writeHead(404).end(`no\n  such ${'x'.repeat(2_000_000)}`);
    const error = await errorOf({});
    expect(error).toMatchObject({ code: 'http_status' });
    expect(error?.message).toMatch(/^The server answered 404 Not Found: no such x+…$/);
    expect(error?.message.length).toBeLessThan(400);
  });

  test('does not say a secret back', async () => {
    answer = ({ headers }, res) => res.writeHead(401).end(JSON.stringify(headers));
    const { message } = (await errorOf(
      {
        headers: { Authorization: 'Basic {{input.token}}' },
        secret_headers: { 'X-Secret': 'Bearer hunter2-hunter2' },
      },
      { token: 'dXNlcjpwdw' },
    )) as ItemError;
    expect(message).not.toMatch(/hunter2|dXNlcjpwdw/);
    expect(message).toContain('[redacted]');
  });

  test('is a success where the params say so, and 2xx is none then', async () => {
    answer = ({ url }, res) => res.writeHead(Number(url.slice(1))).end();
    const outcomes = await run(
      { url: `${base}/{{input}}`, success_statuses: [200, 404, 302] },
      [200, 404, 302, 201],
    );
    expect(outcomes.map(({ status }) => status)).toEqual(['succeeded', 'succeeded', 'succeeded', 'failed']);
  });

  test('a redirect is not followed', async () => {
    answer = (_req, res) => res.writeHead(302, { location: `${base}/elsewhere` }).end();
    expect(await errorOf({})).toEqual({
      code: 'http_status',
      message: `The server answered 302 Found to ${base}/elsewhere; redirects are not followed.`,
    });
    expect(seen).toHaveLength(1);
  });

  test.each([
    [408, 3],
    [429, 3],
    [500, 3],
    [503, 3],
    [599, 3],
    [400, 1],
    [404, 1],
    [409, 1],
    [302, 1],
  ])('%d is attempted %d times of 3', async (status, attempts) => {
    answer = (_req, res) => res.writeHead(status).end();
    const [outcome] = await run({}, [0], { options: { retry: { ...RETRY, max_attempts: 3 } } });
    expect([outcome?.attempts, seen.length]).toEqual([attempts, attempts]);
    expect(new Set(seen.map(({ headers }) => headers['idempotency-key'])).size).toBe(1);
  });

  test('is waited for as long as Retry-After says, elsewhere than in a slot', async () => {
    answer = (_req, res) => res.writeHead(503, { 'retry-after': '7200' }).end();
    const [outcome] = await run({}, [0], { options: { retry: { ...RETRY, max_attempts: 3 } } });
    expect(outcome).toMatchObject({ status: 'deferred', delayMs: 7_200_000, attempts: 1 });
  });

  test.each<[string | undefined, number | undefined]>([
    ['120', 120_000],
    [' 0 ', 0],
    ['99999999', 86_400_000],
    ['Thu, 01 Jan 2026 00:01:00 GMT', 60_000],
    ['Thursday, 01-Jan-26 00:01:00 GMT', 60_000],
    ['Wed, 31 Dec 2025 00:00:00 GMT', 0],
    ['Sun, 01 Jan 2040 00:00:00 GMT', 86_400_000],
    ['-1', undefined],
    ['1.5', undefined],
    ['soon', undefined],
    ['2026-01-01', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('Retry-After %s is %s ms', (value, expected) => {
    expect(retryAfterMs(value, Date.UTC(2026, 0, 1))).toBe(expected);
  });
});

describe('no answer', () => {
  test('a server that is not there is tried again, one that may not be called is not', async () => {
    const options = { retry: { ...RETRY, max_attempts: 2 } };
    const [gone] = await run({ url: 'http://127.0.0.1:9/'.replace(':9/', ':59999/') }, [0], { options });
    expect(gone).toMatchObject({ attempts: 2, error: { code: 'connect_failed' } });
    const [denied] = await run({ url: '{{input}}' }, [base.replace('127.0.0.1', '127.0.0.2')], { options });
    expect(denied).toMatchObject({ attempts: 1, error: { code: 'egress_denied' } });
  });

  test('a connection that breaks off is tried again with the same key', async () => {
    answer = (_req, res) => (seen.length < 2 ? res.destroy() : res.end('x'));
    const [outcome] = await run({}, [0], { options: { retry: { ...RETRY, max_attempts: 2 } } });
    expect(outcome).toMatchObject({ status: 'succeeded', attempts: 2 });
  });

  test("the item's time is the deadline, and ends the request", async () => {
    let closed = false;
    answer = (_req, res) => void res.on('close', () => (closed = true)).write('x');
    const [outcome] = await run({}, [0], { options: { item_timeout_ms: 100 } });
    expect(outcome?.error?.code).toBe('handler_timeout');
    while (!closed) await new Promise((resolve) => setImmediate(resolve));
  });
});

describe('params are refused when the job is created', () => {
  const details = async (params: object): Promise<string[]> => {
    const refused = await createHttp(client)
      .validateParams(params as Json)
      .then(
        () => undefined,
        (error: AppError) => error,
      );
    expect([undefined, 'invalid_params']).toContain(refused?.code);
    return (refused?.errors ?? []).map(({ pointer, detail }) => `${pointer} ${detail}`);
  };
  const url = 'https://example.com/';

  test.each<[object, RegExp]>([
    [{}, /^\/params\/url /],
    [{ url: '' }, /^\/params\/url /],
    [{ url: 'example.com' }, /^\/params\/url expected an http or https URL/],
    [{ url: 'ftp://example.com' }, /^\/params\/url expected an http/],
    [{ url: 'https://{{input.host}}/' }, /^\/params\/url .*placeholders stand in its path/],
    [{ url: 'https://example.com{{input.path}}' }, /^\/params\/url .*placeholders stand in its path/],
    [{ url: 'https://example.com:{{input.port}}/' }, /^\/params\/url .*placeholders stand in its path/],
    [{ url: '{{input.base}}/x' }, /^\/params\/url expected/],
    [{ url: 'https://a.test\\{{input.x}}' }, /^\/params\/url .*backslashes|placeholders/],
    [{ url: 'https://example.com/a b' }, /^\/params\/url holds spaces/],
    [{ url: 'https://example.com/a/%2E%2e/b' }, /^\/params\/url has a path with/],
    [{ url: 'https://256.0.0.1/' }, /^\/params\/url is no URL/],
    [{ url: 'https://u:p@example.com/' }, /^\/params\/url .*credentials/],
    [{ url: 'https://example.com/{{input.}}' }, /^\/params\/url \{\{input\.\}\} is no placeholder/],
    [{ url: 'https://example.com/{{secret}}' }, /^\/params\/url .*no placeholder/],
    [{ url: 'http://127.0.0.2/' }, /^\/params\/url .*not on the public internet/],
    [{ url: 'http://0x7f.2/{{input}}' }, /^\/params\/url .*not on the public internet/],
    [{ url: 'http://[::1]/' }, /^\/params\/url .*not on the public internet/],
    [{ url: 'http://169.254.169.254/latest' }, /^\/params\/url .*not on the public internet/],
    [{ url: 'https://example.com:6379/' }, /^\/params\/url Port 6379/],
    [{ url, method: 'get' }, /^\/params\/method /],
    [{ url, headers: { 'a b': 'x' } }, /^\/params\/headers\/a b /],
    [{ url, headers: { Host: 'x' } }, /^\/params\/headers\/Host /],
    [{ url, headers: { 'content-length': '1' } }, /^\/params\/headers\/content-length /],
    [{ url, headers: { a: 'b\nc' } }, /^\/params\/headers\/a holds characters/],
    [{ url, headers: { a: '{{nope}}' } }, /^\/params\/headers\/a .*no placeholder/],
    [{ url, headers: { a: 1 } }, /^\/params\/headers\/a /],
    [{ url, headers: { A: '1' }, secret_headers: { a: '2' } }, /^\/params\/secret_headers\/a is given twice/],
    [{ url, secret_headers: { a: 'hunter2\n' } }, /^\/params\/secret_headers\/a holds characters/],
    [{ url, body: { a: ['{{x}}'] } }, /^\/params\/body\/a\/0 .*no placeholder/],
    [{ url, body: { '{{input}}': 1 } }, /^\/params\/body\/\{\{input\}\} a name is no template/],
    [{ url, body: 1, body_text: 'x' }, /^\/params\/body_text a request has one body/],
    [{ url, body: 1, method: 'GET' }, /^\/params\/body a GET has no body/],
    [{ url, success_statuses: [] }, /^\/params\/success_statuses /],
    [{ url, success_statuses: [99] }, /^\/params\/success_statuses\/0 /],
    [{ url, response: 'all' }, /^\/params\/response /],
    [{ url, retries: 3 }, /^\/params /],
  ])('%j', async (params, expected) => {
    const found = await details(params);
    expect(found).toEqual([expect.stringMatching(expected)]);
    expect(found.join()).not.toContain('hunter2');
  });

  test('not the example of docs/handlers.md', async () => {
    const page = readFileSync(path.join(__dirname, '../../docs/handlers.md'), 'utf8');
    const [, example = ''] = /^```jsonc\n(.*?)^```$/ms.exec(page) ?? [];
    const { handler, params } = JSON.parse(example) as { handler: string; params: object };
    expect(handler).toBe('http');
    expect(await details(params)).toEqual([]);
  });

  test('a body beyond measure', async () => {
    expect(await details({ url, body: 'x'.repeat(300_000) })).toEqual([
      '/params/body expected at most 262144 characters of JSON',
    ]);
  });

  test.each<[object]>([
    [{ url }],
    [{ url: 'https://example.com' }],
    [{ url: '{{input.url}}' }],
    [{ url: 'https://example.com?q={{input.q}}' }],
    [{ url: 'https://[2606:4700:4700::1111]:8443/{{input["größe"]}}' }],
    [{ url: 'https://example.com/', headers: { 'X-A': '{{ input.a[0].b-c }}' }, body: null }],
  ])('not %j', async (params) => {
    expect(await details(params)).toEqual([]);
  });
});
