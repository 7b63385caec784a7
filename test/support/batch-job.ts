/** Jobs in any state, as a worker would have left them. */
import { isFinal, type JobStatus } from '../../src/domain/batch/status';
import { decodeId } from '../../src/domain/ids';
import { statement } from '../../src/platform/postgres/statement';
import type { BatchApi } from './batch-api';

const REWIND = statement(
  'test.job_state',
  `update jobs set status = $2, started_at = case when $2 <> 'created' then now() - interval '10 s' end,
  queued_at = case when $2 <> 'created' then now() - interval '10 s' end,
  paused_at = case when $2 = 'paused' then now() end, desired = case when $2 = 'paused' then 'paused' else desired end,
  ended_at = case when $3 then now() end, cancelled = $4, succeeded = $5, failed = $6 where id = $1`,
);
const RESULTS = statement(
  'test.results',
  `insert into results (job_id, index, status, output, error, attempts, duration_ms)
  select $1, i, case when i % 10 = 3 then 'failed' else 'succeeded' end,
    case when i % 10 = 3 then null else ('{"i": ' || i || '.0}')::json end,
    case when i % 10 = 3 then '{"code":"handler_failed","message":"=boom"}'::json end, 1, i % 5
  from unnest($2::int[]) as i`,
);
export interface Made {
  total: number;
  done?: number[];
  status?: string;
  /** more of the job's creation */
  body?: object;
}

/** A job with items, some of which have results: every tenth failed. */
export async function jobWith(
  api: BatchApi,
  { total, done = [], status = 'running', body = {} }: Made,
): Promise<string> {
  const { id } = await api.create({ handler: 'echo', ...body });
  await api.put(id, Array.from({ length: total }, (_, i) => `{"input":${i},"custom_id":"c${i}"}`).join('\n'));
  const uuid = decodeId('job', id);
  const failed = done.filter((i) => i % 10 === 3).length;
  const ended = isFinal(status as JobStatus);
  await api.database.run(RESULTS, [uuid, done]);
  const cancelled = ended ? total - done.length : 0;
  await api.database.run(REWIND, [uuid, status, ended, cancelled, ended ? done.length - failed : 0, failed]);
  return id;
}

export const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
