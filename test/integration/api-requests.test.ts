import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { call, type Call, startApi, type TestApi } from '../support/api';

let api: TestApi;

beforeAll(async () => {
  api = await startApi();
});

afterAll(() => api.close());

function post(body: Call['body'], headers: Record<string, string> = {}) {
  return call(api, '/v1/tenants', { key: api.adminKey, body, headers });
}

/** Bytes on the wire, for what no HTTP client would send. */
async function raw(text: string): Promise<string> {
  const socket = connect(Number(new URL(api.url).port), '127.0.0.1');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.on('error', () => undefined);
  socket.end(text, 'latin1');
  await once(socket, 'close');
  return Buffer.concat(chunks).toString();
}

/** As `fetch`, but the target goes out as it is. */
async function target(path: string, method = 'GET', headers: Record<string, string> = {}) {
  const { port } = new URL(api.url);
  const outgoing = request({ host: '127.0.0.1', port, path, method, headers });
  outgoing.end();
  const [response] = await once(outgoing, 'response');
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return { status: response.statusCode as number, headers: response.headers, text };
}

describe('problems', () => {
  test('have the shape of RFC 9457, a code, a page behind their type, and the id of the request', async () => {
    const reply = await call(api, '/v1/nothing?secret=1', { headers: { 'X-Request-Id': 'abc-123' } });
    expect(reply.headers.get('content-type')).toBe('application/problem+json');
    expect(reply.headers.get('x-request-id')).toBe('abc-123');
    expect(reply.body).toEqual({
      type: '/problems/not_found',
      title: 'Not found',
      status: 404,
      detail: 'There is nothing at this address.',
      instance: '/v1/nothing',
      code: 'not_found',
      request_id: 'abc-123',
    });
    const page = await call(api, reply.body.type);
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    expect(page.text).toContain('not_found');
  });

  test.each([['with spaces in it'], ['x'.repeat(200)], ['<script>']])(
    'a request id like %j is replaced by one of our own',
    async (given) => {
      const reply = await call(api, '/v1/nothing', { headers: { 'X-Request-Id': given } });
      expect(reply.body.request_id).toMatch(/^req_[0-9a-z]{26}$/);
      expect(reply.headers.get('x-request-id')).toBe(reply.body.request_id);
    },
  );

  test('all findings come at once', async () => {
    const { status, body } = await post({ name: 5, plan: 'Gold!', more: 1 });
    expect([status, body.code]).toEqual([422, 'validation_failed']);
    expect(body.errors.map((e: { pointer: string }) => e.pointer).sort()).toEqual([
      '/more',
      '/name',
      '/plan',
    ]);
  });
});

