import type { Job } from '../../src/domain/batch/job';
import { decodeId } from '../../src/domain/ids';
import { newId } from '../../src/platform/clock';
import { DERIVE_FIND, DERIVE_ITEMS, deriveItems } from '../../src/platform/postgres/derive-items';
import { createEventStore } from '../../src/platform/postgres/event-store';
import { createRunStore } from '../../src/platform/postgres/run-store';
import { statement } from '../../src/platform/postgres/statement';
import { type BatchApi, startBatchApi } from '../support/batch-api';
import { jobWith, upTo } from '../support/batch-job';

const EVENTS = statement<{ type: string; status: string }>(
  'test.retry_events',
  `select type, data::json ->> 'status' as status from events where subject = $1 order by seq`,
);
const ITEMS = statement<{ index: number; custom_id: string | null; input: string }>(
  'test.retry_items',
  `select i.index, coalesce(i.custom_id, i.index::text) as custom_id, i.input::text as input
   from jobs j join items i on i.job_id = j.id and i.upload = j.upload where j.id = $1 order by i.index`,
);
const EXACT = statement<{ params: string; reduce: string }>(
  'test.exact_texts',
  'select params::text as params, reduce::text as reduce from jobs where id = $1',
);
const SET_TEXTS = statement('test.set_texts', 'update jobs set params = $2, reduce = $3 where id = $1');
const END = statement(
  'test.end',
  `update jobs set status = 'failed', failed = 1, cancelled = total - 1, ended_at = now() where id = $1`,
);
const FAIL_FIRST = statement(
  'test.fail_first',
  `insert into results (job_id, index, status, error, attempts, duration_ms)
   values ($1, 0, 'failed', '{"code":"handler_failed","message":"x"}', 1, 1)`,
);
const CHILDREN = statement<{ n: number }>(
  'test.children',
  'select count(*)::int as n from jobs where parent_job_id = $1',
);
const FORGET = statement('test.forget', 'delete from jobs where id = $1');

let api: BatchApi;

beforeAll(async () => {
  api = await startBatchApi();
});

afterAll(() => api.close());

const retry = (id: string, body?: unknown) =>
  api.call(`/v1/jobs/${id}/retry`, { method: 'POST', ...(body === undefined ? {} : { body }) });

const refOf = (jobId: string) => ({ tenantId: api.tenantId, jobId });

/** As the worker does when it begins the job. */
const derive = (jobId: string) => api.database.transaction((tx) => deriveItems(tx, refOf(jobId)));

const itemsOf = (jobId: string) => api.database.run(ITEMS, [decodeId('job', jobId)]);

const startsOf = (jobId: string): number =>
  api.engineCalls.filter((call) => call.method === 'start' && call.jobId === jobId).length;

