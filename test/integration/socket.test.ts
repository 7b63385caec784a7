import { newId } from '../../src/platform/clock';
import { NO_LIMITS } from '../support/principal';
import { until } from '../support/wait';
import { insertJob, insertTenant, startOwnRedis, startProxy } from './realtime-support';
import {
  cursors,
  eventNames,
  type Scene,
  type SocketWorld,
  startScene,
  startSocketWorld,
  watching,
} from './socket-support';

let world: SocketWorld;
let scene: Scene;
let topic: string;

beforeAll(async () => {
  world = await startSocketWorld();
});

beforeEach(async () => {
  scene = await startScene(world);
  ({ topic } = scene);
});

afterEach(() => scene.close());
afterAll(() => world.close());

describe('a topic', () => {
  test('of a job begins with the job as it is, then says what happens, and is over when the job has ended', async () => {
    const { port } = await scene.api();
    const client = await scene.open(port);
    expect(await client.ask({ type: 'subscribe', topic })).toMatchObject({ type: 'subscribed', topic });
    await until('the snapshot', () => client.events.length === 1);
    await scene.move('running', 'job.started');
    await scene.publish(0, 2);
    await scene.move('completed');
    await until('the end', () => client.told.at(-1)?.type === 'unsubscribed');
    expect(eventNames(client)).toEqual(['snapshot', 'status', 'progress', 'progress', 'done']);
    expect(new Set(client.events.map((event) => event.topic))).toEqual(new Set([topic]));
    expect(client.events[0]?.data).toMatchObject({ id: scene.job.jobId, status: 'created' });
    expect(client.events[4]?.data).toMatchObject({ id: scene.job.jobId, status: 'completed' });
    expect(cursors(client).slice(1)).toEqual(await scene.loggedAfter(client.events[0]?.cursor ?? 0));
    expect(client.told.at(-1)).toEqual({ type: 'unsubscribed', topic, reason: 'over' });
    expect(client.told.map(({ type }) => type).slice(0, 3)).toEqual(['hello', 'subscribed', 'event']);
    // Who has seen it all is told so.
    const cursor = client.events[4]?.cursor;
    await client.ask({ type: 'subscribe', topic, from: cursor });
    await until('the end', () => client.told.filter(({ reason }) => reason === 'over').length === 2);
    expect(client.events).toHaveLength(5);
  });

  test('of a tenant begins where it stands, and tells what happens in the very text, of the types asked for', async () => {
    const { port } = await scene.api();
    const [all, some] = [await scene.open(port), await scene.open(port)];
    await all.ask({ type: 'subscribe', topic: 'tenant' });
    await some.ask({ type: 'subscribe', topic: `tenant:${scene.tenantId}`, types: ['order.*'] });
    await until('both there', () => all.events.length === 1 && some.events.length === 1);
    expect(all.events[0]).toMatchObject({ event: 'ready', data: { cursor: all.events[0]?.cursor } });
    const texts: string[] = [];
    all.ws.on('message', (data: Buffer) => texts.push(data.toString()));
    const data = '{ "n" : 1.0,\n "text":"ü\\u2028😀" }';
    await scene.happen('order.paid', data);
    await scene.happen('job.odd', '{}');
    await scene.happen('order.sent', '{}');
    await until('all', () => all.events.length === 4);
    await until('some', () => some.events.length === 3);
    expect(some.events.slice(1).map((event) => event.data.type)).toEqual(['order.paid', 'order.sent']);
    expect(texts[0]).toContain(`"data":${data}}}`);
    expect(all.events[1]).toMatchObject({ topic: 'tenant', event: 'event' });
    expect(some.events[1]).toMatchObject({
      topic: `tenant:${scene.tenantId}`,
      cursor: all.events[1]?.cursor,
    });
  });

  test('of which little is wanted tells how far it is all the same, so that its cursor does not grow old', async () => {
    const { port } = await scene.api({ markMs: 20 });
    const client = await scene.open(port);
    await client.ask({ type: 'subscribe', topic: 'tenant', types: ['order.*'] });
    await until('ready', () => client.events.length === 1);
    await scene.happen('invoice.paid', '{}');
    const told = await until('the cursor', () => client.events[1]);
    expect(told).toEqual({
      type: 'event',
      topic: 'tenant',
      event: 'cursor',
      cursor: expect.any(Number),
      data: { cursor: told.cursor },
    });
    expect(told.cursor).toBeGreaterThan(client.events[0]?.cursor ?? 0);
    const later = await scene.open(port);
    await later.ask({ type: 'subscribe', topic: 'tenant', from: told.cursor });
    await scene.happen('order.paid', '{}');
    await until('the event', () => later.events.length === 1);
    expect(later.events[0]?.data).toMatchObject({ type: 'order.paid' });
  });

  test('that is unsubscribed from tells no more, the others go on', async () => {
    const { port } = await scene.api();
    const client = await scene.open(port);
    await client.ask({ type: 'subscribe', topic });
    await client.ask({ type: 'subscribe', topic: 'tenant' });
    await until('both', () => client.events.length === 2);
    expect(await client.ask({ type: 'unsubscribe', topic })).toMatchObject({ type: 'unsubscribed', topic });
    await scene.move('running', 'job.started');
    await until('the event', () => client.events.length === 3);
    expect(client.events[2]).toMatchObject({ topic: 'tenant' });
    expect(await client.ask({ type: 'unsubscribe', topic })).toMatchObject({ type: 'unsubscribed', topic });
    await client.ask({ type: 'subscribe', topic });
    await until('the snapshot', () => client.events.length === 4);
    expect(client.events[3]).toMatchObject({ event: 'snapshot', data: { status: 'running' } });
  });

  test('is followed and left in the order of the commands, however fast they come', async () => {
    const watch = watching();
    const { port } = await scene.api({ items: watch.items });
    const client = await scene.open(port);
    for (let n = 0; n < 20; n++) {
      client.send({ type: 'subscribe', topic, items: true, id: `s${n}` });
      client.send({ type: 'unsubscribe', topic, id: `u${n}` });
    }
    await client.ask({ type: 'unsubscribe', topic });
    const acknowledged = client.told.filter(({ id }) => /^[su]\d+$/.test(id ?? ''));
    expect(acknowledged.map(({ type }) => type)).toEqual(
      Array.from({ length: 20 }, () => ['subscribed', 'unsubscribed']).flat(),
    );
    expect([watch.begun, watch.open]).toEqual([20, 0]);
  });
});

