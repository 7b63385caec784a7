import { formatKey } from '../../src/domain/key/key-format';
import { call } from '../support/api';
import { startTwinApis, statusesOf, type TwinApis } from '../support/twin-apis';
import { until } from '../support/wait';

describe('limits on requests over two API processes', () => {
  let twins: TwinApis;

  beforeAll(async () => {
    twins = await startTwinApis({ MILLRACE_AUTH_FAILURES_PER_MINUTE: '3' });
  });
  afterAll(() => twins.close());

  const freeTenant = async () => {
    const [api] = twins.apis;
    const tenant = await call(api, '/v1/tenants', {
      key: twins.adminKey,
      body: { name: 'free', plan: 'free' },
    });
    const id: string = tenant.body.id;
    return { id, key: await api.createKey({ tenantId: id, scopes: ['jobs:read', 'jobs:write'] }) };
  };
  const counted = async (name: string, whose: string): Promise<number> =>
    Number(await twins.redis.get(`${twins.prefix}limit:${name}:${whose}`));

  test('of 100 requests a free tenant gets 60 through, and what the minute refuses does not burn the day', async () => {
    const { id, key } = await freeTenant();
    const asked = Array.from({ length: 100 }, (_, i) =>
      call(twins.apis[i % 2 === 0 ? 0 : 1], '/v1/handlers', { key }),
    );
    const replies = await Promise.all(asked);
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(60);
    expect(replies.filter(({ status }) => status === 429)).toHaveLength(40);
    expect(await counted('minute', id)).toBe(60);
    const day = new Date().toISOString().slice(0, 10);
    await until('the day to have counted what was let through', async () => {
      return (await counted('day', `${id}:${day}`)) === 60;
    });
  });

  test('every answer to a known key has the RateLimit fields, whatever it is', async () => {
    const { key } = await freeTenant();
    const [api] = twins.apis;
    const replies = [
      await call(api, '/v1/handlers', { key }),
      await call(api, '/v1/jobs/job_00000000000000000000000000', { key }),
      await call(api, '/v1/jobs', { key, body: { handler: 1 } }),
      await call(api, '/v1/jobs', { key, body: '{' }),
      await call(api, '/v1/tenants', { key, body: { name: 'x', plan: 'free' } }),
    ];
    expect(replies.map(({ status }) => status)).toEqual([200, 404, 422, 400, 403]);
    replies.forEach(({ headers }, i) => {
      expect(headers.get('ratelimit-policy')).toBe('"minute";q=60;w=60,"day";q=5000;w=86400');
      const [, minute, day] =
        /^"minute";r=(\d+);t=\d+,"day";r=(\d+);t=\d+$/.exec(headers.get('ratelimit') ?? '') ?? [];
      expect([minute, day]).toEqual([String(59 - i), String(4_999 - i)]);
    });
    const first = replies[0]?.headers.get('ratelimit') ?? '';
    const [, minuteEnds = '', dayEnds = ''] = /t=(\d+),.*t=(\d+)$/.exec(first) ?? [];
    expect(Number(minuteEnds)).toBeLessThanOrEqual(60);
    expect(Number(minuteEnds)).toBeGreaterThan(50);
    const midnight = 86_400 - ((Date.now() / 1000) % 86_400);
    expect(Math.abs(Number(dayEnds) - midnight)).toBeLessThan(60);
  });

  test('no such fields without a key that is known, nor where a plan has no limits', async () => {
    const [api] = twins.apis;
    const replies = [
      await call(api, '/v1/handlers'),
      await call(api, '/healthz'),
      await call(api, '/v1/handlers', { key: twins.adminKey }),
    ];
    expect(replies.map(({ status }) => status)).toEqual([401, 200, 200]);
    for (const { headers } of replies) {
      expect(headers.get('ratelimit-policy')).toBeNull();
      expect(headers.get('ratelimit')).toBeNull();
    }
  });

  test('a refusal is a problem that names the limit, and Retry-After does not point before its end', async () => {
    const { id, key } = await twins.tenantWith({ minute: 3, day: 1_000 });
    expect(await statusesOf(twins.apis[0], key, 3)).toEqual({ 200: 3 });
    const refused = await call(twins.apis[1], '/v1/handlers', { key });
    const leftMs = await twins.redis.pttl(`${twins.prefix}limit:minute:${id}`);
    expect(refused.status).toBe(429);
    expect(refused.headers.get('content-type')).toBe('application/problem+json');
    expect(refused.body).toMatchObject({
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      status: 429,
      code: 'rate_limited',
      'violated-policies': ['minute'],
    });
    const waitSeconds = Number(refused.headers.get('retry-after'));
    expect(waitSeconds * 1000).toBeGreaterThanOrEqual(leftMs);
    expect(waitSeconds).toBeLessThanOrEqual(64);
    expect(refused.headers.get('ratelimit')).toMatch(/^"minute";r=0;t=\d+/);
    expect((await call(twins.apis[0], '/problems/rate_limited')).status).toBe(200);
  });

  test('an upload costs ten requests, a download of results five', async () => {
    const { key } = await twins.tenantWith({ minute: 100 });
    const [api] = twins.apis;
    const left = (headers: Headers): number => Number(/r=(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1]);
    const job = await call(api, '/v1/jobs', { key, body: { handler: 'echo' } });
    expect({ status: job.status, left: left(job.headers) }).toEqual({ status: 201, left: 99 });
    const upload = await call(api, `/v1/jobs/${job.body.id}/items`, {
      method: 'PUT',
      key,
      headers: { 'Content-Type': 'application/x-ndjson' },
      body: '1\n',
    });
    expect({ status: upload.status, left: left(upload.headers) }).toEqual({ status: 200, left: 89 });
    const download = await call(api, `/v1/jobs/${job.body.id}/results`, { key });
    expect({ status: download.status, left: left(download.headers) }).toEqual({ status: 200, left: 84 });
    const document = (await call(api, '/openapi.json')).body;
    expect(document.paths['/v1/jobs/{id}/items'].put).toMatchObject({ 'x-cost': 10 });
    expect(document.paths['/v1/jobs/{id}/results'].get).toMatchObject({ 'x-cost': 5 });
    expect(document.paths['/v1/jobs/{id}'].get).toMatchObject({ 'x-cost': 1 });
    expect(document.paths['/v1/jobs/{id}'].get.responses['200'].headers).toHaveProperty('RateLimit');
    expect(document.paths['/v1/jobs/{id}'].get.responses['429'].headers).toHaveProperty('Retry-After');
    expect(document.paths['/healthz'].get).not.toHaveProperty('x-cost');
  });

  test('a key with limits of its own stops at them, its siblings go on', async () => {
    const { id, key } = await twins.tenantWith({ minute: 100 });
    const made = await call(twins.apis[0], '/v1/api-keys', {
      key: twins.adminKey,
      body: { name: 'tight', scopes: ['jobs:read'], tenant_id: id, requests_per_minute: 4 },
    });
    const tight: string = made.body.secret;
    expect(await statusesOf(twins.apis[0], tight, 2)).toEqual({ 200: 2 });
    expect(await statusesOf(twins.apis[1], tight, 6)).toEqual({ 200: 2, 429: 4 });
    const refused = await call(twins.apis[0], '/v1/handlers', { key: tight });
    expect(refused.body['violated-policies']).toEqual(['key-minute']);
    expect(await statusesOf(twins.apis[0], key, 5)).toEqual({ 200: 5 });
  });

  test('what a key is refused for its scopes is counted', async () => {
    const { key } = await twins.tenantWith({ minute: 2 });
    const ask = async () => (await call(twins.apis[0], '/v1/plans', { key, body: {} })).status;
    expect([await ask(), await ask(), await ask()]).toEqual([403, 403, 429]);
  });

  test('keys that are not accepted have a limit by address and cost no tenant anything; a real key goes on', async () => {
    const { id, key } = await twins.tenantWith({ minute: 50 });
    const [api] = twins.apis;
    expect(await statusesOf(api, key, 1)).toEqual({ 200: 1 });
    expect(await statusesOf(api, 'mrk_wrong', 5)).toEqual({ 401: 3, 429: 2 });
    const refused = await call(api, '/v1/handlers', { key: 'mrk_wrong' });
    expect(refused.body.code).toBe('too_many_failures');
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await statusesOf(api, key, 1)).toEqual({ 200: 1 });
    expect(await counted('minute', id)).toBe(2);
    const unseen = await api.createKey({ tenantId: id, scopes: ['jobs:read'] });
    expect(await statusesOf(api, unseen, 2)).toEqual({ 200: 2 });
    const madeUp = formatKey('D'.repeat(30));
    expect(await statusesOf(api, madeUp, 2)).toEqual({ 429: 2 });
  });
});
