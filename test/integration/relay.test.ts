import type { Redis } from 'ioredis';
import { createEventStore, eventIdFor } from '../../src/platform/postgres/event-store';
import { createListener } from '../../src/platform/postgres/listener';
import {
  createOutboxStore,
  createOutboxWake,
  OUTBOX_CHANNEL,
} from '../../src/platform/postgres/outbox-store';
import type { PostgresDatabase } from '../../src/platform/postgres/pool';
import { type Database, statement } from '../../src/platform/postgres/statement';
import { createRealtimeLog, type RealtimeLog, realtimeKeys } from '../../src/platform/redis/realtime-log';
import { whenReady } from '../../src/platform/redis/client';
import { startRelay, type Relay } from '../../src/workers/relay';
import { createTestDatabase, type TestDatabase } from '../support/servers';
import { until } from '../support/wait';
import { publicationOf } from '../../src/domain/realtime/publication';
import { newId } from '../../src/platform/clock';
import {
  connectRedis,
  deferred,
  insertTenant,
  openDatabase,
  type OwnRedis,
  silent,
  startOwnRedis,
} from './realtime-support';

const COUNTS = statement<{ events: number; outbox: number }>(
  'test.event_counts',
  'select (select count(*)::int from events) as events, (select count(*)::int from outbox) as outbox',
);

let testDatabase: TestDatabase;
let ownRedis: OwnRedis;
let db: PostgresDatabase;
let redis: Redis;
let prefix: string;
let tenantId: string;
let refused: string[];
let log: RealtimeLog;
const relays: Relay[] = [];
const databases: PostgresDatabase[] = [];

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  ownRedis = await startOwnRedis();
  db = openDatabase(testDatabase.url);
  redis = connectRedis(ownRedis.url);
  await whenReady(redis, 10_000);
});

beforeEach(async () => {
  prefix = `${newId('request')}:`;
  tenantId = await insertTenant(db);
  refused = [];
  log = createRealtimeLog({ redis, prefix, onRefused: ({ type }) => refused.push(type) });
});

afterEach(async () => {
  await Promise.all(relays.splice(0).map((relay) => relay.stop()));
  await Promise.all(databases.splice(0).map((database) => database.close()));
  await passAll();
});

afterAll(async () => {
  await db.close();
  redis.disconnect();
  await ownRedis.remove();
  await testDatabase.drop();
});

const happened = (subject: string, type: string, data: object = {}) => ({
  tenantId,
  subject,
  type,
  data: JSON.stringify(data),
});

async function append(subject: string, ...types: string[]): Promise<void> {
  await db.transaction((tx) => createEventStore(tx).append(types.map((type) => happened(subject, type))));
}

async function passAll(): Promise<void> {
  const outbox = createOutboxStore(db);
  while ((await outbox.passOn(100, (events) => log.publish(events.map(publicationOf)))) !== 0);
}

/** type and data of what the topic's log holds, in its order */
async function logged(topic: string): Promise<{ id: number; type: string; payload: string }[]> {
  const entries = await redis.xrange(realtimeKeys(prefix).log(topic), '-', '+');
  return entries.map(([id, fields]) => ({
    id: Number.parseInt(id, 10),
    type: fields[1] ?? '',
    payload: fields[3] ?? '',
  }));
}

const types = async (topic: string): Promise<string[]> => (await logged(topic)).map(({ type }) => type);

function relayOn(database: Database, options: { pollMs?: number; warn?: () => void } = {}): Relay {
  const relay = startRelay({
    outbox: createOutboxStore(database),
    publish: (publications) => log.publish(publications),
    log: { ...silent, warn: options.warn ?? silent.warn },
    batchMax: 7,
    pollMs: options.pollMs ?? 20,
  });
  relays.push(relay);
  return relay;
}