describe('bodies', () => {
  test.each([
    ['{"name": "a",\n "plan": }', 2],
    ['{"name": "a"', 1],
    ['{\n\n"name": "a",\n}', 4],
    ["{'name': 'a'}", 1],
    ['{"name": "a"} // comment', 1],
    ['nonsense', 1],
  ])('malformed JSON %j is a 400 with its line', async (text, line) => {
    const reply = await post(text);
    expect([reply.status, reply.body.code]).toEqual([400, 'malformed_json']);
    expect(reply.body.errors).toEqual([expect.objectContaining({ line })]);
  });

  test('bytes that are not UTF-8 are a 400', async () => {
    const reply = await post(Buffer.from([0x22, 0xff, 0x22]));
    expect([reply.status, reply.body.code]).toEqual([400, 'malformed_json']);
  });

  test('JSON that nests without end is refused before anything can overflow', async () => {
    for (const text of [
      '['.repeat(500_000),
      `${'['.repeat(400_000)}${']'.repeat(400_000)}`,
      '{"a":'.repeat(100_000),
    ]) {
      expect((await post(text)).status).toBe(400);
    }
  });

  test.each([
    ['U+0000 as an escape', '{"name":"a\\u0000b"}'],
    ['a lone surrogate as an escape', '{"name":"\\ud800"}'],
    ['U+0000 in a field name', '{"na\\u0000me":"a"}'],
  ])('%s is a 422 not_storable', async (_title, text) => {
    const reply = await post(text);
    expect([reply.status, reply.body.code]).toEqual([422, 'not_storable']);
  });

  test('an escaped backslash before u0000 is no escape', async () => {
    expect((await post('{"name":"a\\\\u0000b"}')).status).toBe(201);
  });

  test('a field named __proto__ is an unknown field like any other', async () => {
    const reply = await post('{"name":"a","__proto__":{"plan":"premium"},"constructor":1}');
    expect(reply.status).toBe(422);
    expect(reply.body.errors.map((e: { pointer: string }) => e.pointer).sort()).toEqual([
      '/__proto__',
      '/constructor',
    ]);
  });

  test.each([
    ['text/plain'],
    ['application/x-www-form-urlencoded'],
    ['application/json; charset=latin1'],
    [''],
  ])('content type %j is a 415', async (type) => {
    const reply = await post('{"name":"a"}', { 'Content-Type': type });
    expect([reply.status, reply.body.code]).toEqual([415, 'unsupported_media_type']);
  });

  test('no body where one is needed is a 422', async () => {
    const reply = await call(api, '/v1/tenants', { method: 'POST', key: api.adminKey });
    expect([reply.status, reply.body.errors]).toEqual([
      422,
      [{ pointer: '', detail: 'a JSON body is needed' }],
    ]);
  });

  test('a body over 1 MiB is a 413, announced or not, and its sender gets to read that', async () => {
    const text = JSON.stringify({ name: 'x'.repeat(1_100_000) });
    expect((await post(text)).body.code).toBe('body_too_large');
    const { port } = new URL(api.url);
    const headers = { Authorization: `Bearer ${api.adminKey}`, 'Content-Type': 'application/json' };
    const outgoing = request({ host: '127.0.0.1', port, path: '/v1/tenants', method: 'POST', headers });
    outgoing.end(text);
    const [response] = await once(outgoing, 'response');
    expect(response.statusCode).toBe(413);
    response.resume();
  });

  test('a body just within 1 MiB is read', async () => {
    const shell = JSON.stringify({ name: '' }).length;
    const reply = await post(JSON.stringify({ name: 'x'.repeat(1024 * 1024 - shell) }));
    expect(reply.body.errors).toEqual([expect.objectContaining({ pointer: '/name' })]);
  });
});

describe('addresses', () => {
  test.each([
    ['/v1/%', 400, 'malformed_request'],
    ['/v1/me?x=%zz', 400, 'malformed_request'],
    ['/v1/%ff', 400, 'malformed_request'],
    ['/v1/tenants/%00', 422, 'not_storable'],
    ['/healthz?x=%00', 422, 'not_storable'],
    ['/healthz?a=1&a=2', 422, 'validation_failed'],
    ['/healthz?__proto__=1', 422, 'validation_failed'],
    ['//[::1', 404, 'not_found'],
    ['http://[::1', 404, 'not_found'],
    ['*', 404, 'not_found'],
  ])('%s is a %d %s', async (path, status, code) => {
    const reply = await target(path);
    expect([reply.status, JSON.parse(reply.text).code]).toEqual([status, code]);
  });

  test('an absolute target is served like its path', async () => {
    expect((await target('http://example.com/healthz')).status).toBe(200);
  });

  test('an id that cannot exist is a 404', async () => {
    for (const id of [
      'nonsense',
      'tnt_',
      `tnt_${'z'.repeat(26)}`,
      'key_01k6z7q0v8e2m9x4t5c3b1a0n7',
      '%F0%9F%98%80',
    ]) {
      expect((await call(api, `/v1/tenants/${id}`, { key: api.adminKey })).status).toBe(404);
    }
  });

  test('an unknown query parameter is a 422 that names it', async () => {
    const { status, body } = await call(api, '/v1/me?limmit=3', { key: api.adminKey });
    expect([status, body.errors]).toEqual([422, [expect.objectContaining({ parameter: 'limmit' })]]);
  });
});

describe('methods', () => {
  test.each(['DELETE', 'PUT', 'PATCH', 'POST', 'TRACE', 'PROPFIND'])(
    '%s on a known path is a 405 with Allow',
    async (method) => {
      const reply = await target('/v1/me', method);
      expect([reply.status, reply.headers.allow]).toEqual([405, 'GET, HEAD, OPTIONS']);
      expect(JSON.parse(reply.text).code).toBe('method_not_allowed');
    },
  );

  test('any method on an unknown path is a 404', async () => {
    for (const method of ['POST', 'TRACE', 'OPTIONS']) expect((await target('/v2', method)).status).toBe(404);
  });

  test('OPTIONS tells the methods', async () => {
    const reply = await target('/v1/tenants', 'OPTIONS');
    expect([reply.status, reply.headers.allow, reply.text]).toEqual([204, 'GET, HEAD, OPTIONS, POST', '']);
  });

  test('HEAD is GET without the body', async () => {
    const get = await call(api, '/v1/me', { key: api.adminKey });
    const head = await call(api, '/v1/me', { key: api.adminKey, method: 'HEAD' });
    expect([head.status, head.text]).toEqual([200, '']);
    expect(head.headers.get('content-length')).toBe(String(Buffer.byteLength(get.text)));
    expect((await call(api, '/docs/assets/swagger-ui.css', { method: 'HEAD' })).status).toBe(200);
  });
});

