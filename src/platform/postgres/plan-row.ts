/** How a row of `plans` becomes limits. */
import type { Plan, PlanLimits } from '../../domain/key/plans';

/** bigints come as text */
export interface PlanRow {
  plan: string;
  requests_per_minute: number | null;
  requests_per_day: string | null;
  items_per_month: string | null;
  items_per_job: number | null;
  running_jobs: number | null;
  concurrency_per_job: number | null;
  endpoints: number | null;
  realtime_connections: number | null;
  realtime_topics: number | null;
  retention_days: number | null;
}

/** The select list that makes a `PlanRow` of `plans p`. */
export const PLAN_COLUMNS = `p.name as plan, p.requests_per_minute, p.requests_per_day, p.items_per_month, p.items_per_job,
  p.running_jobs, p.concurrency_per_job, p.endpoints, p.realtime_connections, p.realtime_topics,
  p.retention_days`;

export function toPlan(row: PlanRow): Plan {
  return { name: row.plan, limits: toLimits(row) };
}

function toLimits(row: PlanRow): PlanLimits {
  return {
    requestsPerMinute: row.requests_per_minute,
    requestsPerDay: toNumber(row.requests_per_day),
    itemsPerMonth: toNumber(row.items_per_month),
    itemsPerJob: row.items_per_job,
    runningJobs: row.running_jobs,
    concurrencyPerJob: row.concurrency_per_job,
    endpoints: row.endpoints,
    realtimeConnections: row.realtime_connections,
    realtimeTopics: row.realtime_topics,
    retentionDays: row.retention_days,
  };
}

function toNumber(text: string | null): number | null {
  return text === null ? null : Number(text);
}
