import { type MillraceClient, createMillraceClient } from '../client/millrace';
import type { DevFacts } from '../../tools/start/dev-json';

/** Limits that hold, and that nothing here comes near. */
const plan = {
  name: 'bench',
  requests_per_minute: 2_000_000_000,
  requests_per_day: 1_000_000_000_000,
  items_per_month: 1_000_000_000,
  items_per_job: 1_000_000,
  running_jobs: 1_000,
  concurrency_per_job: 100,
  endpoints: 100,
  realtime_connections: 1_000_000,
  realtime_topics: 100,
  retention_days: 30,
};

export interface Topics {
  /** Jobs that were not started: of them nothing is told but what the bench tells. */
  readonly jobIds: readonly string[];
  /** May only read them. */
  readonly key: string;
}

export async function openTopics(facts: DevFacts, count: number): Promise<Topics> {
  const admin = createMillraceClient(facts);
  try {
    await admin.send('POST', '/v1/plans', plan);
    const tenant = await created(admin, '/v1/tenants', { name: 'bench', plan: plan.name });
    const keyFor = (scopes: readonly string[]): Promise<Created> =>
      created(admin, '/v1/api-keys', { name: scopes.join(' '), scopes, tenant_id: tenant.id });
    const writer = await keyFor(['jobs:read', 'jobs:write']);
    const jobIds = await openJobs({ ...facts, admin_key: writer.secret }, count);
    return { jobIds, key: (await keyFor(['jobs:read'])).secret };
  } finally {
    admin.close();
  }
}

interface Created {
  readonly id: string;
  /** of a key */
  readonly secret: string;
}

async function openJobs(facts: DevFacts, count: number): Promise<string[]> {
  const client = createMillraceClient(facts);
  try {
    const ids: string[] = [];
    for (let n = 0; n < count; n += 1) {
      const { id } = await created(client, '/v1/jobs', { handler: 'echo', name: `bench ${n}` });
      ids.push(id);
    }
    return ids;
  } finally {
    client.close();
  }
}

async function created(client: MillraceClient, route: string, wish: object): Promise<Created> {
  return JSON.parse(await client.send('POST', route, wish)) as Created;
}
