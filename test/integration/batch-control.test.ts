import type { Job } from '../../src/domain/batch/job';
import { FINAL_STATUSES, JOB_STATUSES, type JobStatus } from '../../src/domain/batch/status';
import { decodeId } from '../../src/domain/ids';
import { statement } from '../../src/platform/postgres/statement';
import type { Call, Reply } from '../support/api';
import { type BatchApi, startBatchApi } from '../support/batch-api';
import { jobWith, upTo } from '../support/batch-job';

const EVENTS = statement<{ type: string; data: string }>(
  'test.events_of',
  'select type, data from events where subject = $1 order by seq',
);
const VERSION = statement<{ desired: string; desired_version: number }>(
  'test.version',
  'select desired, desired_version from jobs where id = $1',
);
/** As if all that has happened to the job had happened so much earlier. */
const LONGER_AGO = statement(
  'test.longer_ago',
  `update jobs set started_at = started_at - $2::float8 * interval '1 s', paused_at = paused_at - $3::float8 * interval '1 s'
   where id = $1`,
);

let api: BatchApi;

beforeAll(async () => {
  api = await startBatchApi();
});

afterAll(() => api.close());

const eventsOf = async (jobId: string): Promise<string[]> =>
  (await api.database.run(EVENTS, [jobId])).map(({ type }) => type);

const versionOf = async (jobId: string) => (await api.database.run(VERSION, [decodeId('job', jobId)]))[0];

const wakesOf = (jobId: string): number =>
  api.engineCalls.filter((call) => call.method === 'wake' && call.jobId === jobId).length;

type Control = 'start' | 'pause' | 'resume' | 'cancel' | 'limits' | 'name' | 'retry' | 'delete';

function ask(jobId: string, control: Control, how: Call = {}): Promise<Reply> {
  const path = `/v1/jobs/${jobId}`;
  switch (control) {
    case 'limits':
      return api.call(path, { method: 'PATCH', body: { options: { max_concurrency: 7 } }, ...how });
    case 'name':
      return api.call(path, { method: 'PATCH', body: { name: 'renamed' }, ...how });
    case 'delete':
      return api.call(path, { method: 'DELETE', ...how });
    default:
      return api.call(`${path}/${control}`, { method: 'POST', ...how });
  }
}

/** What a control comes to: the job's new status, or the code of the refusal. */
type Outcome = string;
const over = 'JOB_ALREADY_ENDED';
const final = (outcome: Outcome): Record<string, Outcome> =>
  Object.fromEntries(FINAL_STATUSES.map((status) => [status, outcome]));
const unchanged = Object.fromEntries(JOB_STATUSES.map((status) => [status, status]));
const notEnded = Object.fromEntries(JOB_STATUSES.map((status) => [status, 'JOB_NOT_ENDED']));

const MATRIX: Record<Control, Record<string, Outcome>> = {
  start: { ...unchanged, created: 'queued', ...final(over) },
  pause: {
    created: 'JOB_NOT_STARTED',
    queued: 'paused',
    running: 'paused',
    paused: 'paused',
    cancelling: over,
    finalizing: over,
    ...final(over),
  },
  resume: {
    created: 'JOB_NOT_STARTED',
    queued: 'queued',
    running: 'running',
    paused: 'queued',
    cancelling: over,
    finalizing: over,
    ...final(over),
  },
  cancel: {
    created: 'cancelled',
    queued: 'cancelling',
    running: 'cancelling',
    paused: 'cancelling',
    cancelling: 'cancelling',
    finalizing: over,
    ...final(over),
    cancelled: 'cancelled',
  },
  limits: { ...unchanged, cancelling: over, finalizing: over, ...final(over) },
  name: unchanged,
  retry: { ...notEnded, ...final('child') },
  delete: { ...notEnded, created: 'gone', ...final('gone') },
};

const CASES = (Object.keys(MATRIX) as Control[]).flatMap((control) =>
  JOB_STATUSES.map((status): [Control, JobStatus, Outcome] => [
    control,
    status,
    MATRIX[control][status] ?? 'missing',
  ]),
);

function outcomeOf(control: Control, { status, body }: Reply): Outcome {
  if (status === 409) return (body.code as string).toUpperCase();
  if (control === 'delete') return status === 204 ? 'gone' : `HTTP ${status}`;
  expect(status).toBe(control === 'limits' || control === 'name' ? 200 : 202);
  return control === 'retry' ? 'child' : (body.status as string);
}

