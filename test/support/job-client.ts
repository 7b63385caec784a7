import type { Counts } from '../../src/domain/batch/job';
import type { ApiClient, RawBody } from './api-client';
import { until } from './wait';

export interface JobBody {
  id: string;
  status: string;
  counts: Counts;
  parent_job_id: string | null;
  started_at: string | null;
  ended_at: string | null;
  expires_at: string | null;
  error: { code: string; message: string } | null;
}

export interface ResultLine {
  index: number;
  custom_id: string;
  status: 'succeeded' | 'failed' | 'cancelled';
  output: unknown;
  error: { code: string; message: string } | null;
  attempts: number;
}

const FINAL = ['completed', 'completed_with_errors', 'failed', 'cancelled', 'expired'];

/** A job with inline items, which starts at once. */
export function createJob(client: ApiClient, body: object): Promise<JobBody> {
  return client.json<JobBody>('POST', '/v1/jobs', body);
}

/** A job whose items come by upload; it is started after that. */
export async function uploadJob(
  client: ApiClient,
  job: { body: object; contentType: string; items: RawBody },
): Promise<JobBody> {
  const { id } = await createJob(client, job.body);
  const put = await client.call('PUT', `/v1/jobs/${id}/items`, job.items, {
    'content-type': job.contentType,
  });
  if (!put.ok) throw new Error(`upload: ${put.status} ${await put.text()}`);
  return client.json<JobBody>('POST', `/v1/jobs/${id}/start`);
}

export function jobEnded(client: ApiClient, id: string, limitMs = 120_000): Promise<JobBody> {
  return jobThat(client, id, { what: 'the end', fits: ({ status }) => FINAL.includes(status), limitMs });
}

/** All result lines of a job. */
export async function resultLines(client: ApiClient, id: string): Promise<ResultLine[]> {
  const response = await client.call('GET', `/v1/jobs/${id}/results`);
  const text = await response.text();
  return text === ''
    ? []
    : text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as ResultLine);
}

export function readJob(client: ApiClient, id: string): Promise<JobBody> {
  return client.json<JobBody>('GET', `/v1/jobs/${id}`);
}

export type Control = 'start' | 'pause' | 'resume' | 'cancel';

export function control(client: ApiClient, id: string, verb: Control): Promise<JobBody> {
  return client.json<JobBody>('POST', `/v1/jobs/${id}/${verb}`);
}

/** The job once it is as `fits` says. */
export function jobThat(
  client: ApiClient,
  id: string,
  { what, fits, limitMs }: { what: string; fits: (job: JobBody) => boolean; limitMs?: number },
): Promise<JobBody> {
  const ask = async (): Promise<JobBody | false> => {
    const job = await readJob(client, id);
    return fits(job) && job;
  };
  return until(`${what} of ${id}`, ask, limitMs);
}

/** The job once so many of its items have succeeded. */
export function succeededOf(client: ApiClient, id: string, least: number): Promise<JobBody> {
  const fits = ({ counts }: JobBody): boolean => counts.succeeded >= least;
  return jobThat(client, id, { what: `${least} results`, fits, limitMs: 120_000 });
}

/** Items whose handler answers `{n}`, numbered from 0. */
export function numbered(total: number, more: object = {}): { n: number }[] {
  return Array.from({ length: total }, (_, n) => ({ n, ...more }));
}

/** A job whose items are more than the inline ones may be. */
export function uploadNumbered(client: ApiClient, body: object, items: object[]): Promise<JobBody> {
  const lines = items.map((item) => JSON.stringify(item)).join('\n');
  return uploadJob(client, { body, contentType: 'application/x-ndjson', items: lines });
}

/** The job completes, its counts add up, and each of its `numbered` items has one result, its own, in index order. */
export async function expectOneResultEach(
  client: ApiClient,
  id: string,
  { total, limitMs }: { total: number; limitMs?: number },
): Promise<void> {
  expect(await jobEnded(client, id, limitMs)).toMatchObject({
    status: 'completed',
    counts: { total, pending: 0, running: 0, succeeded: total, failed: 0, cancelled: 0 },
  });
  const lines = await resultLines(client, id);
  expect(lines.map((line) => line.index)).toEqual(numbered(total).map(({ n }) => n));
  for (const line of lines) {
    // Quicker than a matcher per line, of which there may be 100,000.
    if (line.status !== 'succeeded' || (line.output as { n?: unknown } | null)?.n !== line.index)
      expect(line).toMatchObject({ status: 'succeeded', output: { n: line.index } });
  }
}

/** For jobs whose summary must be right whatever happened on the way; see `expectSums`. */
export const SUMS = { metrics: { n: { op: 'count' }, sum: { op: 'sum', path: 'output.n' } } };

export async function expectSums(client: ApiClient, id: string, total: number): Promise<void> {
  expect(await client.json('GET', `/v1/jobs/${id}/summary`)).toMatchObject({
    partial: false,
    groups: [{ metrics: { n: total, sum: (total * (total - 1)) / 2 } }],
  });
}

/** One item of `of` failed as `handler_crashed`, that at `index`, and all others succeeded. */
export async function expectCrashed(
  client: ApiClient,
  id: string,
  { of, index }: { of: number; index: number },
): Promise<void> {
  expect(await jobEnded(client, id, 240_000)).toMatchObject({
    status: 'completed_with_errors',
    counts: { succeeded: of - 1, failed: 1 },
  });
  const failed = (await resultLines(client, id)).filter((line) => line.status === 'failed');
  expect(failed).toMatchObject([{ index, error: { code: 'handler_crashed' } }]);
}
