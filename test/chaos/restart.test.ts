import { mkdtempSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { removeDataFolder } from '../../tools/servers/postgres-cluster';
import type { DevFacts } from '../../tools/start/dev-json';
import { type ApiClient, createApiClient } from '../support/api-client';
import { createExecutionLog } from '../support/execution-log';
import {
  control,
  createJob,
  expectOneResultEach,
  jobEnded,
  jobThat,
  numbered,
  readJob,
} from '../support/job-client';
import { HANDLERS_DIR } from '../support/product';
import { lastLookedAfter } from '../support/rows';
import { killRecorded, type Launched, launchMillrace } from '../support/start';
import { until } from '../support/wait';

const ITEMS = 400;

describe('a paused job', () => {
  let dataFolder: string;
  let launched: Launched;
  let facts: DevFacts;
  let client: ApiClient;

  const start = async (): Promise<void> => {
    launched = launchMillrace({ dataFolder, env: { MILLRACE_HANDLERS_DIR: HANDLERS_DIR } });
    facts = await launched.ready();
    client = createApiClient({ url: facts.api_url, key: facts.admin_key ?? '' });
  };
  const killEverything = async (): Promise<void> => {
    launched.process.kill('SIGKILL');
    killRecorded(dataFolder);
    await launched.ended;
  };

  beforeAll(async () => {
    dataFolder = mkdtempSync(path.join(os.tmpdir(), 'millrace-start-'));
    await start();
  });
  afterAll(async () => {
    await killEverything();
    removeDataFolder(dataFolder);
  });

  test('outlives kill -9 of API, worker, Temporal, Redis and PostgreSQL: nothing begins until it is resumed, then each item runs once', async () => {
    const log = createExecutionLog();
    const items = numbered(ITEMS, { ms: 50, log: log.file });
    const options = { max_concurrency: 20 };
    const { id } = await createJob(client, { handler: 'clocked', items, options });
    await until('the first items', () => log.steps().length > 60);
    expect((await control(client, id, 'pause')).status).toBe('paused');
    const settled = await jobThat(client, id, {
      what: 'what was in flight to end',
      fits: ({ counts }) => counts.running === 0 && counts.succeeded === log.begins().length,
    });
    expect(settled).toMatchObject({ status: 'paused', counts: { total: ITEMS } });
    const begun = log.begins().length;
    expect(begun).toBeLessThan(ITEMS);

    await killEverything();
    const killedAt = new Date();
    await start();
    // The worker has looked after the paused job, and has brought another one to its end.
    await until(
      'a look at the paused job',
      async () => (await lastLookedAfter(facts.database_url, id)) > killedAt,
    );
    const other = await createJob(client, { handler: 'echo', items: [1] });
    expect((await jobEnded(client, other.id)).status).toBe('completed');
    expect((await readJob(client, id)).status).toBe('paused');
    expect(log.begins()).toHaveLength(begun);

    await control(client, id, 'resume');
    await expectOneResultEach(client, id, { total: ITEMS });
    const runs = log.begins().map(({ n }) => n);
    expect(runs.sort((a, b) => a - b)).toEqual(items.map(({ n }) => n));
  }, 180_000);
});