describe('what is hardly HTTP', () => {
  test('gets a problem all the same', async () => {
    const answer = await raw('NONSENSE\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain('"code":"malformed_request"');
  });

  test('headers beyond 32 KiB are a 431', async () => {
    const answer = await raw(`GET / HTTP/1.1\r\nHost: x\r\nX-Big: ${'x'.repeat(40_000)}\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
    expect(answer).toContain('"code":"headers_too_large"');
  });
});

describe('pages and documents', () => {
  test('/ leads to the documentation, which asks nothing of any other host', async () => {
    const home = await call(api, '/');
    expect([home.status, home.headers.get('location')]).toEqual([302, '/docs']);
    const docs = await call(api, '/docs?utm_source=mail');
    expect(docs.status).toBe(200);
    const policy = docs.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(`${policy}${docs.text}`).not.toMatch(/https?:\/\//);
    const parts = [...docs.text.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1] ?? '');
    expect(parts.length).toBeGreaterThan(3);
    for (const part of parts) expect((await call(api, part)).status).toBe(200);
    expect((await call(api, '/docs/assets/package.json')).status).toBe(404);
    expect((await call(api, '/docs/assets/..%2fpackage.json')).status).toBe(404);
  });

  test('/openapi.json is the committed document', async () => {
    const { body, headers } = await call(api, '/openapi.json');
    expect(headers.get('content-type')).toContain('application/json');
    expect(body.openapi).toBe('3.1.0');
  });

  test('every code has its page, and nothing else has', async () => {
    const list = await call(api, '/problems');
    const links = [...list.text.matchAll(/href="(\/problems\/[a-z_]+)"/g)].map((match) => match[1] ?? '');
    expect(links.length).toBeGreaterThan(40);
    for (const link of links) expect((await call(api, link)).status).toBe(200);
    for (const code of ['nothing', '__proto__', 'constructor']) {
      expect((await call(api, `/problems/${code}`)).status).toBe(404);
    }
  });
});

describe('health', () => {
  test('alive, ready with each part named, and numbers by route', async () => {
    expect((await call(api, '/healthz')).body).toEqual({ status: 'ok' });
    const ready = await call(api, '/readyz');
    expect([ready.status, ready.body]).toEqual([
      200,
      { status: 'ready', checks: { database: 'up', redis: 'up', temporal: 'up' } },
    ]);
    const numbers = await call(api, '/metrics');
    const counted =
      /^millrace_http_request_seconds_count\{.*method="GET",route="\/healthz",status="200"\} [1-9]/m;
    expect(counted.test(numbers.text)).toBe(true);
    expect(numbers.text.includes('process_cpu_seconds_total')).toBe(true);
  });

  test('a part that is away is told, within a short time, and addresses are not', async () => {
    const lame = await startApi({ TEMPORAL_ADDRESS: '127.0.0.1:1', REDIS_URL: 'redis://127.0.0.1:1' });
    try {
      const { status, body, text } = await call(lame, '/readyz');
      expect([status, body.status]).toEqual([503, 'not_ready']);
      expect(body.checks).toEqual({ database: 'up', redis: 'down', temporal: 'down' });
      expect(text).not.toContain('127.0.0.1');
      expect((await call(lame, '/healthz')).status).toBe(200);
    } finally {
      await lame.close();
    }
  });
});

test('every request leaves one line that tells who did what', async () => {
  await call(api, '/v1/me', { key: api.adminKey, headers: { 'X-Request-Id': 'line-1' } });
  const lines = api
    .logged()
    .filter((line) => line['request_id'] === 'line-1' && line['message'] === 'request');
  expect(lines).toEqual([
    expect.objectContaining({
      role: 'api',
      method: 'GET',
      route: '/v1/me',
      status: 200,
      tenant_id: api.tenantId,
      key_id: expect.stringMatching(/^key_/),
    }),
  ]);
});

test('whatever was sent here, nothing was a 500', () => {
  const failures = api
    .logged()
    .filter((line) => Number(line['status']) >= 500 && line['route'] !== '/readyz');
  expect(failures).toEqual([]);
});