describe('resuming', () => {
  test('a client cut off 50 times, between two processes, gets exactly the log: in order, once', async () => {
    const { port, ...proxy } = await startProxy([(await scene.api()).port, (await scene.api()).port]);
    scene.cleanUp(() => proxy.close());
    const got: number[] = [];
    let cursor: number | undefined;
    let client = await scene.open(port);
    const follow = async (): Promise<void> => {
      client = await scene.open(port);
      await client.ask({ type: 'subscribe', topic, ...(cursor === undefined ? {} : { from: cursor }) });
    };
    const take = (): void => {
      for (const event of client.events) {
        cursor = event.cursor;
        got.push(event.cursor ?? 0);
      }
    };
    await follow();
    await until('the snapshot', () => client.events.length === 1);
    for (let cut = 0; cut < 50; cut++) {
      await scene.publish(cut * 4, cut * 4 + 2);
      proxy.cut();
      await client.end();
      take();
      await scene.publish(cut * 4 + 2, cut * 4 + 4);
      await follow();
    }
    await scene.move('completed');
    await until('done', () => client.events.at(-1)?.event === 'done');
    take();
    expect(got.slice(1)).toEqual(await scene.loggedAfter(got[0] ?? 0));
    expect(got.length).toBe(202);
  });

  test.each([[-1], [1], ['abc'], ['1\0'], [1e300], [Number.MAX_SAFE_INTEGER]])(
    'from %j, which no log gave out, is a reset and a new beginning',
    async (from) => {
      const { port } = await scene.api();
      const client = await scene.open(port);
      await client.ask({ type: 'subscribe', topic, from });
      await client.ask({ type: 'subscribe', topic: 'tenant', from });
      await until('both', () => client.events.length === 4);
      const of = (name: string) => client.events.filter((event) => event.topic === name);
      expect(of(topic).map(({ event }) => event)).toEqual(['reset', 'snapshot']);
      expect(of('tenant').map(({ event }) => event)).toEqual(['reset', 'ready']);
      expect(client.events[0]?.data).toEqual({ reason: 'cursor_unknown' });
    },
  );
});

