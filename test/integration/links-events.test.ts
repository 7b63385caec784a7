import { publicationOf } from '../../src/domain/realtime/publication';
import { createOutboxStore } from '../../src/platform/postgres/outbox-store';
import { createRealtimeLog } from '../../src/platform/redis/realtime-log';
import { call, startApi, type TestApi } from '../support/api';
import { parseEventStream } from '../support/event-stream';
import { openStream } from '../support/open-stream';
import { until } from '../support/wait';
import { connectRedis, openDatabase } from './realtime-support';

let api: TestApi;
const cleanUps: (() => unknown)[] = [];

beforeAll(async () => {
  api = await startApi();
  cleanUps.push(() => api.close());
});

afterAll(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** What the worker's relay does, once. */
async function relay(): Promise<void> {
  const redis = connectRedis(api.environment['REDIS_URL'] ?? '');
  const db = openDatabase(api.databaseUrl);
  await until('Redis', () => redis.status === 'ready');
  const prefix = api.environment['MILLRACE_REDIS_PREFIX'] ?? '';
  const log = createRealtimeLog({ redis, prefix, onRefused: () => undefined });
  await createOutboxStore(db).passOn(100, (events) => log.publish(events.map(publicationOf)));
  redis.disconnect();
  await db.close();
}

async function newJob(): Promise<string> {
  return (await call(api, '/v1/jobs', { key: api.adminKey, body: { handler: 'echo' } })).body.id as string;
}

const read = async (path: string) => (await call(api, path, { key: api.adminKey })).body;

describe('links.events of a job', () => {
  test('is followed from where the answer was made: what happens then, once, and no reset', async () => {
    const id = await newJob();
    // Also where the log has yet to hear of the job at all.
    const early = (await read(`/v1/jobs/${id}`)).links.events as string;
    expect(early).toMatch(new RegExp(`^/v1/jobs/${id}/events\\?last_event_id=[1-9]\\d+$`));
    await relay();
    const late = (await read(`/v1/jobs/${id}`)).links.events as string;
    await call(api, `/v1/jobs/${id}/cancel`, { method: 'POST', key: api.adminKey });
    await relay();
    const told = async (path: string): Promise<string[]> => {
      const stream = await openStream(api, path, { key: api.adminKey });
      await until('the end', () => stream.hasEnded);
      return parseEventStream(stream.text).map(({ event, data }) => (event === 'done' ? event : data.type));
    };
    expect(await told(early)).toEqual(['job.created', 'done']);
    expect(await told(late)).toEqual(['done']);
  });

  test('of a job that has ended is the stream as a whole', async () => {
    const id = await newJob();
    await call(api, `/v1/jobs/${id}/cancel`, { method: 'POST', key: api.adminKey });
    expect((await read(`/v1/jobs/${id}`)).links.events).toBe(`/v1/jobs/${id}/events`);
  });
});
