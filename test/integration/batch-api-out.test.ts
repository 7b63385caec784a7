import { once } from 'node:events';
import { request } from 'node:http';
import { decodeId } from '../../src/domain/ids';
import * as walks from '../../src/platform/postgres/item-statements';
import { RESULT_PAGES } from '../../src/platform/postgres/result-statements';
import { statement } from '../../src/platform/postgres/statement';
import { type BatchApi, startBatchApi } from '../support/batch-api';
import { jobWith, upTo } from '../support/batch-job';
import { fillWithResults } from '../support/bulky-job';
import { until } from '../support/wait';

let api: BatchApi;

beforeAll(async () => {
  api = await startBatchApi();
});

afterAll(() => api.close());

const MORE_JOBS = statement(
  'test.more_jobs',
  `insert into jobs (id, tenant_id, handler, params, options, metadata, status)
  select gen_random_uuid(), $1, 'echo', '{}', '{}', '{}', 'created' from generate_series(1, 3000)`,
);
const GONE = statement('test.job_gone', 'delete from items where job_id = $1');

const lines = (text: string) =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));

describe('items', () => {
  it('by pages, each once', async () => {
    const id = await jobWith(api, { total: 25 });
    const seen: number[] = [];
    for (let cursor = ''; ; ) {
      const { body } = await api.call(`/v1/jobs/${id}/items?limit=10${cursor && `&cursor=${cursor}`}`);
      seen.push(...body.data.map((item: { index: number }) => item.index));
      cursor = body.next_cursor;
      if (cursor === null) break;
    }
    expect(seen).toEqual(upTo(25));
  });

  it.each([
    ['running', 'failed', [3, 13]],
    ['running', 'succeeded', upTo(15).filter((i) => i % 10 !== 3)],
    ['running', 'pending', [15, 16, 17, 18, 19]],
    ['running', 'cancelled', []],
    ['cancelled', 'pending', []],
    ['cancelled', 'cancelled', [15, 16, 17, 18, 19]],
  ])('of a job that is %s, those that are %s', async (status, wanted, indexes) => {
    const id = await jobWith(api, { total: 20, done: upTo(15), status });
    const { body } = await api.call(`/v1/jobs/${id}/items?status=${wanted}`);
    expect(body.data.map((item: { index: number }) => item.index)).toEqual(indexes);
    expect(body.data.every((item: { status: string }) => item.status === wanted)).toBe(true);
    const first = await api.call(`/v1/jobs/${id}/items?status=${wanted}&limit=1`);
    expect(first.body.data.length).toBe(Math.min(1, indexes.length));
  });

  it('show how their attempts went, as far as there were any', async () => {
    const id = await jobWith(api, { total: 5, done: upTo(4) });
    const items = (await api.call(`/v1/jobs/${id}/items`)).body.data;
    const error = { code: 'handler_failed', message: '=boom' };
    expect(items.slice(2)).toEqual([
      { index: 2, custom_id: 'c2', status: 'succeeded', attempts: 1, error: null, input: 2 },
      { index: 3, custom_id: 'c3', status: 'failed', attempts: 1, error, input: 3 },
      { index: 4, custom_id: 'c4', status: 'pending', attempts: 0, error: null, input: 4 },
    ]);
    for (const query of ['status=failed', 'custom_id=c3']) {
      expect((await api.call(`/v1/jobs/${id}/items?${query}`)).body.data).toEqual([items[3]]);
    }
  });

  it('by custom_id, given or not', async () => {
    const { id } = await api.create();
    await api.put(id, '{"custom_id":"x y","input":"named"}\n"by index"\n{"custom_id":"9","input":"nine"}');
    const find = async (name: string) =>
      (await api.call(`/v1/jobs/${id}/items?custom_id=${encodeURIComponent(name)}`)).body.data.map(
        (item: { input: unknown }) => item.input,
      );
    expect(await Promise.all(['x y', '1', '9', '0', '2', 'z'].map(find))).toEqual([
      ['named'],
      ['by index'],
      ['nine'],
      [],
      [],
      [],
    ]);
    expect((await api.call(`/v1/jobs/${id}/items?custom_id=%00`)).status).toBeLessThan(500);
  });

  it('of a megabyte each do not come all in one page', async () => {
    const { id } = await api.create();
    await api.put(id, `${JSON.stringify('x'.repeat(1_000_000))}\n`.repeat(12));
    const { body } = await api.call(`/v1/jobs/${id}/items?limit=1000`);
    expect(body.data.length).toBeLessThan(12);
    expect(body.data.length).toBeGreaterThan(0);
    expect(body.next_cursor).not.toBeNull();
  });
});