describe('who may follow what', () => {
  test("another tenant's job is the same error as none, and so is another tenant", async () => {
    const { port } = await scene.api();
    const client = await scene.open(port);
    const other = await insertTenant(scene.db);
    const theirs = await insertJob(scene.db, other);
    const answers = [
      await client.ask({ type: 'subscribe', topic: `job:${theirs.jobId}` }),
      await client.ask({ type: 'subscribe', topic: `job:${newId('job')}` }),
      await client.ask({ type: 'subscribe', topic: `tenant:${other}` }),
      await client.ask({ type: 'subscribe', topic: `tenant:${newId('tenant')}` }),
    ];
    expect(new Set(answers.map(({ code }) => code))).toEqual(new Set(['not_found']));
    const [existing, none] = answers.map(({ id: _, topic: __, ...rest }) => rest);
    expect(existing).toEqual(none);
    await scene.happen('order.paid', '{}');
    await client.ask({ type: 'ping' });
    expect(client.events).toEqual([]);
    expect(client.closed).toBeUndefined();
  });

  test('an admin may follow another tenant', async () => {
    const other = await insertTenant(scene.db);
    const { port } = await scene.api({ key: { tenantId: other, scopes: ['admin'] } });
    const client = await scene.open(port);
    await client.ask({ type: 'subscribe', topic: `tenant:${scene.tenantId}` });
    await until('ready', () => client.events.length === 1);
    await scene.happen('order.paid', '{}');
    await until('the event', () => client.events.length === 2);
  });

  test('each topic takes its scope', async () => {
    const { port } = await scene.api({ key: { scopes: ['events:read'] } });
    const client = await scene.open(port);
    expect(await client.ask({ type: 'subscribe', topic })).toMatchObject({
      type: 'error',
      code: 'missing_scope',
      topic,
    });
    expect(await client.ask({ type: 'subscribe', topic: 'tenant' })).toMatchObject({ type: 'subscribed' });
  });

  test('only so many topics as the plan allows, each once; one that is left makes room', async () => {
    const plan = { name: 'small', limits: { ...NO_LIMITS, realtimeTopics: 2 } };
    const { port } = await scene.api({ key: { plan } });
    const client = await scene.open(port);
    expect(client.told[0]).toMatchObject({ type: 'hello', topics_max: 2, ping_interval_ms: 25_000 });
    const second = `job:${(await insertJob(scene.db, scene.tenantId)).jobId}`;
    client.send({ type: 'subscribe', topic: `job:${newId('job')}` });
    await client.ask({ type: 'subscribe', topic });
    expect((await client.ask({ type: 'subscribe', topic })).code).toBe('already_followed');
    await client.ask({ type: 'subscribe', topic: 'tenant' });
    expect((await client.ask({ type: 'subscribe', topic: second })).code).toBe('too_many_topics');
    await client.ask({ type: 'unsubscribe', topic });
    expect((await client.ask({ type: 'subscribe', topic: second })).type).toBe('subscribed');
  });
});

test('no more topics than the process takes, over all connections; who leaves makes room', async () => {
  const { port } = await scene.api({ sockets: { followedMax: 2 } });
  const [one, two] = [await scene.open(port), await scene.open(port)];
  await one.ask({ type: 'subscribe', topic });
  await one.ask({ type: 'subscribe', topic: 'tenant' });
  const refused = await two.ask({ type: 'subscribe', topic });
  expect(refused).toMatchObject({ type: 'error', code: 'at_capacity' });
  await one.ask({ type: 'unsubscribe', topic });
  expect((await two.ask({ type: 'subscribe', topic })).type).toBe('subscribed');
  expect((await two.ask({ type: 'subscribe', topic: 'tenant' })).code).toBe('at_capacity');
  one.ws.terminate();
  await until('room', async () => {
    return (await two.ask({ type: 'subscribe', topic: 'tenant' })).type === 'subscribed';
  });
});

describe('while redis is away', () => {
  test('what is followed begins anew once it is back without its data', async () => {
    const own = await startOwnRedis();
    scene.cleanUp(() => own.remove());
    const { port } = await scene.api({ redisUrl: own.url });
    const client = await scene.open(port);
    await client.ask({ type: 'subscribe', topic });
    await client.ask({ type: 'subscribe', topic: 'tenant' });
    await until('both', () => client.events.length === 2);
    await own.kill();
    await scene.move('running', 'job.started');
    await own.start();
    await until('both anew', () => client.events.length >= 6);
    for (const name of [topic, 'tenant']) {
      const anew = client.events.filter((event) => event.topic === name).slice(1);
      expect(anew.slice(0, 2).map(({ event }) => event)).toEqual([
        'reset',
        name === topic ? 'snapshot' : 'ready',
      ]);
      expect(anew[0]?.data).toEqual({ reason: 'log_lost' });
    }
    const shown = client.events.filter(({ event }) => event === 'snapshot');
    expect(shown.at(-1)?.data).toMatchObject({ status: 'running' });
    expect(client.closed).toBeUndefined();
  });

  test('a topic is told not to be had, and comes back with a right beginning', async () => {
    const own = await startOwnRedis();
    scene.cleanUp(() => own.remove());
    const process = await scene.api({ redisUrl: own.url });
    const client = await scene.open(process.port);
    await own.kill();
    await client.ask({ type: 'subscribe', topic });
    await until('the refusal', () => client.told.at(-1)?.type === 'unsubscribed');
    expect(client.told.at(-1)).toMatchObject({ reason: 'unavailable', retry_after_ms: expect.any(Number) });
    await own.start();
    await until('the snapshot, with a cursor', async () => {
      await client.ask({ type: 'subscribe', topic });
      return client.events.at(-1)?.cursor !== undefined;
    });
  });
});