describe('the event store', () => {
  test('an event appended again is neither stored nor sent again', async () => {
    const job = newId('job');
    const before = (await db.run(COUNTS))[0]?.events ?? 0;
    await append(job, 'job.created', 'job.created');
    await append(job, 'job.created', 'job.queued');
    expect(await db.run(COUNTS)).toEqual([{ events: before + 2, outbox: 2 }]);
  });

  test('an event appended by two transactions at once is one event', async () => {
    const job = newId('job');
    const before = (await db.run(COUNTS))[0]?.events ?? 0;
    await Promise.all([
      append(job, 'job.completed'),
      append(job, 'job.completed'),
      append(job, 'job.completed'),
    ]);
    expect(await db.run(COUNTS)).toEqual([{ events: before + 1, outbox: 1 }]);
  });

  test('an event goes with the transaction of the change', async () => {
    const job = newId('job');
    const rolledBack = db.transaction(async (tx) => {
      await createEventStore(tx).append([happened(job, 'job.created')]);
      throw new Error('the change failed');
    });
    await expect(rolledBack).rejects.toThrow('the change failed');
    expect((await db.run(COUNTS))[0]?.outbox).toBe(0);
  });

  test('a derived id lies at its subject in time, and tells types and occurrences apart', () => {
    const first = newId('job');
    const id = eventIdFor({ subject: first, type: 'job.paused' });
    expect(id.slice(4, 14)).toBe(first.slice(4, 14));
    expect(eventIdFor({ subject: first, type: 'job.paused' })).toBe(id);
    const others = [
      eventIdFor({ subject: first, type: 'job.paused', occurrence: 2 }),
      eventIdFor({ subject: first, type: 'job.resumed' }),
      eventIdFor({ subject: newId('job'), type: 'job.paused' }),
    ];
    expect(new Set([id, ...others]).size).toBe(4);
  });

  test('data is kept as the exact text', async () => {
    const data = '{"b" : 1.0,\n"a":"\\u0000\\ud800 ✓", "a":2e2}';
    const job = newId('job');
    await createEventStore(db).append([{ tenantId, subject: job, type: 'job.created', data }]);
    await passAll();
    const [entry] = await logged(`job:${job}`);
    expect(entry?.payload.endsWith(`"data":${data}}`)).toBe(true);
    const envelope = JSON.parse(entry?.payload ?? '') as { id: string };
    expect(envelope).toMatchObject({
      type: 'job.created',
      id: eventIdFor({ subject: job, type: 'job.created' }),
    });
  });
});

