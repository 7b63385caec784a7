/** What a plan allows. The plans themselves are rows: `free`, `basic`, `premium` and `unlimited` are there from the start. */

/** null: no limit */
export interface PlanLimits {
  /** of the tenant, over all its keys and all processes */
  requestsPerMinute: number | null;
  requestsPerDay: number | null;
  /** reserved when a job is sealed; calendar months in UTC */
  itemsPerMonth: number | null;
  itemsPerJob: number | null;
  /** jobs of one tenant that run at once; further ones wait as `queued` */
  runningJobs: number | null;
  /** items in flight of one job */
  concurrencyPerJob: number | null;
  /** receivers of webhooks */
  endpoints: number | null;
  /** event streams and WebSockets open at once */
  realtimeConnections: number | null;
  /** that one of them follows at once */
  realtimeTopics: number | null;
  /** how long jobs are kept after they have ended; null: until they are deleted */
  retentionDays: number | null;
}

export interface Plan {
  name: string;
  limits: PlanLimits;
}

/** Of a tenant without a subscription in force. */
export const DEFAULT_PLAN = 'free';
/** Of the tenant that an installation begins with. */
export const FIRST_PLAN = 'unlimited';

export const PLAN_NAME = /^[a-z][a-z0-9_-]{0,62}$/;