describe('every control in every status', () => {
  it.each(CASES)('%s of a job that is %s: %s', async (control, status, outcome) => {
    const id = await jobWith(api, { total: 5, done: upTo(4), status });
    const before = await eventsOf(id);
    const reply = await ask(id, control);
    expect(outcomeOf(control, reply)).toBe(outcome);
    const refused = reply.status === 409;
    const after = await eventsOf(id);
    if (refused) expect(after).toEqual(before);

    const again = await ask(id, control);
    if (control === 'delete' && !refused) expect(again.body.code).toBe('not_found');
    else expect(outcomeOf(control, again)).toBe(outcome);
    if (control === 'retry' && !refused) expect(again.body.id).toBe(reply.body.id);
    expect(await eventsOf(id)).toEqual(after);
  });

  it.each(Object.keys(MATRIX) as Control[])(
    "%s of another tenant's job is not found, and changes nothing",
    async (control) => {
      const id = await jobWith(api, { total: 5, done: upTo(4), status: 'failed' });
      const before = await eventsOf(id);
      const { key } = await api.newTenant();
      expect((await ask(id, control, { key })).body.code).toBe('not_found');
      expect([await eventsOf(id), (await api.call(`/v1/jobs/${id}`)).body.status]).toEqual([
        before,
        'failed',
      ]);
    },
  );

  it.each(Object.keys(MATRIX) as Control[])('%s needs jobs:write', async (control) => {
    const { key } = await api.newTenant(['jobs:read']);
    expect((await ask(await jobWith(api, { total: 1 }), control, { key })).body.code).toBe('missing_scope');
  });
});

describe('pause and resume', () => {
  it('tell the workflow, each time they are asked for, and have an event each time they change something', async () => {
    const id = await jobWith(api, { total: 5, status: 'running' });
    for (const control of ['pause', 'resume', 'pause', 'resume'] as const) await ask(id, control);
    const repeated = (await eventsOf(id)).filter((type) => /paused|resumed/.test(type));
    expect(repeated).toEqual(['job.paused', 'job.resumed', 'job.paused', 'job.resumed']);
    expect(wakesOf(id)).toBe(4);
    expect(await versionOf(id)).toEqual({ desired: 'running', desired_version: 4 });
  });

  it('say where they took the job', async () => {
    const id = await jobWith(api, { total: 5 });
    expect((await ask(id, 'pause')).headers.get('location')).toBe(`/v1/jobs/${id}`);
  });

  it('are done once for one Idempotency-Key, whatever happened since', async () => {
    const id = await jobWith(api, { total: 5 });
    const how = { headers: { 'Idempotency-Key': `pause-${id}` } };
    await ask(id, 'pause', how);
    await ask(id, 'resume');
    const replayed = await ask(id, 'pause', how);
    expect([replayed.body.status, replayed.headers.get('idempotency-replayed')]).toEqual(['paused', 'true']);
    expect((await api.call(`/v1/jobs/${id}`)).body.status).toBe('queued');
  });

  const progressOf = async (id: string) => (await api.call(`/v1/jobs/${id}/progress`)).body;
  /** 20 of 40 done within the 10 s that the job could get on. */
  const halfDone = async (): Promise<string> => {
    const id = await jobWith(api, { total: 40, done: upTo(20) });
    api.reported.set(id, { total: 40, pending: 20, running: 0, succeeded: 20, failed: 0, cancelled: 0 });
    return id;
  };

  it('a paused job has no time left that anybody knew, and its rate stands still', async () => {
    const id = await halfDone();
    await ask(id, 'pause');
    await api.database.run(LONGER_AGO, [decodeId('job', id), 600, 600]);
    const { rate_per_second: rate, eta_seconds: eta } = await progressOf(id);
    expect(eta).toBeNull();
    expect(rate).toBeGreaterThan(1);
    expect(rate).toBeLessThanOrEqual(2);
  });

  it('time that was paused is no time of work: not after the pause, nor after the end', async () => {
    const id = await halfDone();
    for (let pauses = 0; pauses < 2; pauses++) {
      await ask(id, 'pause');
      await api.database.run(LONGER_AGO, [decodeId('job', id), 600, 600]);
      await ask(id, pauses === 0 ? 'resume' : 'cancel');
    }
    const { rate_per_second: rate, eta_seconds: eta } = await progressOf(id);
    expect(rate).toBeGreaterThan(1);
    expect(eta).toBeLessThan(20);
  });

  it('a pause before the start is not taken off the time after it', async () => {
    const id = await jobWith(api, { total: 40, done: upTo(20), status: 'created' });
    await ask(id, 'start');
    await ask(id, 'pause');
    await api.database.run(LONGER_AGO, [decodeId('job', id), 0, 600]);
    await ask(id, 'resume');
    const { paused_ms: paused } = (
      await api.database.run(
        statement<{ paused_ms: string }>('test.paused', 'select paused_ms from jobs where id = $1'),
        [decodeId('job', id)],
      )
    )[0] ?? { paused_ms: 'none' };
    expect(paused).toBe('0');
  });
});

