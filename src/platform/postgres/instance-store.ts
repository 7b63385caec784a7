/** Processes that live: each says so now and then in a row of its own, and counts those who did so of late. */
import { type Queryable, statement } from './statement';

/** Long after the last word of a process: its row also says which of its batches were written. */
const FORGOTTEN_AFTER = '1 day';

/** $1 id, $2 role, $3 seconds. The row of the asker is written by the same statement, and so counted by hand. */
export const INSTANCE_BEAT = statement<{ processes: number; rank: number }>(
  'instance.beat',
  `with beat as (
     insert into instances (id, role, seen_at) values ($1, $2, clock_timestamp())
     on conflict (id) do update set seen_at = excluded.seen_at
   )
   select 1 + count(*)::int as processes, (count(*) filter (where id < $1))::int as rank
   from instances
   where role = $2 and id <> $1 and seen_at > clock_timestamp() - $3::float8 * interval '1 second'`,
);

export const INSTANCE_REMOVE = statement('instance.remove', 'delete from instances where id = $1');

export const INSTANCE_PRUNE = statement(
  'instance.prune',
  `delete from instances where role = $1 and seen_at < clock_timestamp() - interval '${FORGOTTEN_AFTER}'`,
);

export interface Instance {
  /** uuid */
  id: string;
  role: string;
}

export interface InstanceStore {
  /** @returns how many live, and how many of the others come before this one */
  beat(instance: Instance, withinSeconds: number): Promise<{ processes: number; rank: number }>;
  remove(id: string): Promise<void>;
  /** Rows of processes that ended without a word long ago. */
  prune(role: string): Promise<void>;
}

export function createInstanceStore(db: Queryable): InstanceStore {
  return {
    beat: async ({ id, role }, withinSeconds) => {
      const [crew] = await db.run(INSTANCE_BEAT, [id, role, withinSeconds]);
      return crew ?? { processes: 1, rank: 0 };
    },
    remove: async (id) => void (await db.run(INSTANCE_REMOVE, [id])),
    prune: async (role) => void (await db.run(INSTANCE_PRUNE, [role])),
  };
}
