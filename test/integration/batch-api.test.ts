import { encodeId } from '../../src/domain/ids';
import { type BatchApi, startBatchApi } from '../support/batch-api';
import { jobWith, upTo } from '../support/batch-job';

let api: BatchApi;

beforeAll(async () => {
  api = await startBatchApi();
});

afterAll(() => api.close());

describe('POST /v1/jobs', () => {
  it('without items answers 201 with a job that waits, in the shape of the contract', async () => {
    const reply = await api.call('/v1/jobs', { body: { handler: 'echo', name: 'n', metadata: { a: 'b' } } });
    const { id } = reply.body;
    expect([reply.status, reply.headers.get('location')]).toEqual([201, `/v1/jobs/${id}`]);
    expect(reply.body).toEqual({
      id: expect.stringMatching(/^job_/),
      object: 'job',
      tenant_id: api.tenantId,
      name: 'n',
      handler: 'echo',
      params: {},
      reduce: null,
      options: {
        max_concurrency: null,
        max_rps: null,
        item_timeout_ms: 10_000,
        retry: {
          max_attempts: 1,
          initial_interval_ms: 1000,
          backoff_coefficient: 2,
          max_interval_ms: 60_000,
        },
        tolerated_failure: null,
        priority: 3,
        expires_in_seconds: null,
      },
      metadata: { a: 'b' },
      status: 'created',
      counts: { total: 0, pending: 0, running: 0, succeeded: 0, failed: 0, cancelled: 0 },
      rate_per_second: null,
      eta_seconds: null,
      created_at: expect.stringMatching(/Z$/),
      queued_at: null,
      started_at: null,
      ended_at: null,
      expires_at: null,
      parent_job_id: null,
      error: null,
      links: {
        self: `/v1/jobs/${id}`,
        events: `/v1/jobs/${id}/events`,
        items: `/v1/jobs/${id}/items`,
        results: `/v1/jobs/${id}/results`,
        summary: `/v1/jobs/${id}/summary`,
        temporal: `http://temporal.test/${api.tenantId}/${id}`,
      },
    });
    expect((await api.call(`/v1/jobs/${id}`)).body).toEqual(reply.body);
    expect(api.engineCalls.some((seen) => seen.jobId === id)).toBe(false);
  });

  it('with items answers 202, starts the workflow, and keeps exact inputs', async () => {
    const body = '{"handler":"echo","items":[{"custom_id":"a","input":1.0},12345678901234567890]}';
    const reply = await api.call('/v1/jobs', { body });
    const { id } = reply.body;
    expect([reply.status, reply.body.status, reply.body.counts.total]).toEqual([202, 'queued', 2]);
    expect(api.engineCalls).toContainEqual({ method: 'start', jobId: id });
    const { text } = await api.call(`/v1/jobs/${id}/items`);
    expect(text).toBe(
      '{"data":[{"index":0,"custom_id":"a","status":"pending","attempts":0,"error":null,"input":1.0},' +
        '{"index":1,"custom_id":"1","status":"pending","attempts":0,"error":null,"input":12345678901234567890}],' +
        '"next_cursor":null}',
    );
  });

  it('stands while Temporal is away: the sweep starts the workflow later', async () => {
    api.engineAway = true;
    const reply = await api.call('/v1/jobs', { body: { handler: 'echo', items: [1] } });
    api.engineAway = false;
    expect([reply.status, reply.body.status]).toEqual([202, 'queued']);
  });

  it('is done once for one Idempotency-Key', async () => {
    const how = { body: { handler: 'echo', items: [1, 2] }, headers: { 'Idempotency-Key': 'once' } };
    const [first, again] = [await api.call('/v1/jobs', how), await api.call('/v1/jobs', how)];
    expect(again.body.id).toBe(first.body.id);
    expect(again.status).toBe(202);
  });

  it('takes every kind of metric and fills in defaults', async () => {
    const metrics = {
      n: { op: 'count' },
      p: { op: 'percentile', path: 'output.ms', q: 0.95 },
      h: { op: 'histogram', path: 'output.ms', buckets: [1, 2, 5] },
      t: { op: 'top', path: 'output.state' },
    };
    const reduce = { group_by: 'output.state', metrics };
    const options = {
      retry: { max_attempts: 3, initial_interval_ms: 90_000 },
      ...{ max_rps: null, tolerated_failure: null, expires_in_seconds: null },
    };
    const job = await api.create({ handler: 'echo', reduce, options });
    expect(job.reduce).toEqual({ ...reduce, metrics: { ...metrics, t: { ...metrics.t, k: 10 } } });
    expect(job.options.retry.max_interval_ms).toBe(90_000);
  });

  it.each<[string, object | string, number, string, string | undefined]>([
    ['no handler', {}, 422, 'validation_failed', '/handler'],
    ['an unknown handler', { handler: 'nope' }, 422, 'unknown_handler', '/handler'],
    [
      'params that the handler refuses',
      { handler: 'echo', params: { bad: 1 } },
      422,
      'invalid_params',
      undefined,
    ],
    ['params that are no object', { handler: 'echo', params: [] }, 422, 'validation_failed', '/params'],
    ['an unknown field', { handler: 'echo', itens: [] }, 422, 'validation_failed', '/itens'],
    ['an empty list of items', { handler: 'echo', items: [] }, 422, 'validation_failed', '/items'],
    [
      'a metric without path',
      { handler: 'echo', reduce: { metrics: { a: { op: 'sum' } } } },
      422,
      'validation_failed',
      '/reduce/metrics/a/path',
    ],
    [
      'a percentile without q',
      { handler: 'echo', reduce: { metrics: { a: { op: 'percentile', path: 'output.x' } } } },
      422,
      'validation_failed',
      '/reduce/metrics/a/q',
    ],
    [
      'bounds that do not ascend',
      { handler: 'echo', reduce: { metrics: { a: { op: 'histogram', path: 'output.x', buckets: [2, 1] } } } },
      422,
      'validation_failed',
      '/reduce/metrics/a/buckets',
    ],
    [
      'an unknown op',
      { handler: 'echo', reduce: { metrics: { a: { op: 'mode', path: 'output' } } } },
      422,
      'validation_failed',
      '/reduce/metrics/a/op',
    ],
    [
      'a path outside of the output',
      { handler: 'echo', reduce: { group_by: 'input.x', metrics: { a: { op: 'count' } } } },
      422,
      'validation_failed',
      '/reduce/group_by',
    ],
    ['no metrics', { handler: 'echo', reduce: { metrics: {} } }, 422, 'validation_failed', '/reduce/metrics'],
    [
      'a priority that is none',
      { handler: 'echo', options: { priority: 6 } },
      422,
      'validation_failed',
      '/options/priority',
    ],
    [
      'intervals that cross',
      { handler: 'echo', options: { retry: { initial_interval_ms: 10, max_interval_ms: 5 } } },
      422,
      'validation_failed',
      '/options/retry/max_interval_ms',
    ],
    [
      'metadata that is no text',
      { handler: 'echo', metadata: { a: 1 } },
      422,
      'validation_failed',
      '/metadata/a',
    ],
    ['U+0000 in a name', '{"handler":"echo","name":"a\\u0000"}', 422, 'not_storable', undefined],
    ['a lone surrogate in an item', '{"handler":"echo","items":["\\ud800"]}', 422, 'not_storable', undefined],
    [
      'a bad custom_id',
      { handler: 'echo', items: [1, { custom_id: 7, input: 1 }] },
      422,
      'invalid_item',
      '/items/1',
    ],
    [
      'a custom_id given twice',
      { handler: 'echo', items: [1, { custom_id: '0', input: 1 }] },
      422,
      'duplicate_custom_id',
      '/items/1',
    ],
    ['JSON that is none', '{"handler":"echo",\n"items":[1,}', 400, 'malformed_json', undefined],
    [
      'a body over 1 MB',
      { handler: 'echo', items: ['x'.repeat(1_100_000)] },
      413,
      'body_too_large',
      undefined,
    ],
  ])('refuses %s', async (_name, body, status, code, pointer) => {
    const reply = await api.call('/v1/jobs', { body });
    expect([reply.status, reply.body.code, reply.body.errors?.[0]?.pointer]).toEqual([status, code, pointer]);
  });
});