describe('PATCH', () => {
  const patch = (id: string, body: unknown) => api.call(`/v1/jobs/${id}`, { method: 'PATCH', body });
  const limits = { max_concurrency: 20, max_rps: 0.5, tolerated_failure: { count: 3 } };

  it('changes what is named and nothing else, with an event, and tells the workflow', async () => {
    const made = {
      name: 'a',
      metadata: { k: 'v' },
      options: { ...limits, priority: 1, expires_in_seconds: 60 },
    };
    const id = await jobWith(api, { total: 5, body: made });
    const before: Job = (await api.call(`/v1/jobs/${id}`)).body;
    const reply = await patch(id, { options: { max_rps: 9, tolerated_failure: { percentage: 12.5 } } });
    const options = { ...before.options, max_rps: 9, tolerated_failure: { percentage: 12.5 } };
    expect([reply.status, reply.body]).toEqual([
      200,
      expect.objectContaining({ name: 'a', metadata: { k: 'v' }, options }),
    ]);
    expect((await api.call(`/v1/jobs/${id}`)).body.options).toEqual(options);
    expect(wakesOf(id)).toBe(1);
    const events = await api.database.run(EVENTS, [id]);
    expect(JSON.parse(events.at(-1)?.data ?? '{}')).toMatchObject({ job_id: id, status: 'running', options });
    expect(events.at(-1)?.type).toBe('job.updated');
  });

  it('each change is an event of its own, also back to what was before', async () => {
    const id = await jobWith(api, { total: 5 });
    for (const max_rps of [1, 2, 1]) await patch(id, { options: { max_rps } });
    expect((await eventsOf(id)).filter((type) => type === 'job.updated')).toHaveLength(3);
    expect((await versionOf(id))?.desired_version).toBe(3);
  });

  it('null sets a limit back, takes a name away; metadata is replaced as a whole', async () => {
    const id = await jobWith(api, {
      total: 5,
      body: { name: 'a', metadata: { a: '1', b: '2' }, options: limits },
    });
    const { body } = await patch(id, {
      name: null,
      metadata: { c: '3' },
      options: { max_concurrency: null, max_rps: null, tolerated_failure: null },
    });
    expect(body).toMatchObject({
      name: null,
      options: { max_concurrency: null, max_rps: null, tolerated_failure: null },
    });
    expect(body.metadata).toEqual({ c: '3' });
  });

  it.each(['running', 'completed'] as const)(
    'of a job that is %s, with what is so already: 200, and no change',
    async (status) => {
      const made = {
        name: 'a',
        metadata: { a: '1', b: '2' },
        options: { ...limits, tolerated_failure: { count: 1, percentage: 2 } },
      };
      const id = await jobWith(api, { total: 5, status, body: made });
      const before = [await versionOf(id), await eventsOf(id)];
      const same = { max_rps: 0.5, tolerated_failure: { percentage: 2, count: 1 } };
      for (const body of [{}, { options: {} }, { name: 'a', metadata: { b: '2', a: '1' }, options: same }]) {
        expect((await patch(id, body)).status).toBe(200);
      }
      expect([await versionOf(id), await eventsOf(id)]).toEqual(before);
    },
  );

  it('of an ended job with limits: all of it is refused, also the name', async () => {
    const id = await jobWith(api, { total: 5, status: 'completed', body: { name: 'a' } });
    const reply = await patch(id, { name: 'b', options: { max_rps: 1 } });
    expect([reply.status, reply.body.code]).toEqual([409, 'job_already_ended']);
    expect((await api.call(`/v1/jobs/${id}`)).body.name).toBe('a');
    expect(wakesOf(id)).toBe(0);
  });

  it.each([
    ['an option that is fixed', { options: { priority: 1 } }, '/options/priority'],
    ['a status', { status: 'completed' }, '/status'],
    ['options that are none', { options: null }, '/options'],
    ['an empty name', { name: '' }, '/name'],
    ['metadata that is no text', { metadata: { a: 1 } }, '/metadata/a'],
  ])('refuses %s', async (_what, body, pointer) => {
    const reply = await patch(await jobWith(api, { total: 1 }), body);
    expect([reply.status, reply.body.code, reply.body.errors[0].pointer]).toEqual([
      422,
      'validation_failed',
      pointer,
    ]);
  });

  it('needs a body', async () => {
    const reply = await api.call(`/v1/jobs/${await jobWith(api, { total: 1 })}`, { method: 'PATCH' });
    expect([reply.status, reply.body.code]).toEqual([422, 'validation_failed']);
  });
});

