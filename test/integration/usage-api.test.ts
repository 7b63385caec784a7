import { dayOf, eachDay, monthEnd, monthOf } from '../../src/domain/usage/period';
import { createDatabase, type PostgresDatabase } from '../../src/platform/postgres/pool';
import { call, type Reply, startApi, type TestApi } from '../support/api';
import { quotaEvents } from '../support/usage';
import { until } from '../support/wait';

describe('the usage over HTTP', () => {
  let api: TestApi;
  let db: PostgresDatabase;
  let plans = 0;

  beforeAll(async () => {
    api = await startApi();
    db = createDatabase({
      url: api.databaseUrl,
      max: 2,
      applicationName: 'test',
      onIdleError: () => undefined,
    });
  });
  afterAll(async () => {
    await db.close();
    await api.close();
  });

  const today = (): string => dayOf(new Date());
  const asAdmin = (path: string, body?: object): Promise<Reply> =>
    call(api, path, { key: api.adminKey, ...(body && { body }) });

  interface Member {
    tenantId: string;
    keyId: string;
    key: string;
  }

  const addKey = async (tenantId: string): Promise<Member> => {
    const scopes = ['jobs:read', 'jobs:write', 'keys:read'];
    const made = await asAdmin('/v1/api-keys', { name: 'test', tenant_id: tenantId, scopes });
    expect(made.status).toBe(201);
    return { tenantId, keyId: made.body.id, key: made.body.secret };
  };

  /** A tenant with a key of its own, on a plan of its own. */
  const memberOn = async (limits: Record<string, number>): Promise<Member> => {
    const plan = `usage-${plans++}`;
    expect((await asAdmin('/v1/plans', { name: plan, ...limits })).status).toBe(201);
    const tenant = await asAdmin('/v1/tenants', { name: 'test', plan });
    expect(tenant.status).toBe(201);
    return addKey(tenant.body.id);
  };

  const times = async (n: number, ask: () => Promise<Reply>): Promise<number[]> => {
    const answers: number[] = [];
    for (let i = 0; i < n; i++) answers.push((await ask()).status);
    return answers;
  };

  /** As an admin sees it, once it is as `fits` says. */
  const usageThat = (member: Member, fits: (body: Reply['body']) => boolean): Promise<Reply['body']> =>
    until('the usage', async () => {
      const { body } = await asAdmin(`/v1/usage?tenant_id=${member.tenantId}`);
      return fits(body) && body;
    });
  const keyUsage = async ({ keyId }: Member): Promise<Reply['body']> =>
    (await asAdmin(`/v1/api-keys/${keyId}/usage`)).body;

  test('shows each limit of the plan, how far it is used and when it is all there again', async () => {
    const member = await memberOn({
      ...{ requests_per_minute: 100, requests_per_day: 1_000, items_per_month: 10, running_jobs: 3 },
    });
    await times(2, () => call(api, '/v1/me', { key: member.key }));
    const job = await call(api, '/v1/jobs', { key: member.key, body: { handler: 'echo', items: [1, 2, 3] } });
    expect(job.status).toBe(202);
    const { status, body } = await call(api, '/v1/usage', { key: member.key });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      object: 'usage',
      tenant_id: member.tenantId,
      limits: {
        requests_per_minute: { allowed: 100 },
        requests_per_day: {
          allowed: 1_000,
          resets_at: `${dayOf(new Date(Date.now() + 86_400_000))}T00:00:00.000Z`,
        },
        items_per_month: {
          ...{ used: 3, allowed: 10, remaining: 7, resets_at: monthEnd(today()).toISOString() },
        },
        running_jobs: { used: 0, allowed: 3, remaining: 3, resets_at: null },
      },
      from: monthOf(new Date()),
      to: today(),
      day: { date: today(), items: 0, refused: {} },
    });
    const { requests_per_minute: minute, requests_per_day: day } = body.limits;
    expect(minute.used).toBeGreaterThanOrEqual(4);
    expect(minute.used + minute.remaining).toBe(100);
    expect(Date.parse(minute.resets_at) - Date.now()).toBeLessThanOrEqual(60_000);
    expect(day.used + day.remaining).toBe(1_000);
  });

  test('shows no numbers where there is no limit', async () => {
    const { body } = await asAdmin('/v1/usage');
    expect(body).toMatchObject({ tenant_id: api.tenantId, plan: 'unlimited' });
    const none = { used: null, allowed: null, remaining: null, resets_at: null };
    expect(body.limits.requests_per_minute).toEqual(none);
    expect(body.limits.requests_per_day).toEqual(none);
    expect(body.limits.items_per_month).toMatchObject({ allowed: null, remaining: null, resets_at: null });
    expect(body.limits.running_jobs).toMatchObject({ allowed: null, remaining: null });
  });

  test('counts requests by key: served, whatever the answer, or refused, by the policy that did it', async () => {
    const member = await memberOn({ requests_per_minute: 5 });
    const other = await addKey(member.tenantId);
    const answers = [
      ...(await times(2, () => call(api, '/v1/me', { key: member.key }))),
      ...(await times(1, () => call(api, '/v1/jobs/job_01k6z7q0v8e2m9x4t5c3b1a0n7', { key: member.key }))),
      ...(await times(1, () => call(api, '/v1/handlers', { key: member.key, method: 'DELETE' }))),
      ...(await times(2, () => call(api, '/v1/me', { key: other.key }))),
      ...(await times(3, () => call(api, '/v1/me', { key: other.key }))),
    ];
    expect(answers.filter((status) => status === 429).length).toBeGreaterThanOrEqual(3);
    const served = answers.filter((status) => status !== 429 && status !== 405).length;
    const refused = answers.filter((status) => status === 429).length;
    const body = await usageThat(
      member,
      ({ day }) => day.requests === served && (day.refused.minute ?? 0) === refused,
    );
    expect(body.month).toMatchObject({ requests: served, refused: { minute: refused } });
    expect(body.days.at(-1)).toEqual({
      date: today(),
      requests: served,
      items: 0,
      refused: { minute: refused },
    });
    const [mine, others] = [await keyUsage(member), await keyUsage(other)];
    expect(mine).toMatchObject({ object: 'api_key_usage', key_id: member.keyId, tenant_id: member.tenantId });
    expect(mine.day).toEqual({ date: today(), requests: 3, items: 0, refused: {} });
    expect(others.day).toEqual({
      date: today(),
      requests: served - 3,
      items: 0,
      refused: { minute: refused },
    });
  });

  test('a request without a known key counts for nobody', async () => {
    const member = await memberOn({});
    const other = member.key.endsWith('x') ? 'y' : 'x';
    await times(3, () => call(api, '/v1/usage', { key: `${member.key.slice(0, -1)}${other}` }));
    await call(api, '/v1/me', { key: member.key });
    expect((await usageThat(member, ({ day }) => day.requests > 0)).day).toMatchObject({ requests: 1 });
  });

  test('over quota a start is a 429 that names the policy; the job waits, the refusal is counted and told once', async () => {
    const member = await memberOn({ items_per_month: 3 });
    const post = (path: string, body?: object): Promise<Reply> =>
      call(api, path, { key: member.key, method: 'POST', ...(body && { body }) });
    const { body: fits } = await post('/v1/jobs', { handler: 'echo', items: [0] });
    const { body: job } = await post('/v1/jobs', { handler: 'echo' });
    const put = await call(api, `/v1/jobs/${job.id}/items`, {
      ...{ key: member.key, method: 'PUT', body: '1\n2\n3' },
      headers: { 'Content-Type': 'application/x-ndjson' },
    });
    expect(put.status).toBe(200);
    const refused = await post(`/v1/jobs/${job.id}/start`);
    expect(refused.status).toBe(429);
    expect(refused.body).toMatchObject({
      ...{ code: 'quota_exceeded', status: 429, 'violated-policies': ['items-month'] },
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
    });
    const untilReset = (monthEnd(today()).getTime() - Date.now()) / 1_000;
    expect(Math.abs(Number(refused.headers.get('Retry-After')) - untilReset)).toBeLessThan(60);
    const inline = await post('/v1/jobs', { handler: 'echo', items: [1, 2, 3] });
    expect(inline.status).toBe(429);
    const jobs = await call(api, '/v1/jobs', { key: member.key });
    expect(jobs.body.data).toMatchObject([{ id: job.id, status: 'created' }, { id: fits.id }]);
    const body = await usageThat(member, ({ day }) => day.refused['items-month'] === 2 && day.requests >= 4);
    expect(body.day.requests).toBe(4);
    expect(await quotaEvents(db, member.tenantId)).toMatchObject([{ type: 'quota.exceeded' }]);
  });

  test('80 % and 100 % of the requests of a day are told once each, however many are refused after that', async () => {
    const member = await memberOn({ requests_per_day: 10 });
    const told = async (): Promise<unknown[]> =>
      (await quotaEvents(db, member.tenantId)).map(({ type, data }) => [
        type,
        data['quota'],
        data['allowed'],
      ]);
    const ask = (): Promise<Reply> => call(api, '/v1/me', { key: member.key });
    await times(7, ask);
    await usageThat(member, ({ day }) => day.requests === 7);
    expect(await told()).toEqual([]);
    await ask();
    const warning = ['quota.warning', 'requests_per_day', 10];
    await until('the warning', async () => (await told()).length === 1);
    expect(await told()).toEqual([warning]);
    expect(await times(6, ask)).toEqual([200, 200, 429, 429, 429, 429]);
    await until('the end', async () => (await told()).length === 2);
    expect(
      (await usageThat(member, ({ day }) => day.refused.day === 4)).limits.requests_per_day,
    ).toMatchObject({
      ...{ used: 10, allowed: 10, remaining: 0 },
    });
    expect(await told()).toEqual([warning, ['quota.exceeded', 'requests_per_day', 10]]);
    const [, { data } = { data: {} }] = await quotaEvents(db, member.tenantId);
    expect(data).toMatchObject({ tenant_id: member.tenantId, period_start: `${today()}T00:00:00.000Z` });
  });

  test('the same Idempotency-Key works once there is room again', async () => {
    const member = await memberOn({ items_per_month: 1 });
    const ask = (): Promise<Reply> =>
      call(api, '/v1/jobs', {
        ...{ key: member.key, headers: { 'Idempotency-Key': 'once' } },
        body: { handler: 'echo', items: [1, 2] },
      });
    expect((await ask()).status).toBe(429);
    const { body: tenant } = await asAdmin(`/v1/tenants/${member.tenantId}`);
    const more = { key: api.adminKey, method: 'PATCH', body: { items_per_month: 2 } };
    expect((await call(api, `/v1/plans/${tenant.plan}`, more)).status).toBe(200);
    expect((await ask()).status).toBe(202);
    expect((await ask()).headers.get('Idempotency-Replayed')).toBe('true');
  });

  test('days are those asked for, each one, also without use', async () => {
    const { body } = await asAdmin('/v1/usage?from=2026-02-27&to=2026-03-02');
    expect(body.days).toEqual(
      ['2026-02-27', '2026-02-28', '2026-03-01', '2026-03-02'].map((date) => ({
        ...{ date, requests: 0, items: 0, refused: {} },
      })),
    );
    const month = await asAdmin('/v1/usage?to=2026-02-10');
    expect(month.body.days).toHaveLength(10);
    const all = await asAdmin('/v1/usage?from=2027-01-01&to=2028-01-01');
    expect(all.body.days.map(({ date }: { date: string }) => date)).toEqual(
      eachDay({ from: '2027-01-01', to: '2028-01-01' }),
    );
  });

  test.each([
    ['more than 366 days', 'from=2026-01-01&to=2027-01-02', 'from'],
    ['an end before the beginning', 'from=2026-03-02&to=2026-03-01', 'from'],
    ['a day that there is not', 'from=2026-02-30', 'from'],
    ['no date', 'to=tomorrow', 'to'],
    ['the year 0', 'from=0000-01-01&to=0000-01-02', 'from'],
    ['what is unknown', 'since=2026-01-01', 'since'],
  ])('%s is refused by name', async (_what, query, parameter) => {
    for (const path of ['/v1/usage', `/v1/api-keys/${(await memberOn({})).keyId}/usage`]) {
      const { status, body } = await asAdmin(`${path}?${query}`);
      expect(status).toBe(422);
      expect(body).toMatchObject({ code: 'validation_failed' });
      expect(body.errors.map((error: { parameter: string }) => error.parameter)).toContain(parameter);
    }
  });

  test('another tenant, or its key, is the same 404 as none; an admin sees any', async () => {
    const [member, stranger] = [await memberOn({}), await memberOn({})];
    const nobody = { tenantId: 'tnt_01k6z7q0v8e2m9x4t5c3b1a0n7', keyId: 'key_01k6z7q0v8e2m9x4t5c3b1a0n7' };
    const shown = ({ status, body: { detail, code } }: Reply): object => ({ status, detail, code });
    for (const path of [
      (of: { tenantId: string; keyId: string }) => `/v1/usage?tenant_id=${of.tenantId}`,
      (of: { tenantId: string; keyId: string }) => `/v1/api-keys/${of.keyId}/usage`,
    ]) {
      const none = await call(api, path(nobody), { key: member.key });
      expect(none.status).toBe(404);
      expect(shown(await call(api, path(stranger), { key: member.key }))).toEqual(shown(none));
      expect((await call(api, path(member), { key: member.key })).status).toBe(200);
      expect((await asAdmin(path(member))).status).toBe(200);
      expect((await asAdmin(path(nobody))).status).toBe(404);
    }
    expect((await asAdmin('/v1/usage?tenant_id=nonsense')).status).toBe(404);
  });
});
