import { connect } from 'node:net';
import { decodeId } from '../../src/domain/ids';
import { deriveItems } from '../../src/platform/postgres/derive-items';
import { createRemainsStore, type Place } from '../../src/platform/postgres/remains-store';
import { statement } from '../../src/platform/postgres/statement';
import { purge, startPurge } from '../../src/workers/purge';
import { type BatchApi, startBatchApi } from '../support/batch-api';
import { jobWith, upTo } from '../support/batch-job';
import { until } from '../support/wait';

const LEFT = statement<Record<string, number>>(
  'test.left',
  `select (select count(*)::int from jobs where id = $1) as jobs, (select count(*)::int from items where job_id = $1) as items,
     (select count(*)::int from results where job_id = $1) as results, (select count(*)::int from chunks where job_id = $1) as chunks,
     (select count(*)::int from retries where job_id = $1) as retries, (select count(*)::int from job_rates where job_id = $1) as rates,
     (select count(*)::int from job_remains where job_id = $1) as remains`,
);
const MORE_ROWS = statement(
  'test.more_rows',
  `with c as (insert into chunks (job_id, no) values ($1, 0)), r as (insert into job_rates values ($1, now()))
   insert into retries values ($1, 0, 1, now())`,
);
const MANY_ITEMS = statement(
  'test.many_items',
  `insert into items (job_id, upload, index, input) select $1, u, i, $3::json from generate_series(1, 2) u,
   generate_series(0, $2::int - 1) i on conflict do nothing`,
);
const MANY_RESULTS = statement(
  'test.many_results',
  `insert into results (job_id, index, status, output, attempts, duration_ms)
   select $1, i, 'succeeded', '1', 1, 1 from generate_series(0, $2::int - 1) i`,
);
const EVENTS = statement<{ type: string }>(
  'test.event_types',
  'select type from events where subject = $1 order by seq',
);
const NO_REMAINS = statement('test.no_remains', 'delete from job_remains');

const NOTHING = { jobs: 0, items: 0, results: 0, chunks: 0, retries: 0, rates: 0, remains: 0 };

let api: BatchApi;

beforeAll(async () => {
  api = await startBatchApi();
});

beforeEach(() => api.database.run(NO_REMAINS));

afterAll(() => api.close());

const remove = (id: string) => api.call(`/v1/jobs/${id}`, { method: 'DELETE' });

const leftOf = async (id: string) => (await api.database.run(LEFT, [decodeId('job', id)]))[0];

const never = new AbortController().signal;
const purgeAll = () =>
  purge({ remains: createRemainsStore(api.database), log: { info: () => undefined } }, never);

describe('DELETE', () => {
  it('leaves nothing of the job, and nothing of another one is touched', async () => {
    const [id, other] = [
      await jobWith(api, { total: 30, done: upTo(20), status: 'failed' }),
      await jobWith(api, { total: 7, done: upTo(7), status: 'completed' }),
    ];
    await api.database.run(MORE_ROWS, [decodeId('job', id)]);
    const reply = await remove(id);
    expect([reply.status, reply.text]).toEqual([204, '']);
    expect(await leftOf(id)).toEqual({ ...NOTHING, items: 30, results: 20, remains: 1 });
    expect(await purgeAll()).toBe(50);
    expect(await leftOf(id)).toEqual(NOTHING);
    expect(await leftOf(other)).toMatchObject({ jobs: 1, items: 7, results: 7 });
  });

  it('takes effect at once, before anything is purged', async () => {
    const id = await jobWith(api, { total: 3, done: upTo(3), status: 'completed' });
    await remove(id);
    for (const what of ['', '/progress', '/items', '/results', '/summary']) {
      expect((await api.call(`/v1/jobs/${id}${what}`)).body.code).toBe('not_found');
    }
    for (const verb of ['start', 'pause', 'resume', 'cancel', 'retry']) {
      expect((await api.call(`/v1/jobs/${id}/${verb}`, { method: 'POST' })).body.code).toBe('not_found');
    }
    const { body } = await api.call('/v1/jobs?status=completed');
    expect(body.data.map((job: { id: string }) => job.id)).not.toContain(id);
  });

  it('is an event, and the events before it stay', async () => {
    const { id } = await api.create();
    await remove(id);
    expect((await api.database.run(EVENTS, [id])).map(({ type }) => type)).toEqual([
      'job.created',
      'job.deleted',
    ]);
  });

  it('of a job that another takes its items from waits until that is done', async () => {
    const id = await jobWith(api, { total: 4, done: upTo(2), status: 'cancelled' });
    const { body: child } = await api.call(`/v1/jobs/${id}/retry`, { method: 'POST' });
    const refused = await remove(id);
    expect([refused.status, refused.body.code, refused.headers.get('retry-after')]).toEqual([
      409,
      'job_in_use',
      '1',
    ]);
    await api.database.transaction((tx) => deriveItems(tx, { tenantId: api.tenantId, jobId: child.id }));
    expect((await remove(id)).status).toBe(204);
    await purgeAll();
    expect(await leftOf(child.id)).toMatchObject({ jobs: 1, items: 2 });
    expect((await api.call(`/v1/jobs/${child.id}`)).body.parent_job_id).toBe(id);
  });

  it('while its items are being uploaded: the upload is told, and leaves no rows', async () => {
    const { id } = await api.create();
    await api.put(id, '"earlier"\n');
    const socket = connect(api.port, '127.0.0.1');
    let answer = '';
    socket.on('data', (chunk) => (answer += String(chunk)));
    const head = [
      `PUT /v1/jobs/${id}/items HTTP/1.1`,
      ...[
        'Host: x',
        `Authorization: Bearer ${api.key}`,
        'Content-Type: application/x-ndjson',
        'Content-Length: 60000',
      ],
    ];
    const line = `${JSON.stringify('x'.repeat(997))}\n`;
    socket.write(`${head.join('\r\n')}\r\n\r\n${line.repeat(30)}`);
    await until('the upload to be under way', async () => (await uploadNumber(id)) === 2);
    expect((await remove(id)).status).toBe(204);
    socket.write(line.repeat(30));
    await until('the answer', () => answer.includes('\r\n\r\n'));
    socket.destroy();
    expect(answer).toMatch(/^HTTP\/1.1 404 /);
    expect(answer).toContain('"code":"not_found"');
    await purgeAll();
    expect(await leftOf(id)).toEqual(NOTHING);
  });

  const uploadNumber = async (id: string): Promise<number> => {
    const [row] = await api.database.run(
      statement<{ n: number }>('test.upload_number', 'select upload_seq as n from jobs where id = $1'),
      [decodeId('job', id)],
    );
    return row?.n ?? 0;
  };
});