describe('a retry', () => {
  it('is a job of its own that is queued at once, and says of which job it is', async () => {
    const options = { max_rps: 5, priority: 2, retry: { max_attempts: 3 }, expires_in_seconds: 3_600 };
    const body = {
      name: 'first',
      metadata: { a: 'b' },
      options,
      reduce: { metrics: { n: { op: 'count' } } },
    };
    const id = await jobWith(api, { total: 20, done: upTo(15), status: 'cancelled', body });
    const parent: Job = (await api.call(`/v1/jobs/${id}`)).body;
    const reply = await retry(id);
    const child: Job = reply.body;
    expect([reply.status, reply.headers.get('location')]).toEqual([202, `/v1/jobs/${child.id}`]);
    expect(child).toMatchObject({
      ...{ parent_job_id: id, status: 'queued', name: 'first', metadata: { a: 'b' }, handler: 'echo' },
      ...{ options: parent.options, reduce: parent.reduce, params: parent.params, error: null },
      counts: { total: 7, pending: 7, running: 0, succeeded: 0, failed: 0, cancelled: 0 },
    });
    expect(Date.parse(String(child.expires_at)) - Date.parse(String(child.queued_at))).toBe(3_600_000);
    expect(await api.database.run(EVENTS, [child.id])).toEqual([
      { type: 'job.created', status: 'created' },
      { type: 'job.queued', status: 'queued' },
    ]);
    expect(startsOf(child.id)).toBe(1);
    expect((await api.call(`/v1/jobs/${id}`)).body).toMatchObject({
      status: 'cancelled',
      counts: parent.counts,
    });
  });

  it('takes exactly the failed and the cancelled items over, by their names and with their exact text', async () => {
    const { id } = await api.create();
    const texts = [
      '1.0',
      '{"custom_id":"b","input":12345678901234567890}',
      '{"z": 1e2,  "a":"\\u00e9"}',
      '[ ]',
    ];
    await api.put(id, texts.join('\n'));
    const uuid = decodeId('job', id);
    await api.database.run(
      statement(
        'test.some_done',
        `insert into results (job_id, index, status, output, attempts, duration_ms)
         values ($1, 0, 'succeeded', '1', 1, 1), ($1, 2, 'failed', null, 1, 1)`,
      ),
      [uuid],
    );
    await api.database.run(
      statement(
        'test.some_counted',
        `update jobs set status = 'cancelled', succeeded = 1, failed = 1, cancelled = 2, ended_at = now() where id = $1`,
      ),
      [uuid],
    );
    const { body: child } = await retry(id);
    await derive(child.id);
    expect(await itemsOf(child.id)).toEqual([
      { index: 0, custom_id: 'b', input: '12345678901234567890' },
      { index: 1, custom_id: '2', input: '{"z": 1e2,  "a":"\\u00e9"}' },
      { index: 2, custom_id: '3', input: '[ ]' },
    ]);
    const { text } = await api.call(`/v1/jobs/${child.id}/items`);
    expect(text).toContain('"input":{"z": 1e2,  "a":"\\u00e9"}');
    const named = await api.call(`/v1/jobs/${child.id}/items?custom_id=2`);
    expect(named.body.data.map((item: { index: number }) => item.index)).toEqual([1]);
    expect((await api.call(`/v1/jobs/${child.id}/items?custom_id=1`)).body.data).toEqual([]);
  });

  it('of a retry goes on from there, and the names stay', async () => {
    const id = await jobWith(api, { total: 30, done: upTo(30), status: 'completed_with_errors' });
    const { body: child } = await retry(id);
    await derive(child.id);
    expect((await itemsOf(child.id)).map((item) => item.custom_id)).toEqual(['c3', 'c13', 'c23']);
    await api.database.run(FAIL_FIRST, [decodeId('job', child.id)]);
    await api.database.run(END, [decodeId('job', child.id)]);
    const { body: grandchild } = await retry(child.id);
    expect([grandchild.parent_job_id, grandchild.counts.total]).toEqual([child.id, 3]);
    await derive(grandchild.id);
    expect(await itemsOf(grandchild.id)).toEqual([
      { index: 0, custom_id: 'c3', input: '3' },
      { index: 1, custom_id: 'c13', input: '13' },
      { index: 2, custom_id: 'c23', input: '23' },
    ]);
  });

  it('of a job that was cancelled before it was started has all of its items', async () => {
    const { id } = await api.create();
    await api.put(id, '"a"\n"b"\n');
    await api.call(`/v1/jobs/${id}/cancel`, { method: 'POST' });
    const { body: child } = await retry(id);
    await derive(child.id);
    expect((await itemsOf(child.id)).map(({ custom_id, input }) => [custom_id, input])).toEqual([
      ['0', '"a"'],
      ['1', '"b"'],
    ]);
  });

  it('keeps params and reduce to the letter, also what was sealed in them', async () => {
    const id = await jobWith(api, { total: 4, done: upTo(4), status: 'completed_with_errors' });
    const texts = [
      '{"b": 1.10, "a":{"$sealed":"x=="}}',
      '{"metrics":{"p":{"op":"percentile","path":"output","q":0.950}}}',
    ];
    await api.database.run(SET_TEXTS, [decodeId('job', id), ...texts]);
    const { body: child } = await retry(id);
    expect(await api.database.run(EXACT, [decodeId('job', child.id)])).toEqual([
      { params: texts[0], reduce: texts[1] },
    ]);
  });

  it('can be given another name, other metadata and other options; what is left out is as it was', async () => {
    const made = {
      name: 'first',
      metadata: { a: 'b' },
      options: {
        max_rps: 5,
        retry: { max_attempts: 3, initial_interval_ms: 500 },
        tolerated_failure: { count: 1 },
      },
    };
    const id = await jobWith(api, { total: 4, done: upTo(4), status: 'failed', body: made });
    const options = { max_rps: null, retry: { max_attempts: 9 }, expires_in_seconds: 60 };
    const { body: child } = await retry(id, { name: null, metadata: { c: 'd' }, options });
    expect(child).toMatchObject({ name: null, metadata: { c: 'd' } });
    expect(child.options).toEqual({
      ...{
        max_concurrency: null,
        max_rps: null,
        item_timeout_ms: 10_000,
        priority: 3,
        expires_in_seconds: 60,
      },
      retry: { max_attempts: 9, initial_interval_ms: 500, backoff_coefficient: 2, max_interval_ms: 60_000 },
      tolerated_failure: { count: 1 },
    });
    expect(child.expires_at).not.toBeNull();
  });

  it.each([
    [
      'waits that cross those of the ended job',
      { options: { retry: { max_interval_ms: 10 } } },
      '/options/retry/max_interval_ms',
    ],
    ['another handler', { handler: 'transform' }, '/handler'],
    ['items', { items: [1] }, '/items'],
    ['no object', [], ''],
  ])('refuses %s', async (_what, body, pointer) => {
    const id = await jobWith(api, { total: 4, done: upTo(4), status: 'failed' });
    const reply = await retry(id, body);
    expect([reply.status, reply.body.code, reply.body.errors[0].pointer]).toEqual([
      422,
      'validation_failed',
      pointer,
    ]);
    expect(await api.database.run(CHILDREN, [decodeId('job', id)])).toEqual([{ n: 0 }]);
  });

  it('of a job of which everything succeeded is refused', async () => {
    const id = await jobWith(api, { total: 3, done: upTo(3), status: 'completed' });
    const reply = await retry(id);
    expect([reply.status, reply.body.code]).toEqual([409, 'nothing_to_retry']);
  });

  it('for a handler that is there no more is refused, and leaves nothing', async () => {
    const id = await jobWith(api, { total: 4, done: upTo(4), status: 'failed' });
    await api.database.run(statement('test.handler', `update jobs set handler = 'gone' where id = $1`), [
      decodeId('job', id),
    ]);
    const reply = await retry(id);
    expect([reply.status, reply.body.code]).toEqual([422, 'unknown_handler']);
    expect(await api.database.run(CHILDREN, [decodeId('job', id)])).toEqual([{ n: 0 }]);
  });
});

