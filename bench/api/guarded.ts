import { type MillraceClient, createMillraceClient } from '../client/millrace';
import { itemsOf } from '../contenders/items';
import type { DevFacts } from '../../tools/start/dev-json';
import type { Target } from './target';

/** Limits that hold, and that nothing here comes near. */
const plan = {
  name: 'bench',
  requests_per_minute: 2_000_000_000,
  requests_per_day: 1_000_000_000_000,
  items_per_month: 1_000_000_000,
  items_per_job: 1_000_000,
  running_jobs: 100,
  concurrency_per_job: 100,
  endpoints: 100,
  realtime_connections: 100,
  retention_days: 30,
};

const itemCount = 5;

/** Millrace with all its guards: a tenant on a plan with limits, a key of it that may only read, and jobs that have ended. */
export async function openGuarded(facts: DevFacts, jobCount: number): Promise<Target> {
  const admin = createMillraceClient(facts);
  const keyFor = async (tenantId: string, scopes: readonly string[]): Promise<string> => {
    const wish = { name: scopes.join(' '), scopes, tenant_id: tenantId };
    return (JSON.parse(await admin.send('POST', '/v1/api-keys', wish)) as { secret: string }).secret;
  };
  try {
    await admin.send('POST', '/v1/plans', plan);
    const made = await admin.send('POST', '/v1/tenants', { name: 'bench', plan: plan.name });
    const { id: tenantId } = JSON.parse(made) as { id: string };
    const writer = await keyFor(tenantId, ['jobs:read', 'jobs:write', 'events:read']);
    const jobs = await endedJobs({ ...facts, admin_key: writer }, jobCount);
    const key = await keyFor(tenantId, ['jobs:read']);
    return { url: facts.api_url, key, questions: await questionsOf({ ...facts, admin_key: key }, jobs) };
  } finally {
    admin.close();
  }
}

async function endedJobs(facts: DevFacts, count: number): Promise<string[]> {
  const client = createMillraceClient(facts);
  try {
    const ids: string[] = [];
    for (let n = 0; n < count; n += 1) ids.push(await endedJob(client, n));
    return ids;
  } finally {
    client.close();
  }
}

async function endedJob(client: MillraceClient, n: number): Promise<string> {
  const wish = {
    handler: 'echo',
    name: `bench ${n}`,
    items: itemsOf(itemCount),
    metadata: { team: 'bench' },
  };
  const { id } = JSON.parse(await client.send('POST', '/v1/jobs', wish)) as { id: string };
  await client.ended(id);
  return id;
}

/** The answers as they are: of a job that has ended they don't change any more. */
async function questionsOf(facts: DevFacts, jobs: readonly string[]): Promise<Target['questions']> {
  const client = createMillraceClient(facts);
  try {
    const paths = jobs.map((id) => `/v1/jobs/${id}`);
    return await Promise.all(paths.map(async (path) => ({ path, body: await client.send('GET', path) })));
  } finally {
    client.close();
  }
}
