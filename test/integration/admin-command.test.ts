/** What an operator does on the server, without a key: the last admin key may be lost. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { call, startApi, type TestApi } from '../support/api';
import { until } from '../support/wait';

const root = path.resolve(__dirname, '../..');
let api: TestApi;
let folder: string;

beforeAll(async () => {
  api = await startApi();
  folder = mkdtempSync(path.join(tmpdir(), 'millrace-admin-'));
  writeFileSync(path.join(folder, 'dev.json'), JSON.stringify({ database_url: api.databaseUrl }));
});

afterAll(async () => {
  rmSync(folder, { recursive: true });
  await api.close();
});

interface Ran {
  code: number | null;
  printed: string;
  errors: string;
}

/** As `npm run admin -- …`, without the build before it. */
function admin(args: string[], { dataFolder = folder, env = {} } = {}): Ran {
  const script = `require(${JSON.stringify(path.join(root, 'dist/tools/admin/main.js'))})
    .admin({ root: ${JSON.stringify(root)}, dataFolder: ${JSON.stringify(dataFolder)}, args: process.argv.slice(1), env: process.env })
    .then((code) => { process.exitCode = code; }, (error) => { console.error(error.message); process.exitCode = 1; })`;
  const environment = { PATH: process.env.PATH, ...env };
  const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', script, '--', ...args], {
    env: environment,
  });
  return { code: status, printed: stdout.toString(), errors: stderr.toString() };
}

const me = (key: string) => call(api, '/v1/me', { key });

test('create-key alone makes an admin key of the oldest tenant, which is printed once and works', async () => {
  await call(api, '/v1/tenants', { key: api.adminKey, body: { name: 'younger' } });
  const { code, printed } = admin(['create-key']);
  expect(code).toBe(0);
  const { key, key_id } = JSON.parse(printed);
  const { body } = await me(key);
  expect([body.key.id, body.tenant.id, body.scopes]).toEqual([key_id, api.tenantId, ['admin']]);
});

test('create-key makes what it is told to', async () => {
  const { body: tenant } = await call(api, '/v1/tenants', { key: api.adminKey, body: { name: 'other' } });
  const args = [
    '--tenant',
    tenant.id,
    '--scopes',
    'jobs:read,jobs:write',
    '--name',
    'import',
    '--expires-at',
    '2100-01-01',
  ];
  const { body } = await me(JSON.parse(admin(['create-key', ...args]).printed).key);
  expect(body).toMatchObject({
    key: { name: 'import', expires_at: '2100-01-01T00:00:00.000Z' },
    tenant: { id: tenant.id },
    scopes: ['jobs:read', 'jobs:write'],
  });
});

test('a tenant that there is not is refused in words', () => {
  const { code, printed, errors } = admin(['create-key', '--tenant', 'tnt_01k6z7q0v8e2m9x4t5c3b1a0n7']);
  expect([code, printed, errors]).toEqual([1, '', 'There is no tenant with this id.\n']);
});

test('list-keys shows keys without their secrets, and revoke-key ends one within a second', async () => {
  const { key, key_id } = JSON.parse(admin(['create-key', '--scopes', 'jobs:read']).printed);
  expect((await me(key)).status).toBe(200);
  const { printed } = admin(['list-keys']);
  expect(JSON.parse(printed).data[0]).toMatchObject({
    id: key_id,
    status: 'active',
    tenant_id: api.tenantId,
  });
  expect(printed).not.toContain(key.slice(12));
  expect(admin(['revoke-key', key_id]).code).toBe(0);
  await until('the key to stop', async () => (await me(key)).body.code === 'key_revoked', 5_000);
});

test('revoke-key leaves the last admin key alone', async () => {
  const keys = JSON.parse(admin(['list-keys']).printed).data as {
    id: string;
    scopes: string[];
    status: string;
  }[];
  const admins = keys.filter(({ scopes, status }) => scopes.includes('admin') && status === 'active');
  const codes = admins.map(({ id }) => admin(['revoke-key', id]).code);
  expect(codes).toEqual([...admins.slice(1).map(() => 0), 1]);
});

test('without a copy that runs, it says what to do; DATABASE_URL names the database', () => {
  const nowhere = path.join(folder, 'nowhere');
  const { code, errors } = admin(['list-keys'], { dataFolder: nowhere });
  expect([code, errors]).toEqual([1, expect.stringContaining('No Millrace is running on')]);
  const env = { DATABASE_URL: api.databaseUrl };
  expect(admin(['list-keys'], { dataFolder: nowhere, env }).code).toBe(0);
});