describe('the purge', () => {
  const deletedWith = async (items: number, input = '1'): Promise<string> => {
    const { id } = await api.create();
    const uuid = decodeId('job', id);
    await api.database.run(MANY_ITEMS, [uuid, items, input]);
    await api.database.run(MANY_RESULTS, [uuid, items]);
    await remove(id);
    return id;
  };

  it('goes page by page, each of a few thousand rows at most', async () => {
    const id = await deletedWith(6_000);
    const store = createRemainsStore(api.database);
    const removed: number[] = [];
    for (let place: Place | undefined; ; ) {
      const some = await store.removeSome(place);
      if (some === undefined) break;
      removed.push(some.removed);
      place = some.next;
    }
    expect(removed.filter((rows) => rows > 0)).toEqual([5_000, 5_000, 2_000, 5_000, 1_000]);
    expect(await leftOf(id)).toEqual(NOTHING);
  });

  it('takes fewer rows at a time where they are large, and at least one', async () => {
    const id = await deletedWith(50, JSON.stringify('x'.repeat(1_000_000)));
    const first = await createRemainsStore(api.database).removeSome(undefined);
    expect(first?.removed).toBeGreaterThan(1);
    expect(first?.removed).toBeLessThan(50);
    await purgeAll();
    expect(await leftOf(id)).toEqual(NOTHING);
  });

  it('stopped midway, or killed, leaves the rest to whoever comes next', async () => {
    const [id, later] = [await deletedWith(6_000), await deletedWith(10)];
    const store = createRemainsStore(api.database);
    const dying = api.database.transaction(async (tx) => {
      await createRemainsStore({ ...tx, transaction: (work) => work(tx) }).removeSome(undefined);
      throw new Error('killed');
    });
    await expect(dying).rejects.toThrow('killed');
    expect(await leftOf(id)).toMatchObject({ items: 12_000, results: 6_000, remains: 1 });
    const stop = new AbortController();
    const removeSome = async (from: Place | undefined) => {
      const some = await store.removeSome(from);
      stop.abort();
      return some;
    };
    await purge({ remains: { removeSome }, log: { info: () => undefined } }, stop.signal);
    expect(await leftOf(id)).toMatchObject({ items: 7_000, results: 6_000, remains: 1 });
    await purgeAll();
    expect([await leftOf(id), await leftOf(later)]).toEqual([NOTHING, NOTHING]);
  });

  it('is shared: what one worker is at, another passes over', async () => {
    const [first, second] = [await deletedWith(10), await deletedWith(20)];
    await api.database.transaction(async (tx) => {
      const held = await createRemainsStore({ ...tx, transaction: (work) => work(tx) }).removeSome(undefined);
      expect(held?.next?.jobId).toBe(first);
      // Nor does it wait for one that it was at itself before.
      expect((await createRemainsStore(api.database).removeSome(held?.next))?.next?.jobId).toBe(second);
      expect(await purgeAll()).toBe(20);
    });
    expect(await leftOf(second)).toEqual(NOTHING);
    await purgeAll();
    expect(await leftOf(first)).toEqual(NOTHING);
  });

  it('of the worker finds what is deleted while it runs, and stops when it is told to', async () => {
    const errors: unknown[] = [];
    const ended: object[] = [];
    const loop = startPurge({
      remains: createRemainsStore(api.database),
      log: { info: (fields) => void ended.push(fields) },
      onError: (error) => errors.push(error),
      idleMs: 10,
    });
    const id = await deletedWith(100);
    await until('the rows to be gone', async () => (await leftOf(id))?.remains === 0);
    await loop.stop();
    expect([errors, ended]).toEqual([[], [{ job_id: id }]]);
    const later = await deletedWith(1);
    expect(await leftOf(later)).toMatchObject({ remains: 1 });
  });
});
