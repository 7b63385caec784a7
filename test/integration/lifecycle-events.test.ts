/** What happens to keys and tenants is told in the transaction of the change, as it is described, and without a secret. */
import Ajv2020 from 'ajv/dist/2020';
import addFormats from 'ajv-formats';
import { builtInTypes } from '../../src/domain/events/built-in';
import { decodeId } from '../../src/domain/ids';
import { createDatabase, type PostgresDatabase } from '../../src/platform/postgres/pool';
import { statement } from '../../src/platform/postgres/statement';
import { call, type Reply, startApi, type TestApi } from '../support/api';
import { makeKey, makeTenant, outcome, patchKey, revokeKey, rotateKey } from '../support/keys';

interface Told {
  type: string;
  subject: string;
  data: string;
  queued: boolean;
}

const TOLD = statement<Told>(
  'test.told',
  `select type, subject, data, exists (select from outbox o where o.event_id = e.id) as queued from events e
   where tenant_id = $1 order by seq`,
);
const ALL = statement<Told>(
  'test.all',
  'select type, subject, data, true as queued from events order by seq',
);

let api: TestApi;
let db: PostgresDatabase;
let tenantId: string;
beforeAll(async () => {
  api = await startApi();
  db = createDatabase({
    url: api.databaseUrl,
    max: 2,
    applicationName: 'test',
    onIdleError: () => undefined,
  });
});
beforeEach(async () => {
  tenantId = await makeTenant(api);
});
afterAll(async () => {
  await db.close();
  await api.close();
});

const told = (): Promise<Told[]> => db.run(TOLD, [decodeId('tenant', tenantId)]);
const typesTold = async (): Promise<string[]> => (await told()).map(({ type }) => type);
const asAdmin = (method: string, path: string, body?: unknown): Promise<Reply> =>
  call(api, path, { method, key: api.adminKey, body });

test('the life of a key, each change once, and what it is by then', async () => {
  const key = await makeKey(api, ['keys:read'], { tenant_id: tenantId });
  await patchKey(api, key.id, { key: api.adminKey, body: { name: 'renamed' } });
  await patchKey(api, key.id, { key: api.adminKey, body: { scopes: ['jobs:read'] } });
  const rotated = await rotateKey(api, key.id);
  await revokeKey(api, key.id);
  await revokeKey(api, key.id);
  const events = (await told()).filter(({ subject }) => subject === key.id);
  expect(events.map(({ type }) => type)).toEqual([
    'api_key.created',
    'api_key.updated',
    'api_key.updated',
    'api_key.rotated',
    'api_key.revoked',
  ]);
  expect(events.every(({ queued }) => queued)).toBe(true);
  const [, renamed, scoped, , revoked] = events.map(({ data }) => JSON.parse(data));
  expect(renamed).toMatchObject({ key_id: key.id, name: 'renamed', scopes: ['keys:read'], status: 'active' });
  expect(scoped).toMatchObject({ name: 'renamed', scopes: ['jobs:read'] });
  expect(revoked).toMatchObject({ status: 'revoked', revoked_at: expect.any(String) });
  for (const secret of [key.secret, rotated.body.secret]) {
    for (const { data } of events) expect(data).not.toContain(secret.slice(12));
  }
});

test('a change that is refused is not told', async () => {
  const key = await makeKey(api, ['keys:read'], { tenant_id: tenantId });
  await revokeKey(api, key.id);
  const before = await typesTold();
  expect((await rotateKey(api, key.id)).status).toBe(409);
  expect((await patchKey(api, key.id, { key: api.adminKey, body: { name: 'late' } })).status).toBe(409);
  expect(outcome(await asAdmin('DELETE', `/v1/tenants/${api.tenantId}`))).toEqual([409, 'own_tenant']);
  expect(await typesTold()).toEqual(before);
});

test('the life of a tenant', async () => {
  await asAdmin('PATCH', `/v1/tenants/${tenantId}`, { name: 'renamed' });
  const later = '2100-01-01T00:00:00.000Z';
  await asAdmin('PUT', `/v1/tenants/${tenantId}/subscription`, { plan: 'basic' });
  await asAdmin('PUT', `/v1/tenants/${tenantId}/subscription`, { plan: 'free', valid_from: later });
  await asAdmin('DELETE', `/v1/tenants/${tenantId}`);
  const events = await told();
  expect(events.map(({ type, subject, queued }) => [type, subject, queued])).toEqual(
    [
      'tenant.created',
      'tenant.updated',
      'tenant.subscription_changed',
      'tenant.subscription_changed',
      'tenant.deleted',
    ].map((type) => [type, tenantId, true]),
  );
  const [created, updated, , scheduled, deleted] = events.map(({ data }) => JSON.parse(data));
  expect(created).toEqual({ tenant_id: tenantId, name: 'test', plan: 'unlimited' });
  expect(updated).toMatchObject({ name: 'renamed' });
  expect(scheduled).toMatchObject({
    plan: 'basic',
    subscription: { plan: 'basic', valid_until: later },
    scheduled: [{ plan: 'free', valid_from: later, valid_until: null }],
  });
  expect(deleted).toMatchObject({ tenant_id: tenantId, plan: 'basic' });
});

test('every event that was told here fits the schema that its type has under /v1/event-types', async () => {
  const key = await makeKey(api, ['jobs:read', 'jobs:write'], { tenant_id: tenantId });
  const job = await call(api, '/v1/jobs', { key: key.secret, body: { handler: 'echo', items: [1] } });
  await call(api, `/v1/jobs/${job.body.id}`, {
    method: 'PATCH',
    key: key.secret,
    body: { options: { max_concurrency: 2 } },
  });
  await call(api, `/v1/jobs/${job.body.id}/pause`, { method: 'POST', key: key.secret });
  await call(api, `/v1/jobs/${job.body.id}/cancel`, { method: 'POST', key: key.secret });
  const types = new Map(builtInTypes().map((type) => [type.name, type.schema]));
  const ajv = addFormats(new Ajv2020({ allErrors: true }));
  const events = await db.run(ALL);
  const seen = new Set(events.map(({ type }) => type));
  expect([...seen]).toEqual(
    expect.arrayContaining(['job.created', 'job.queued', 'job.paused', 'api_key.created', 'tenant.created']),
  );
  for (const { type, data } of events) {
    const schema = types.get(type);
    if (schema === undefined) throw new Error(`${type} is not described`);
    ajv.validate(schema, JSON.parse(data));
    expect([type, ajv.errors]).toEqual([type, null]);
  }
});
