/** One installation with two tenants that have nothing to do with each other, and a watch on every answer for what it spills. */
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { Connection } from '@temporalio/client';
import { chunkPath } from '../../../src/domain/handler/remote';
import { decodeId } from '../../../src/domain/ids';
import { type Scope, SCOPES } from '../../../src/domain/key/scopes';
import { newId } from '../../../src/platform/clock';
import { createDatabase, type PostgresDatabase } from '../../../src/platform/postgres/pool';
import { createEventStore } from '../../../src/platform/postgres/event-store';
import { createRunStore } from '../../../src/platform/postgres/run-store';
import { createChunkTokens } from '../../../src/platform/secrets/chunk-token';
import { type Reply, startApi, type TestApi } from '../api';
import { grantFor } from '../chunk-api';
import { testNamespace } from '../namespace';
import { testServers } from '../servers';
import type { RequestParts } from './fixture';
import type { Operation } from './operations';
import { send, type Sent } from './send';

export interface Lent {
  jobId: string;
  token: string;
  /** @returns the epoch */
  claim(): Promise<number>;
}

export interface Owner {
  tenantId: string;
  plan: string;
  /** with every scope but `admin` */
  key: string;
  /** of all that was shown to it */
  ids: ReadonlySet<string>;
  /** As the tenant. @throws Error unless it succeeds */
  make(method: string, path: string, body?: unknown): Promise<Made>;
  upload(path: string, lines: string): Promise<void>;
  /** A key of this tenant. */
  keyWith(scopes: readonly Scope[], bounds?: object): Promise<Made & { secret: string }>;
  /** As the operator, who is no tenant of these. */
  asAdmin(method: string, path: string, body?: unknown): Promise<Made>;
  /** The first chunk of a running job. */
  lend(): Promise<Lent>;
  /** A notification, as the relay makes it, which is not there beside an API alone. @returns its id */
  notify(): Promise<string>;
}

export interface Made {
  id: string;
  name: string;
  secret?: string;
}

export interface World {
  api: TestApi;
  database: PostgresDatabase;
  connection: Connection;
  namespace: string;
  a: Owner;
  b: Owner;
  newOwner(plan: string): Promise<Owner>;
  /** The request to the route, with what it says of who asks. */
  ask(operation: Operation, parts: RequestParts, who?: Who): Promise<Reply>;
  /** Every key and token that was made or sent. */
  secrets: Set<string>;
  /** Secrets in answers that had no business there. */
  spilled: string[];
  close(): Promise<void>;
}

export interface Who {
  key?: string;
  headers?: Record<string, string>;
  method?: string;
  /** another process of the installation */
  at?: { url: string };
}

export const TENANT_SCOPES = SCOPES.filter((scope) => scope !== 'admin');
/** Enough for everything here, so that the limits are told and never met. */
export const WIDE = { requests_per_minute: 1_000_000, requests_per_day: 10_000_000 };
const ID = /\b(?:tnt|key|job|evt|nrl|tkt)_[0-9a-z]{26}\b/g;
const SECRET = /mr[kt]_[0-9A-Za-z]{36}|mct_[\w-]{114}/g;

export async function startWorld(): Promise<World> {
  const connection = await Connection.connect({ address: testServers().temporalAddress });
  const namespace = await testNamespace(connection);
  const api = await startApi({
    TEMPORAL_NAMESPACE: namespace,
    MILLRACE_HANDLERS_DIR: path.join(__dirname, '../python'),
  });
  const database = createDatabase({
    url: api.databaseUrl,
    max: 4,
    applicationName: 'test',
    onIdleError: () => undefined,
  });
  const secrets = new Set<string>([api.adminKey]);
  const spilled: string[] = [];
  const watched = async (sent: Sent, mayHoldSecret: boolean): Promise<Reply> => {
    for (const secret of sentSecrets(sent)) secrets.add(secret);
    const reply = await send(sent);
    const shown = [...`${reply.text}\n${JSON.stringify([...reply.headers])}`.matchAll(SECRET)].map(
      ([text]) => text,
    );
    if (shown.length > 0 && (!mayHoldSecret || reply.status >= 400)) {
      spilled.push(`${sent.method} ${sent.url} answered ${reply.status} with ${shown[0]}`);
    }
    for (const secret of shown) secrets.add(secret);
    return reply;
  };
  const parts = { api, database, watched, secrets };
  const plan = `wide-${randomBytes(4).toString('hex')}`;
  await makerFor(parts, api.adminKey)('POST', '/v1/plans', { name: plan, ...WIDE });
  const newOwner = (named: string): Promise<Owner> => createOwner(parts, named);
  return {
    api,
    database,
    connection,
    namespace,
    a: await newOwner(plan),
    b: await newOwner(plan),
    newOwner,
    ask: (operation, request, who = {}) =>
      watched(toSent(api, { operation, request, who }), operation.givesSecret),
    secrets,
    spilled,
    async close() {
      await database.close();
      await api.close();
      await connection.close();
    },
  };
}

