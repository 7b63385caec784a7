/** Plans: rows, of which four are there from the start. Fulfils `PlanStore` of src/api/plan/ports.ts. */
import { AppError } from '../../domain/errors';
import type { Plan, PlanLimits } from '../../domain/key/plans';
import { ACCESS_CHANGED } from './access-log';
import { PLAN_COLUMNS, type PlanRow, toPlan } from './plan-row';
import { type Queryable, statement } from './statement';

interface StoredPlanRow extends PlanRow {
  created_at: Date;
  updated_at: Date;
}

const STORED_COLUMNS = `${PLAN_COLUMNS}, p.created_at, p.updated_at`;

export const PLAN_LIST = statement<StoredPlanRow>(
  'plan.list',
  `select ${STORED_COLUMNS} from plans p where $1::text is null or p.name > $1 order by p.name limit $2`,
);

export const PLAN_FIND = statement<StoredPlanRow>(
  'plan.find',
  `select ${STORED_COLUMNS} from plans p where p.name = $1`,
);

const LIMIT_COLUMNS = `requests_per_minute, requests_per_day, items_per_month, items_per_job, running_jobs, concurrency_per_job,
  endpoints, realtime_connections, realtime_topics, retention_days`;

/** No row: the name is taken. */
export const PLAN_INSERT = statement<StoredPlanRow>(
  'plan.insert',
  `insert into plans as p (name, ${LIMIT_COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
   on conflict (name) do nothing returning ${STORED_COLUMNS}`,
);

export const PLAN_UPDATE = statement<StoredPlanRow>(
  'plan.update',
  `update plans p set (${LIMIT_COLUMNS}, updated_at) = ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, now())
   where name = $1 returning ${STORED_COLUMNS}`,
);

export interface PlanRecord extends Plan {
  created_at: Date;
  updated_at: Date;
}

/** @param db for `update` a transaction */
export function createPlanStore(db: Queryable) {
  return {
    list: async ({ after, limit }: { after?: string | undefined; limit: number }): Promise<PlanRecord[]> =>
      (await db.run(PLAN_LIST, [after ?? null, limit])).map(toRecord),

    find: async (name: string): Promise<PlanRecord | undefined> => {
      const [row] = await db.run(PLAN_FIND, [name]);
      return row && toRecord(row);
    },

    insert: async ({ name, limits }: Plan): Promise<PlanRecord> => {
      const [row] = await db.run(PLAN_INSERT, [name, ...toValues(limits)]);
      if (row === undefined) throw new AppError('plan_exists', `There is a plan ${name} already.`);
      return toRecord(row);
    },

    update: (name: string, limits: Partial<PlanLimits>): Promise<PlanRecord> => update(db, name, limits),
  };
}

async function update(db: Queryable, name: string, change: Partial<PlanLimits>): Promise<PlanRecord> {
  // First, so that changes come one after the other and none is lost.
  await db.run(ACCESS_CHANGED, [`plan/${name}`]);
  const [row] = await db.run(PLAN_FIND, [name]);
  if (row === undefined) throw new AppError('not_found', 'There is no plan of this name.');
  const limits = { ...toPlan(row).limits, ...change };
  const [after] = await db.run(PLAN_UPDATE, [name, ...toValues(limits)]);
  return toRecord(after as StoredPlanRow);
}

/** In the order of `LIMIT_COLUMNS`. */
function toValues(limits: PlanLimits): (number | null)[] {
  return [
    limits.requestsPerMinute,
    limits.requestsPerDay,
    limits.itemsPerMonth,
    limits.itemsPerJob,
    limits.runningJobs,
    limits.concurrencyPerJob,
    limits.endpoints,
    limits.realtimeConnections,
    limits.realtimeTopics,
    limits.retentionDays,
  ];
}

function toRecord(row: StoredPlanRow): PlanRecord {
  return { ...toPlan(row), created_at: row.created_at, updated_at: row.updated_at };
}