describe('reading jobs', () => {
  it('lists them newest first, by pages, by status and by handler', async () => {
    const { tenantId, key } = await api.newTenant();
    const made: string[] = [];
    for (let n = 0; n < 5; n++) {
      const reply = await api.call('/v1/jobs', {
        key,
        body: { handler: 'echo', ...(n % 2 ? { items: [1] } : {}) },
      });
      made.unshift(reply.body.id);
    }
    const seen: string[] = [];
    for (let cursor = ''; ; ) {
      const { body } = await api.call(`/v1/jobs?limit=2${cursor && `&cursor=${cursor}`}`, { key });
      seen.push(...body.data.map((job: { id: string }) => job.id));
      cursor = body.next_cursor;
      if (cursor === null) break;
    }
    expect(seen).toEqual(made);
    const queued = await api.call('/v1/jobs?status=queued&handler=echo', { key });
    expect(
      queued.body.data.map((job: { status: string; tenant_id: string }) => [job.status, job.tenant_id]),
    ).toEqual([
      ['queued', tenantId],
      ['queued', tenantId],
    ]);
    expect((await api.call('/v1/jobs?handler=other', { key })).body).toEqual({ data: [], next_cursor: null });
  });

  it('a cursor counts only for the list it came from', async () => {
    const { key } = await api.newTenant();
    for (let n = 0; n < 2; n++) await api.call('/v1/jobs', { key, body: { handler: 'echo' } });
    const { next_cursor: cursor } = (await api.call('/v1/jobs?limit=1', { key })).body;
    const other = await api.call(`/v1/jobs?limit=1&status=created&cursor=${cursor}`, { key });
    expect([other.status, other.body.code]).toEqual([400, 'malformed_cursor']);
    const forged = Buffer.from(JSON.stringify(['jobs?[null,null]', 'job_x'])).toString('base64url');
    expect((await api.call(`/v1/jobs?cursor=${forged}`, { key })).body.code).toBe('malformed_cursor');
  });

  it.each(['limit=0', 'limit=101', 'limit=x', 'status=done', 'unknown=1'])('refuses ?%s', async (query) => {
    const reply = await api.call(`/v1/jobs?${query}`);
    expect([reply.status, reply.body.code]).toEqual([422, 'validation_failed']);
  });

  it('shows the Temporal link to admins only', async () => {
    const { key } = await api.newTenant(['jobs:read', 'jobs:write']);
    const reply = await api.call('/v1/jobs', { key, body: { handler: 'echo' } });
    expect(reply.body.links.temporal).toBeUndefined();
  });

  it.each(['', '/progress', '/items', '/results', '/summary'])(
    "another tenant's job%s is not found",
    async (what) => {
      const { id } = await api.create();
      const { key } = await api.newTenant();
      expect((await api.call(`/v1/jobs/${id}${what}`, { key })).body.code).toBe('not_found');
      expect(
        (await api.call(`/v1/jobs/${encodeId('job', '01890000-0000-7000-8000-000000000000')}${what}`)).status,
      ).toBe(404);
    },
  );
});