describe('one retry per job', () => {
  it('asked for again it is the same job, which is started once', async () => {
    const id = await jobWith(api, { total: 4, done: upTo(4), status: 'failed' });
    const first = await retry(id);
    const second = await retry(id, { name: 'other' });
    expect([second.status, second.body.id, second.body.name]).toEqual([202, first.body.id, first.body.name]);
    expect(second.headers.get('location')).toBe(first.headers.get('location'));
    expect([startsOf(first.body.id), (await api.database.run(EVENTS, [first.body.id])).length]).toEqual([
      1, 2,
    ]);
  });

  it('asked for ten times at once it is one job', async () => {
    const id = await jobWith(api, { total: 4, done: upTo(4), status: 'failed' });
    const replies = await Promise.all(upTo(10).map(() => retry(id)));
    expect(new Set(replies.map(({ status, body }) => `${status} ${body.id}`)).size).toBe(1);
    expect(await api.database.run(CHILDREN, [decodeId('job', id)])).toEqual([{ n: 1 }]);
  });

  it('once that one is deleted, there can be another', async () => {
    const id = await jobWith(api, { total: 4, done: upTo(4), status: 'failed' });
    const { body: child } = await retry(id);
    await derive(child.id);
    await api.database.run(END, [decodeId('job', child.id)]);
    expect((await api.call(`/v1/jobs/${child.id}`, { method: 'DELETE' })).status).toBe(204);
    const again = await retry(id);
    expect([again.status, again.body.id === child.id]).toEqual([202, false]);
  });
});