describe('results', () => {
  it('of an ended job have a line for each item, those never attempted as cancelled', async () => {
    const id = await jobWith(api, { total: 5_000, done: upTo(4_500), status: 'cancelled' });
    const reply = await api.call(`/v1/jobs/${id}/results`);
    expect(reply.headers.get('x-partial')).toBeNull();
    expect(reply.headers.get('content-type')).toBe('application/x-ndjson');
    expect(reply.headers.get('content-disposition')).toBe(`attachment; filename="${id}-results.ndjson"`);
    const got = lines(reply.text);
    expect(got.map((line) => line.index)).toEqual(upTo(5_000));
    expect(reply.text.split('\n')[7]).toBe(
      '{"index":7,"custom_id":"c7","status":"succeeded","output":{"i": 7.0},"error":null,"attempts":1,"duration_ms":2}',
    );
    expect(got[3].error).toEqual({ code: 'handler_failed', message: '=boom' });
    expect(reply.text.split('\n')[4_999]).toBe(
      '{"index":4999,"custom_id":"c4999","status":"cancelled","output":null,"error":null,"attempts":0,"duration_ms":0}',
    );
  });

  it('of a running job are what is there, marked as partial', async () => {
    const done = upTo(4_000).filter((i) => i % 3 === 0);
    const id = await jobWith(api, { total: 4_000, done });
    const reply = await api.call(`/v1/jobs/${id}/results`);
    expect(reply.headers.get('x-partial')).toBe('true');
    expect(lines(reply.text).map((line) => line.index)).toEqual(done);
  });

  it.each(['succeeded', 'failed', 'cancelled'])('can be had by status: %s', async (status) => {
    const id = await jobWith(api, { total: 25_000, done: upTo(24_990), status: 'cancelled' });
    const got = lines((await api.call(`/v1/jobs/${id}/results?status=${status}`)).text);
    const wanted = upTo(25_000).filter(
      (i) => (i >= 24_990 ? 'cancelled' : i % 10 === 3 ? 'failed' : 'succeeded') === status,
    );
    expect(got.map((line) => line.index)).toEqual(wanted);
  });

  it('as CSV have a header and no formulas', async () => {
    const id = await jobWith(api, { total: 4, done: upTo(4), status: 'completed_with_errors' });
    const reply = await api.call(`/v1/jobs/${id}/results?format=csv`);
    expect(reply.headers.get('content-type')).toMatch(/^text\/csv/);
    expect(reply.text.split('\r\n')).toEqual([
      'index,custom_id,status,output,error_code,error_message,attempts,duration_ms',
      '0,c0,succeeded,"{""i"": 0.0}",,,1,0',
      '1,c1,succeeded,"{""i"": 1.0}",,,1,1',
      '2,c2,succeeded,"{""i"": 2.0}",,,1,2',
      "3,c3,failed,,handler_failed,'=boom,1,3",
      '',
    ]);
  });

  it('of a job without any are empty', async () => {
    const { id } = await api.create();
    expect((await api.call(`/v1/jobs/${id}/results`)).text).toBe('');
    expect((await api.call(`/v1/jobs/${id}/results?format=csv`)).text).toMatch(/^index,.*\r\n$/);
  });

  it('that go away under the download break the connection off, never end it well', async () => {
    const { id } = await api.create();
    await fillWithResults(api.database, id, { total: 30_000, pieces: 32, kind: 'random' });
    const outgoing = request(`${api.url}/v1/jobs/${id}/results`, {
      headers: { Authorization: `Bearer ${api.key}` },
    });
    outgoing.end();
    const [response] = await once(outgoing, 'response');
    response.pause();
    await api.database.run(GONE, [decodeId('job', id)]);
    const ended = jest.fn();
    response
      .on('end', ended)
      .on('error', () => undefined)
      .resume();
    await new Promise((resolve) => response.once('close', resolve));
    expect(response.complete).toBe(false);
    expect(ended).not.toHaveBeenCalled();
  });
});