interface Parts {
  api: TestApi;
  database: PostgresDatabase;
  watched(sent: Sent, mayHoldSecret: boolean): Promise<Reply>;
  secrets: Set<string>;
}

type Make = Owner['make'];

function makerFor({ api, watched }: Parts, key: string, ids = new Set<string>()): Make {
  return async (method, at, body) => {
    const url = `${api.url}${at}`;
    const reply = await watched(
      { url, method, headers: { Authorization: `Bearer ${key}` }, json: body },
      true,
    );
    if (reply.status >= 300) throw new Error(`${method} ${at}: ${reply.status} ${reply.text}`);
    for (const [id] of reply.text.matchAll(ID)) ids.add(id);
    return reply.body as Made;
  };
}

async function createOwner(parts: Parts, plan: string): Promise<Owner> {
  const { api, watched } = parts;
  const ids = new Set<string>();
  const asAdmin = makerFor(parts, api.adminKey, ids);
  const { id: tenantId } = await asAdmin('POST', '/v1/tenants', { name: `on ${plan}`, plan });
  const keyWith: Owner['keyWith'] = async (scopes, bounds = {}) => {
    const wish = { name: 'of a test', tenant_id: tenantId, scopes, ...bounds };
    return (await asAdmin('POST', '/v1/api-keys', wish)) as Made & { secret: string };
  };
  const { secret: key } = await keyWith(TENANT_SCOPES);
  const make = makerFor(parts, key, ids);
  return {
    tenantId,
    plan,
    key,
    ids,
    make,
    keyWith,
    asAdmin,
    upload: async (at, text) => {
      const headers = { Authorization: `Bearer ${key}`, 'Content-Type': 'application/x-ndjson' };
      const reply = await watched({ url: `${api.url}${at}`, method: 'PUT', headers, text }, false);
      if (reply.status !== 200) throw new Error(`PUT ${at}: ${reply.status} ${reply.text}`);
    },
    lend: () => lend(parts, { tenantId, make }),
    notify: async () => {
      const id = await insertNotification(parts, tenantId);
      ids.add(id);
      return id;
    },
  };
}

async function insertNotification({ database }: Parts, tenantId: string): Promise<string> {
  const [tenant, id] = [decodeId('tenant', tenantId), newId('notification')];
  await database.run(
    {
      name: 'test.insert_notification',
      text: `insert into notifications (id, tenant_id, rule_id, rule_name, event_id, event_type, subject, created_at)
        values ($1, $2, gen_random_uuid(), 'a rule', gen_random_uuid(), 'job.failed', '', now())`,
    },
    [decodeId('notification', id), tenant],
  );
  return id;
}

/** No worker runs here: what it would do to the row is done by its own store. */
async function lend(
  { api, database, secrets }: Parts,
  { tenantId, make }: Pick<Owner, 'tenantId' | 'make'>,
): Promise<Lent> {
  const { id: jobId } = await make('POST', '/v1/jobs', { handler: 'moody', items: [{ n: 1 }, { n: 2 }] });
  const runs = createRunStore(database, (tx) => ({
    append: async (happened) => void (await createEventStore(tx).append(happened)),
  }));
  await runs.begin({ tenantId, jobId });
  const token = tokensOf(api).sign(grantFor({ tenantId, jobId, no: 0 }));
  secrets.add(token);
  return {
    jobId,
    token,
    async claim() {
      const headers = { Authorization: `Bearer ${token}` };
      const url = `${api.url}${chunkPath(jobId, 0)}/claim`;
      const reply = await send({ url, method: 'POST', headers });
      if (typeof reply.body?.epoch !== 'number') throw new Error(`no claim: ${reply.text}`);
      return reply.body.epoch;
    },
  };
}

export function tokensOf({ environment }: Pick<TestApi, 'environment'>) {
  const keys = (environment['MILLRACE_SECRET_KEYS'] ?? '')
    .split(',')
    .map((key) => Buffer.from(key, 'base64'));
  return createChunkTokens(keys);
}

function toSent(
  api: { url: string },
  { operation, request, who }: { operation: Operation; request: RequestParts; who: Who },
): Sent {
  const { path: params = {}, query = {}, headers, body, contentType } = request;
  const at = operation.path.replace(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(params[name] ?? ''),
  );
  const search = new URLSearchParams(query).toString();
  return {
    url: `${(who.at ?? api).url}${at}${search === '' ? '' : `?${search}`}`,
    method: who.method ?? operation.method,
    headers: {
      ...headers,
      ...(contentType === undefined ? {} : { 'Content-Type': contentType }),
      ...(who.key === undefined ? {} : { Authorization: `Bearer ${who.key}` }),
      ...who.headers,
    },
    ...(contentType === undefined ? { json: body } : { text: String(body) }),
  };
}

function sentSecrets({ headers }: Sent): string[] {
  return [...JSON.stringify(headers).matchAll(SECRET)].map(([text]) => text);
}