describe('progress', () => {
  const counts = (succeeded: number) => ({
    ...{ total: 20, pending: 20 - succeeded, running: 0, succeeded, failed: 0, cancelled: 0 },
  });

  it('is the workflow or the rows, whichever knows more', async () => {
    const id = await jobWith(api, { total: 20 });
    expect((await api.call(`/v1/jobs/${id}/progress`)).body.source).toBe('rows');
    api.reported.set(id, counts(7));
    const { body } = await api.call(`/v1/jobs/${id}/progress`);
    expect([body.source, body.counts, body.job_id, body.status]).toEqual([
      'workflow',
      counts(7),
      id,
      'running',
    ]);
    expect(body.rate_per_second).toBeGreaterThan(0);
    expect(body.eta_seconds).toBeGreaterThan(0);
  });

  it('of an ended job is the rows, and the workflow is not asked', async () => {
    const id = await jobWith(api, { total: 20, done: upTo(20), status: 'completed_with_errors' });
    api.reported.set(id, counts(20));
    const { body } = await api.call(`/v1/jobs/${id}/progress`);
    expect([body.source, body.counts.succeeded, body.counts.failed]).toEqual(['rows', 18, 2]);
    expect(api.engineCalls.some((seen) => seen.jobId === id)).toBe(false);
  });
});

describe('start and cancel', () => {
  it('start is done once, however often it is asked for', async () => {
    const { id } = await api.create();
    await api.put(id, '1\n');
    for (let n = 0; n < 2; n++) {
      const reply = await api.call(`/v1/jobs/${id}/start`, { method: 'POST' });
      expect([reply.status, reply.body.status, reply.headers.get('location')]).toEqual([
        202,
        'queued',
        `/v1/jobs/${id}`,
      ]);
    }
    expect(api.engineCalls).toContainEqual({ method: 'start', jobId: id });
  });

  it('a started job comes to its end by way of the workflow', async () => {
    const { body: job } = await api.call('/v1/jobs', { body: { handler: 'echo', items: [1] } });
    const reply = await api.call(`/v1/jobs/${job.id}/cancel`, { method: 'POST' });
    expect([reply.status, reply.body.status]).toEqual([202, 'cancelling']);
    expect(api.engineCalls).toContainEqual({ method: 'wake', jobId: job.id });
  });

  it('a job that was never started is cancelled at once, and then takes nothing more', async () => {
    const { id } = await api.create();
    await api.put(id, '1\n2\n');
    const reply = await api.call(`/v1/jobs/${id}/cancel`, { method: 'POST' });
    expect([reply.body.status, reply.body.counts.cancelled]).toEqual(['cancelled', 2]);
    expect((await api.call(`/v1/jobs/${id}/start`, { method: 'POST' })).body.code).toBe('job_already_ended');
    expect((await api.call(`/v1/jobs/${id}/cancel`, { method: 'POST' })).status).toBeLessThan(500);
    expect((await api.put(id, '1')).body.code).toBe('job_not_open');
  });
});

describe('summary', () => {
  it('of a job without reduce has no groups', async () => {
    const { id } = await api.create();
    const { body } = await api.call(`/v1/jobs/${id}/summary`);
    expect(body).toMatchObject({ job_id: id, partial: true, groups: [], skipped: {} });
  });

  it('of a running job is what is there', async () => {
    const reduce = { metrics: { n: { op: 'count' } } };
    const { id } = await api.create({ handler: 'echo', reduce });
    await api.put(id, '1\n2\n');
    const { body } = await api.call(`/v1/jobs/${id}/summary`);
    expect([body.job_id, body.partial]).toEqual([id, true]);
  });
});