describe('every read uses an index, looks at one partition and does not compare each with each', () => {
  it.each([
    ['that nobody has analyzed', 'auto', ''],
    ['of which statistics are known', 'force_generic_plan', 'analyze jobs; analyze items; analyze results'],
  ])('on a table with thousands of rows %s', async (_what, planCache, prepare) => {
    const id = await jobWith(api, { total: 20_000, done: upTo(19_000) });
    const client = await api.database.connect();
    try {
      await api.database.run(MORE_JOBS, [decodeId('tenant', api.tenantId)]);
      await client.query(`${prepare}; set plan_cache_mode = ${planCache}`);
      const [job, tenant] = [decodeId('job', id), decodeId('tenant', api.tenantId)];
      const plans = new Map<string, string>();
      for (const read of Object.values(walks.ITEM_WALKS))
        plans.set(read.name, await explain(read, [job, tenant, 10_000, 10_500, 100, 1e6]));
      for (const read of Object.values(RESULT_PAGES)) {
        const limit = read === RESULT_PAGES.failed ? [100] : [];
        plans.set(read.name, await explain(read, [job, tenant, 10_000, 10_500, 1e6, false, ...limit]));
      }
      plans.set('by custom_id', await explain(walks.ITEM_BY_CUSTOM_ID, [job, tenant, 'c7', 7]));
      plans.set('clash', await explain(walks.ITEM_CLASH, [job, 1]));
      for (const [name, plan] of plans) {
        const scanned = [...plan.matchAll(/ on ((?:items|results)_\w+)/g)].map((match) => match[1]);
        const tables = new Set(scanned.map((table) => table?.replace(/_(pkey|job_id_\w+)$/, '')));
        expect([name, [...tables].filter((t) => t?.startsWith('items')).length]).toEqual([name, 1]);
        expect([name, [...tables].filter((t) => t?.startsWith('results')).length]).toEqual([
          name,
          name === 'clash' ? 0 : 1,
        ]);
        expect([name, /Seq Scan on (items|results|jobs)/.test(plan)]).toEqual([name, false]);
        expect([name, /Join Filter: .*index = /.test(plan)]).toEqual([name, false]);
      }
      expect(plans.get('result.failed')).toMatch(/results_\w+_job_id_index_idx/);
    } finally {
      client.release(true);
    }
    async function explain(read: { name: string; text: string }, values: unknown[]): Promise<string> {
      const name = `plan_${read.name.replace(/\W/g, '_')}`;
      await client.query(`prepare ${name} as ${read.text}`);
      const literals = values.map((value) => (typeof value === 'string' ? `'${value}'` : String(value)));
      const { rows } = await client.query(
        `explain (analyze, timing off, costs off) execute ${name}(${literals.join(',')})`,
      );
      return rows
        .map((row) => row['QUERY PLAN'])
        .filter((line) => !/never executed/.test(line))
        .join('\n');
    }
  });
});

it('a client that leaves a download ends its reading', async () => {
  const id = await jobWith(api, { total: 40_000, done: upTo(40_000), status: 'completed_with_errors' });
  const outgoing = request(`${api.url}/v1/jobs/${id}/results`, {
    headers: { Authorization: `Bearer ${api.key}` },
  });
  outgoing.on('error', () => undefined).end();
  const [response] = await once(outgoing, 'response');
  response.pause();
  response.on('error', () => undefined);
  outgoing.destroy();
  const active = statement<{ n: number }>(
    'test.reading',
    `select count(*)::int as n from pg_stat_activity
    where datname = current_database() and state = 'active' and query like '%results%' and pid <> pg_backend_pid()`,
  );
  await until('nobody reads', async () => (await api.database.run(active))[0]?.n === 0);
});
