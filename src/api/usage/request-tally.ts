/** Requests counted in memory, by day and key. */
import { dayOf } from '../../domain/usage/period';
import type { RequestCount } from '../../domain/usage/usage';

export interface Asker {
  tenantId: string;
  keyId: string;
}

export interface Tally {
  /** @param refusedBy the policy; undefined: the request was served */
  count(who: Asker, refusedBy: string | undefined): void;
  /** What was counted since it was last asked for, and the minute of each key's last request, since the epoch. */
  take(): { counts: RequestCount[]; used: ReadonlyMap<string, number> };
}

export const MINUTE_MS = 60_000;
const DAY_MINUTES = 1_440;

interface Counter {
  tenantId: string;
  served: number;
  refused: Map<string, number> | undefined;
  /** of the last request */
  minute: number;
}

interface Day {
  /** since the epoch */
  no: number;
  /** by key */
  counters: Map<string, Counter>;
}

export function createTally(nowMs: () => number): Tally {
  let today: Day = { no: 0, counters: new Map() };
  /** days that ended before they were taken */
  let before: Day[] = [];

  const turnTo = (no: number): void => {
    if (today.counters.size > 0) before.push(today);
    today = { no, counters: new Map() };
  };

  return {
    count({ tenantId, keyId }, refusedBy) {
      const minute = Math.floor(nowMs() / MINUTE_MS);
      const day = Math.floor(minute / DAY_MINUTES);
      if (day !== today.no) turnTo(day);
      let counter = today.counters.get(keyId);
      if (counter === undefined) {
        counter = { tenantId, served: 0, refused: undefined, minute };
        today.counters.set(keyId, counter);
      }
      counter.minute = minute;
      if (refusedBy === undefined) counter.served += 1;
      else refuse(counter, refusedBy);
    },
    take() {
      turnTo(today.no);
      const days = before;
      before = [];
      const used = new Map<string, number>();
      for (const { counters } of days) {
        for (const [keyId, { minute }] of counters) used.set(keyId, minute);
      }
      return { counts: days.flatMap(countsOf), used };
    },
  };
}

function refuse(counter: Counter, policy: string): void {
  counter.refused ??= new Map();
  counter.refused.set(policy, (counter.refused.get(policy) ?? 0) + 1);
}

function countsOf({ no, counters }: Day): RequestCount[] {
  const day = dayOf(new Date(no * DAY_MINUTES * MINUTE_MS));
  const counts: RequestCount[] = [];
  for (const [keyId, { tenantId, served, refused }] of counters) {
    if (served > 0) counts.push({ tenantId, keyId, day, metric: 'requests', policy: '', amount: served });
    for (const [policy, amount] of refused ?? []) {
      counts.push({ tenantId, keyId, day, metric: 'refused', policy, amount });
    }
  }
  return counts;
}