describe('the relay', () => {
  test('events arrive on their job and tenant in the order of their appending, with ids that grow', async () => {
    const job = newId('job');
    await append(job, 'job.created', 'job.queued');
    await append(job, 'job.started');
    relayOn(db);
    const topic = `job:${job}`;
    await until('three events', async () => (await types(topic)).length === 3);
    expect(await types(topic)).toEqual(['job.created', 'job.queued', 'job.started']);
    expect(await types(`tenant:${tenantId}`)).toEqual(['job.created', 'job.queued', 'job.started']);
    const ids = (await logged(topic)).map(({ id }) => id);
    expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b));
  });

  test('data of more than 16 KB is left out and counted, so that no tenant fills Redis; of a job all is told', async () => {
    const large = { note: 'ä'.repeat(8_200) };
    const bytes = Buffer.byteLength(JSON.stringify(large));
    const job = newId('job');
    const events = [happened(job, 'order.paid', large), happened(job, 'job.updated', large)];
    await db.transaction((tx) => createEventStore(tx).append(events));
    await passAll();
    const told = (await logged(`tenant:${tenantId}`)).map(({ payload }) => JSON.parse(payload));
    expect(told).toMatchObject([
      { type: 'order.paid', data: null, omitted_bytes: bytes },
      { type: 'job.updated', data: large },
    ]);
    expect(told[1]).not.toHaveProperty('omitted_bytes');
  });

  test('a crash between Redis and the commit sends nothing twice', async () => {
    const job = newId('job');
    await append(job, 'job.created', 'job.queued');
    const crashing: Database = {
      run: (stmt, values) => db.run(stmt, values),
      transaction: (work) =>
        db.transaction(async (tx) => {
          await work(tx);
          throw new Error('crashed before the commit');
        }),
    };
    const publish = (events: Parameters<Parameters<ReturnType<typeof createOutboxStore>['passOn']>[1]>[0]) =>
      log.publish(events.map(publicationOf));
    await expect(createOutboxStore(crashing).passOn(10, publish)).rejects.toThrow(
      'crashed before the commit',
    );
    expect((await db.run(COUNTS))[0]?.outbox).toBe(2);
    expect(await types(`job:${job}`)).toEqual(['job.created', 'job.queued']);

    await append(job, 'job.started');
    await passAll();
    expect(await types(`job:${job}`)).toEqual(['job.created', 'job.queued', 'job.started']);
    expect(await types(`tenant:${tenantId}`)).toEqual(['job.created', 'job.queued', 'job.started']);
  });

  test('a transaction that commits late is not slipped past', async () => {
    const late = newId('job');
    const early = newId('job');
    const lateIsIn = deferred();
    const mayCommit = deferred();
    const slow = db.transaction(async (tx) => {
      await createEventStore(tx).append([happened(late, 'job.created')]);
      lateIsIn.resolve();
      await mayCommit.promise;
    });
    await lateIsIn.promise;
    await append(early, 'job.created');
    relayOn(db);
    await until('the early event', async () => (await types(`job:${early}`)).length === 1);
    expect(await types(`job:${late}`)).toEqual([]);
    mayCommit.resolve();
    await slow;
    await until('the late event', async () => (await types(`job:${late}`)).length === 1);
  });

  test('one relay passes at a time; another is told so instead of waiting', async () => {
    await append(newId('job'), 'job.created');
    const passing = deferred();
    const mayEnd = deferred();
    const first = createOutboxStore(db).passOn(10, async () => {
      passing.resolve();
      await mayEnd.promise;
    });
    await passing.promise;
    await append(newId('job'), 'job.created');
    const second = createOutboxStore(db).passOn(10, () => Promise.reject(new Error('two at once')));
    try {
      expect(await second).toBe('busy');
    } finally {
      mayEnd.resolve();
      expect(await first).toBe(1);
    }
  });

  test('two relays at once keep the order of each subject and send nothing twice', async () => {
    databases.push(openDatabase(testDatabase.url));
    relayOn(db);
    relayOn(databases[0] as PostgresDatabase);
    const jobs = Array.from({ length: 5 }, () => newId('job'));
    const sent = Array.from({ length: 40 }, (_, n) => `job.test${n}`);
    await Promise.all(
      jobs.map(async (job) => {
        for (const type of sent) await append(job, type);
      }),
    );
    for (const job of jobs) {
      await until('all events', async () => (await types(`job:${job}`)).length >= sent.length);
      expect(await types(`job:${job}`)).toEqual(sent);
    }
    expect(await types(`tenant:${tenantId}`)).toHaveLength(jobs.length * sent.length);
  });

  test('while Redis is away events wait; it says so once, and they arrive when Redis is back', async () => {
    const job = newId('job');
    let warnings = 0;
    let attempts = 0;
    const counting: Database = {
      run: (stmt, values) => db.run(stmt, values),
      transaction: (work) => {
        attempts++;
        return db.transaction(work);
      },
    };
    await ownRedis.kill();
    await append(job, 'job.created');
    relayOn(counting, { warn: () => warnings++ });
    await until('three attempts', () => attempts >= 3);
    expect((await db.run(COUNTS))[0]?.outbox).toBe(1);
    expect(warnings).toBe(1);
    await ownRedis.start();
    await until('the event', async () => (await types(`job:${job}`)).length === 1);
    await until('an empty outbox', async () => (await db.run(COUNTS))[0]?.outbox === 0);
  });

  test('a wake-up after the commit is enough: the poll is only the safety', async () => {
    const relay = relayOn(db, { pollMs: 3_600_000 });
    let listening = 0;
    const listener = createListener({
      url: testDatabase.url,
      channel: OUTBOX_CHANNEL,
      applicationName: 'realtime-test-listener',
      onNotify: () => {
        listening++;
        relay.wake();
      },
      onDown: () => undefined,
    });
    const wake = createOutboxWake(db);
    try {
      await until('LISTEN', () => listening > 0);
      const first = newId('job');
      await append(first, 'job.created');
      wake();
      await until('the event', async () => (await types(`job:${first}`)).length === 1);

      const before = listening;
      await db.run(
        statement(
          'test.kill_listener',
          `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'realtime-test-listener'`,
        ),
      );
      const second = newId('job');
      await append(second, 'job.created');
      // The listener comes back by itself, and looks at once for what it missed.
      await until('the listener', () => listening > before);
      await until('the event', async () => (await types(`job:${second}`)).length === 1);
    } finally {
      await listener.close();
    }
  });

  test('an event that Redis refuses for what it is does not hold up the others', async () => {
    const broken = newId('job');
    const sound = newId('job');
    await redis.set(realtimeKeys(prefix).log(`job:${broken}`), 'not a stream');
    await append(broken, 'job.refused');
    await append(sound, 'job.created');
    relayOn(db);
    await until('the sound event', async () => (await types(`job:${sound}`)).length === 1);
    expect(refused).toEqual(['job.refused']);
    expect((await db.run(COUNTS))[0]?.outbox).toBe(0);
  });

  test('an event that is gone by retention is passed over', async () => {
    const job = newId('job');
    await append(job, 'job.created');
    await db.run(statement('test.delete_events', 'delete from events where subject = $1'), [job]);
    await append(job, 'job.queued');
    await passAll();
    expect(await types(`job:${job}`)).toEqual(['job.queued']);
  });
});