describe('taking the items over', () => {
  const underived = async (): Promise<string> =>
    (await retry(await jobWith(api, { total: 40, done: upTo(30), status: 'cancelled' }))).body.id;

  it('is done once, however often and by however many at once', async () => {
    const id = await underived();
    await Promise.all(upTo(4).map(() => derive(id)));
    const items = await itemsOf(id);
    expect(items.map((item) => item.index)).toEqual(upTo(13));
    await derive(id);
    expect(await itemsOf(id)).toEqual(items);
  });

  it('that does not come to its end leaves nothing, and begins anew', async () => {
    const id = await underived();
    const dying = api.database.transaction(async (tx) => {
      await deriveItems(tx, refOf(id));
      throw new Error('the worker died');
    });
    await expect(dying).rejects.toThrow('the worker died');
    expect(await itemsOf(id)).toEqual([]);
    await derive(id);
    expect(await itemsOf(id)).toHaveLength(13);
  });

  it('keeps nobody waiting who pauses, changes or cancels the job meanwhile', async () => {
    const id = await underived();
    const parent = (await api.call(`/v1/jobs/${id}`)).body.parent_job_id;
    await api.database.transaction(async (tx) => {
      const [tenant, uuid] = [decodeId('tenant', api.tenantId), decodeId('job', id)];
      const [found] = await tx.run(DERIVE_FIND, [tenant, uuid]);
      await tx.run(DERIVE_ITEMS, [uuid, decodeId('job', parent), found?.parent_upload, true]);
      expect((await api.call(`/v1/jobs/${id}/pause`, { method: 'POST' })).body.status).toBe('paused');
      const patched = await api.call(`/v1/jobs/${id}`, {
        method: 'PATCH',
        body: { options: { max_rps: 3 } },
      });
      expect(patched.status).toBe(200);
      expect((await api.call(`/v1/jobs/${id}/cancel`, { method: 'POST' })).body.status).toBe('cancelling');
    });
  });

  it('is done by the worker also for a retry that was cancelled before it began: its items are there as cancelled', async () => {
    const id = await underived();
    await api.call(`/v1/jobs/${id}/cancel`, { method: 'POST' });
    const runs = createRunStore(api.database, createEventStore);
    await runs.begin(refOf(id));
    await runs.finalize(refOf(id), 'cancelled');
    await runs.finish(refOf(id), { outcome: 'cancelled', summary: null });
    const { text } = await api.call(`/v1/jobs/${id}/results?status=cancelled`);
    expect(text.trimEnd().split('\n')).toHaveLength(13);
    expect((await retry(id)).body.counts.total).toBe(13);
  });

  it('corrects the total by what was really there', async () => {
    const id = await jobWith(api, { total: 10, done: upTo(5), status: 'cancelled' });
    const { body: child } = await retry(id);
    await api.database.run(
      statement('test.lose_items', 'delete from items where job_id = $1 and index > 7'),
      [decodeId('job', id)],
    );
    await derive(child.id);
    const { counts } = (await api.call(`/v1/jobs/${child.id}`)).body;
    expect(counts).toMatchObject({ total: 4, pending: 4 });
  });

  it('of a job whose parent is gone ends with none', async () => {
    const id = await underived();
    const parent = (await api.call(`/v1/jobs/${id}`)).body.parent_job_id;
    await api.database.run(FORGET, [decodeId('job', parent)]);
    await derive(id);
    expect((await api.call(`/v1/jobs/${id}`)).body.counts.total).toBe(0);
  });

  it("does nothing to a job that is no retry, to one that is gone, or to another tenant's", async () => {
    const id = await jobWith(api, { total: 5 });
    await derive(id);
    expect(await itemsOf(id)).toHaveLength(5);
    await derive(newId('job'));
    const child = await underived();
    const { tenantId } = await api.newTenant();
    await api.database.transaction((tx) => deriveItems(tx, { tenantId, jobId: child }));
    expect(await itemsOf(child)).toEqual([]);
  });

  it('looks at indexes alone to find what is left, and looks each item up, whatever the planner expects', async () => {
    const rows = await api.database.run({
      ...statement<{ 'QUERY PLAN': string }>(
        'test.derive_plan',
        `explain (generic_plan) ${DERIVE_ITEMS.text}`,
      ),
      prepared: false,
    });
    const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
    expect(plan).not.toMatch(/Hash|Merge|Materialize|Seq Scan/);
    expect(plan.match(/Index Only Scan using results\w* on results\w*/g)?.length).toBeGreaterThanOrEqual(2);
    expect(plan).toMatch(/Index Only Scan using items\w* on items\w* i/);
    expect(plan).toMatch(/Index Cond: \(\(job_id = \$2\) AND \(index = i.index\)\)/);
    expect(plan).toMatch(/Index Cond: \(\(job_id = \$2\) AND \(upload = \$3\) AND \(index = /);
  });
});
