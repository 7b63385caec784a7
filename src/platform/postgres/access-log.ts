/** The log of changes to what keys may do: written with each change, followed by every API process. */
import { type Queryable, statement } from './statement';

/** Holds the clock's row to the end of the transaction, so numbers have no holes and follow the order of the commits. */
export const ACCESS_CHANGED = statement('access.changed', 'select access_changed($1)');

/** The clock comes along: rows that were pruned before they were read show as a hole, also where none is left. */
export const ACCESS_READ = statement<{ latest: string; seq: string | null; subject: string | null }>(
  'access.read',
  `select c.seq as latest, a.seq, a.subject from access_clock c left join lateral (
     select seq, subject from access_changes where seq > $1 order by seq limit $2
   ) a on true order by a.seq`,
);

export const ACCESS_PRUNE = statement(
  'access.prune',
  `delete from access_changes where at < now() - interval '1 hour' returning seq`,
);

/** A page is never cut short in practice; what did not fit is a hole, and a hole means: forget everything. */
const PAGE = 1_000;

export interface AccessNews {
  /** number of the last change there is */
  latest: number;
  changes: { seq: number; subject: string }[];
}

export function createAccessLog(db: Queryable) {
  return {
    /** @param subject `key_…`, `tnt_…`, `plan/…` or `tkt_…`; in the transaction of the change, before what it depends on is read */
    changed: async (subject: string): Promise<void> => void (await db.run(ACCESS_CHANGED, [subject])),

    readAfter: async (seq: number): Promise<AccessNews> => {
      const rows = await db.run(ACCESS_READ, [seq, PAGE]);
      const changes = rows.flatMap((row) =>
        row.seq === null || row.subject === null ? [] : [{ seq: Number(row.seq), subject: row.subject }],
      );
      return { latest: Number(rows[0]?.latest), changes };
    },

    /** Drops what every process has read long ago. @returns how many */
    prune: async (): Promise<number> => (await db.run(ACCESS_PRUNE)).length,
  };
}
