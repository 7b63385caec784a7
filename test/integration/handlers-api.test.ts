/** Handlers as the API shows them, and what becomes of their secret params. */
import { call, type Call, startApi, type TestApi } from '../support/api';
import { withClient } from '../../tools/servers/postgres';

const SECRET = 'hunter2-hunter2';

interface Listed {
  name: string;
}

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

const ask = (route: string, how: Call = {}) => call(api, route, { key: api.adminKey, ...how });

describe('handlers', () => {
  test('are listed in order of name, each with JSON Schemas of what it takes and gives', async () => {
    const { status, body } = await ask('/v1/handlers');
    expect([status, body.next_cursor]).toEqual([200, null]);
    expect((body.data as Listed[]).map(({ name }) => name)).toEqual(['echo', 'http', 'transform']);
    const [echo, http, transform] = body.data;
    expect(echo).toEqual({
      object: 'handler',
      name: 'echo',
      description: expect.any(String),
      params_schema: null,
      input_schema: null,
      output_schema: null,
      secret_params: [],
      remote: false,
    });
    expect(transform.params_schema).toMatchObject({ type: 'object', required: ['expression'] });
    expect(http.secret_params).toContain('secret_headers');
    expect(http.params_schema).toMatchObject({
      type: 'object',
      required: ['url'],
      additionalProperties: false,
      properties: { secret_headers: { type: 'object', writeOnly: true } },
    });
    for (const about of Object.values(http.params_schema.properties)) {
      expect(about).toMatchObject({ description: expect.stringMatching(/\w/) });
    }
  });

  test('can be asked for one by one, and one that is not there is a 404', async () => {
    const { body } = await ask('/v1/handlers');
    expect((await ask('/v1/handlers/http')).body).toEqual(body.data[1]);
    for (const name of ['nothing', 'HTTP', '%2e%2e', 'constructor']) {
      expect((await ask(`/v1/handlers/${name}`)).body).toMatchObject({ status: 404, code: 'not_found' });
    }
  });

  test('are shown to whoever may read jobs, and to nobody else', async () => {
    const reader = await api.createKey({ scopes: ['jobs:read'] });
    const other = await api.createKey({ scopes: ['keys:read', 'jobs:write'] });
    for (const route of ['/v1/handlers', '/v1/handlers/echo']) {
      expect((await ask(route, { key: reader })).status).toBe(200);
      expect((await ask(route, { key: other })).body).toMatchObject({ code: 'missing_scope' });
      expect((await call(api, route)).status).toBe(401);
    }
  });

  test('are in the OpenAPI document', async () => {
    const { body } = await ask('/openapi.json');
    expect(Object.keys(body.paths)).toEqual(expect.arrayContaining(['/v1/handlers', '/v1/handlers/{name}']));
    expect(body.components.schemas.Handler.properties).toHaveProperty('params_schema');
  });
});

describe('params of http', () => {
  const create = (params: object, headers: Record<string, string> = {}) =>
    ask('/v1/jobs', { body: { handler: 'http', params }, headers });

  test.each<[object, string]>([
    [{ url: 'http://169.254.169.254/latest/meta-data' }, 'not on the public internet'],
    [{ url: 'http://localhost:8080/' }, 'not on the public internet'],
    [{ url: 'http://redis:6379/' }, 'Port 6379'],
    [{ url: 'http://[::ffff:7f00:1]/{{input}}' }, 'not on the public internet'],
    [{ url: 'gopher://example.com' }, 'expected an http or https URL'],
  ])('that would lead into this network are refused at once: %j', async (params, detail) => {
    const { body } = await create(params);
    expect(body).toMatchObject({
      status: 422,
      code: 'invalid_params',
      errors: [{ pointer: '/params/url', detail: expect.stringContaining(detail) }],
    });
  });

  test('that are secret are nowhere in clear: not in answers, not in the database, not in the log', async () => {
    const params = {
      url: 'https://example.com/{{input.id}}',
      headers: { Authorization: `Bearer ${SECRET}-a`, 'X-Trace': '{{index}}' },
      secret_headers: { 'X-Api-Key': `${SECRET}-b`, 'X-Other': `${SECRET}-{{input}}` },
    };
    const shown = {
      url: params.url,
      headers: { Authorization: '[redacted]', 'X-Trace': '{{index}}' },
      secret_headers: { 'X-Api-Key': '[redacted]', 'X-Other': '[redacted]' },
    };
    const created = await create(params, { 'Idempotency-Key': 'secret-1' });
    expect(created.body).toMatchObject({ status: 'created', params: shown });
    const again = await create(params, { 'Idempotency-Key': 'secret-1' });
    expect([again.headers.get('idempotency-replayed'), again.body]).toEqual(['true', created.body]);
    const reads = [`/v1/jobs/${created.body.id}`, '/v1/jobs'];
    const replies = await Promise.all(reads.map((route) => ask(route)));
    expect(replies[0]?.body.params).toEqual(shown);
    expect(replies.map(({ text }) => text).join()).not.toContain(SECRET);
    expect(JSON.stringify(api.logged())).not.toContain(SECRET);
    const rows = await everyRow();
    expect(rows).toContain(params.url);
    expect(rows).not.toContain(SECRET);
    expect(rows).not.toContain(Buffer.from(SECRET).toString('hex'));
    expect(rows).not.toContain(Buffer.from(SECRET).toString('base64').slice(0, 12));
  });

  test('that are refused do not come back in the refusal', async () => {
    const { text, body } = await create({
      url: 'https://example.com/',
      secret_headers: { 'X-Key': `${SECRET}\n`, 'X-Number': 4711, 'bad name': SECRET },
    });
    expect(body).toMatchObject({ code: 'invalid_params' });
    expect(text).not.toMatch(/hunter2|4711/);
  });

  test('that look like sealed ones are texts like any other, or refused', async () => {
    const sealed = { $sealed: 'AAAA' };
    const refused = await create({ url: 'https://example.com/', secret_headers: { 'X-Key': sealed } });
    expect(refused.body).toMatchObject({ code: 'invalid_params' });
    const { body } = await create({ url: 'https://example.com/', secret_headers: { $sealed: 'AAAA' } });
    expect(body.params.secret_headers).toEqual({ $sealed: '[redacted]' });
  });
});

/** The text of each row of each table. */
function everyRow(): Promise<string> {
  return withClient(api.databaseUrl, async (client) => {
    const { rows: tables } = await client.query<{ name: string }>(
      `select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname = 'public'`,
    );
    const texts: string[] = [];
    for (const { name } of tables) {
      const { rows } = await client.query<{ row: string }>(`select t::text as row from ${name} t`);
      texts.push(...rows.map(({ row }) => row));
    }
    return texts.join('\n');
  });
}
