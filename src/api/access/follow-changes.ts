/** Follows the log of changes to what keys may do, so that what this process remembers is never far behind. */
import { setTimeout as pause } from 'node:timers/promises';
import type { AccessFeed } from './ports';

export interface FollowDeps {
  feed: AccessFeed;
  /** what changed: `key_…`, `tnt_…`, `plan/…`, `tkt_…` */
  onChanges(subjects: ReadonlySet<string>): void;
  /** Something may have changed without being told: all must be forgotten. */
  onGap(): void;
  /** ms; never goes back */
  monotonicMs(): number;
  random(): number;
  log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
}

export interface Follower {
  /** Every change that was committed before this moment is known here; ms as of `monotonicMs`. */
  knownUntil(): number;
  /** Resolves when the read under way has ended. */
  close(): Promise<void>;
}

const INTERVAL_MS = 400;
/** So that many processes don't read in step. */
const JITTER_MS = 100;

export function followChanges(deps: FollowDeps): Follower {
  const closed = new AbortController();
  const reader = createReader(deps);
  const run = async (): Promise<void> => {
    let away = false;
    while (!closed.signal.aborted) {
      try {
        await reader.read();
        if (away) deps.log.info({}, 'changes to API keys are followed again');
        away = false;
      } catch (err) {
        if (!away)
          deps.log.warn({ err }, 'changes to API keys cannot be followed; each key is looked up anew');
        away = true;
      }
      const waitMs = INTERVAL_MS + deps.random() * JITTER_MS;
      // Closed, it ends early, which is no failure.
      await pause(waitMs, undefined, { signal: closed.signal }).catch(() => undefined);
    }
  };
  const running = run();
  return {
    knownUntil: reader.knownUntil,
    close: () => {
      closed.abort();
      return running;
    },
  };
}

/** One read after the other. */
export function createReader({ feed, onChanges, onGap, monotonicMs }: Omit<FollowDeps, 'log' | 'random'>) {
  let seq: number | undefined;
  let knownUntil = Number.NEGATIVE_INFINITY;
  return {
    knownUntil: () => knownUntil,
    read: async (): Promise<void> => {
      // Not when the answer came: what was committed while it was on its way is not in it.
      const startedAt = monotonicMs();
      const { latest, changes } = await feed.readAfter(seq ?? Number.MAX_SAFE_INTEGER);
      const whole = seq !== undefined && isWhole(seq, latest, changes);
      if (!whole) onGap();
      else if (changes.length > 0) onChanges(new Set(changes.map(({ subject }) => subject)));
      seq = latest;
      knownUntil = startedAt;
    },
  };
}

/** False too where the log goes on before `seq`: the database is another one, or came back from a backup. */
function isWhole(seq: number, latest: number, changes: readonly { seq: number }[]): boolean {
  return changes.length === latest - seq && changes.every((change, i) => change.seq === seq + 1 + i);
}