describe('options', () => {
  const WRONG: [string, string, string][] = [
    ['max_rps', '0', ''],
    ['max_rps', '0.009', ''],
    ['max_rps', '-1', ''],
    ['max_rps', '100000.1', ''],
    ['max_rps', '1e400', ''],
    ['max_rps', '"5"', ''],
    ['max_rps', 'true', ''],
    ['max_concurrency', '0', ''],
    ['max_concurrency', '1.5', ''],
    ['max_concurrency', '100001', ''],
    ['tolerated_failure', '{}', ''],
    ['tolerated_failure', '5', ''],
    ['tolerated_failure', '[]', ''],
    ['tolerated_failure', '{"count":-1}', '/count'],
    ['tolerated_failure', '{"count":0.5}', '/count'],
    ['tolerated_failure', '{"count":1e300}', '/count'],
    ['tolerated_failure', '{"count":"1"}', '/count'],
    ['tolerated_failure', '{"percentage":-0.1}', '/percentage'],
    ['tolerated_failure', '{"percentage":100.1}', '/percentage'],
    ['tolerated_failure', '{"percentage":5,"counts":1}', '/counts'],
    ['expires_in_seconds', '0', ''],
    ['expires_in_seconds', '-5', ''],
    ['expires_in_seconds', '1.5', ''],
    ['expires_in_seconds', '2592001', ''],
    ['expires_in_seconds', '"60"', ''],
  ];
  const LIVE = ['max_rps', 'max_concurrency', 'tolerated_failure'];

  it.each(WRONG)('%s: %s is refused wherever options are taken', async (option, value, at) => {
    const options = `{"options":{"${option}":${value}}}`;
    const ended = await jobWith(api, { total: 2, status: 'failed' });
    const running = await jobWith(api, { total: 2 });
    const replies = [
      await api.call('/v1/jobs', { body: `{"handler":"echo",${options.slice(1)}` }),
      await api.call(`/v1/jobs/${ended}/retry`, { body: options }),
      ...(LIVE.includes(option)
        ? [await api.call(`/v1/jobs/${running}`, { method: 'PATCH', body: options })]
        : []),
    ];
    for (const { status, body } of replies) {
      expect([status, body.code, body.errors?.[0].pointer]).toEqual([
        422,
        'validation_failed',
        `/options/${option}${at}`,
      ]);
    }
  });

  it.each([
    [{ max_rps: 0.01, max_concurrency: 1, tolerated_failure: { count: 0 }, expires_in_seconds: 1 }],
    [{ max_rps: 100_000, tolerated_failure: { percentage: 100 }, expires_in_seconds: 2_592_000 }],
    [{ tolerated_failure: { count: 0, percentage: 0 } }],
  ])('%j is taken as it is', async (options) => {
    expect((await api.create({ handler: 'echo', options })).options).toMatchObject(options);
  });

  it('the clock of expires_in_seconds runs from the start', async () => {
    const { id, expires_at } = await api.create({ handler: 'echo', options: { expires_in_seconds: 90 } });
    expect(expires_at).toBeNull();
    await api.put(id, '1\n');
    const { body } = await api.call(`/v1/jobs/${id}/start`, { method: 'POST' });
    expect(Date.parse(body.expires_at) - Date.parse(body.queued_at)).toBe(90_000);
  });
});
