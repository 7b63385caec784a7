/**
 * Folding what was appended to the usage into days.
 *
 * What is folded is deleted, and as long as some transaction is older than that, its index entries stay: a look from the
 * beginning would read them all, each time. So a fold remembers how far it has come, in transactions: each delta bears the id of
 * the one that appended it, and a snapshot tells which of them it sees. What one look does not see can only come from a
 * transaction that was under way then, or began later, however late it commits.
 */
import { type Database, statement } from './statement';

/** What is not folded yet was appended by one of these transactions; ids as text, since they outgrow a number. */
interface Unfolded {
  /** all from this one on */
  from: string;
  /** and those before it that were under way when they were passed */
  late: readonly string[];
}

/** How far the look's own snapshot reaches. */
interface Seen {
  up_to: string;
  under_way: string[];
}

const EVERYTHING: Unfolded = { from: '0', late: [] };
/**
 * About ten minutes. A database that was put back (a standby that takes over and lacks the last moments) gives ids for the second
 * time; what then looks folded is found the next time.
 */
const LOOKS_BEFORE_ANEW = 600;

const SEEN = `select pg_snapshot_xmax(s)::text as up_to, array(select pg_snapshot_xip(s)::text) as under_way
  from pg_current_snapshot() as s`;

/** $1 and $2 as in `Unfolded`. By the order the index is the way, whatever share of the table is thought to fit. */
export const USAGE_PEEK = statement<Seen & { found: boolean }>(
  'usage.peek',
  `select coalesce(
       (select xid from usage_deltas where xid >= $1::xid8 order by xid, seq limit 1),
       (select xid from usage_deltas where xid = any ($2::xid8[]) order by xid, seq limit 1)
     ) is not null as found, seen.*
   from (${SEEN}) as seen`,
);

export const USAGE_FOLD_LOCK = statement<{ mine: boolean }>(
  'usage.fold_lock',
  `select pg_try_advisory_xact_lock(hashtextextended('millrace.fold_usage', 0)) as mine`,
);

/** $1 and $2 as in `Unfolded`; $3 at most, in the order of transactions from $1 on. `last` is the last one of these. */
export const USAGE_FOLD = statement<Seen & { folded: number; last: string | null }>(
  'usage.fold',
  `with next as materialized (
     (select ctid as place, null::xid8 as xid from usage_deltas where xid = any ($2::xid8[]) order by xid, seq limit $3)
     union all
     (select ctid, xid from usage_deltas where xid >= $1::xid8 order by xid, seq limit $3)
     limit $3
   ), taken as (
     delete from usage_deltas where ctid = any (array(select place from next))
     returning tenant_id, day, key_id, metric, policy, amount
   ), by_key as (
     insert into usage_days as d (tenant_id, day, key_id, metric, policy, amount)
     select tenant_id, day, key_id, metric, policy, sum(amount) from taken group by tenant_id, day, key_id, metric, policy
     on conflict (tenant_id, day, key_id, metric, policy) do update set amount = d.amount + excluded.amount
   ), by_tenant as (
     insert into usage_tenant_days as d (tenant_id, day, metric, policy, amount)
     select tenant_id, day, metric, policy, sum(amount) from taken group by tenant_id, day, metric, policy
     on conflict (tenant_id, day, metric, policy) do update set amount = d.amount + excluded.amount
   )
   select (select count(*)::int from taken) as folded,
     (select xid::text from next where xid is not null order by xid desc limit 1) as last, seen.*
   from (${SEEN}) as seen`,
);

export interface UsageFold {
  /** @returns how many were folded; fewer than `limit` means that none are left. `busy`: another process is at it */
  foldSome(limit: number): Promise<number | 'busy'>;
}

export function createUsageFold(db: Database): UsageFold {
  let unfolded = EVERYTHING;
  let looks = 0;
  return {
    async foldSome(limit) {
      if (looks++ % LOOKS_BEFORE_ANEW === 0) unfolded = EVERYTHING;
      const { from, late } = unfolded;
      // Idle, this is a look at the end of an index and no transaction.
      const [peek] = await db.run(USAGE_PEEK, [from, late]);
      if (peek?.found === false) {
        unfolded = afterAllOf(peek);
        return 0;
      }
      const fold = await db.transaction(async (tx) => {
        const [lock] = await tx.run(USAGE_FOLD_LOCK);
        return lock?.mine === true ? (await tx.run(USAGE_FOLD, [from, late, limit]))[0] : undefined;
      });
      if (fold === undefined) return 'busy';
      // Only once it is committed: what was rolled back is still to be folded.
      unfolded = fold.folded < limit ? afterAllOf(fold) : after(fold.last ?? from, { late, seen: fold });
      return fold.folded;
    },
  };
}

/** All that the snapshot sees is folded. */
function afterAllOf({ up_to, under_way }: Seen): Unfolded {
  return { from: up_to, late: under_way };
}

/** Of what the snapshot sees, that of transactions before `from` is folded, but for what may be left of the late ones. */
function after(from: string, { late, seen }: { late: readonly string[]; seen: Seen }): Unfolded {
  const passed = seen.under_way.filter((xid) => BigInt(xid) < BigInt(from));
  return { from, late: [...new Set([...late, ...passed])] };
}
