/**
 * Points taken in blocks and given out in this process, so that a request seldom waits for Redis. All who wait for one count
 * share one call. What is held and not needed is handed back after a quarter of a second, and at the end.
 */
import { LRUCache } from 'lru-cache';
import {
  type Account,
  absorb,
  covers,
  endWindow,
  expire,
  noteEmpty,
  openAccount,
  pointsFor,
  refresh,
  refuses,
  type Spent,
  spendHeld,
  unusedPoints,
} from '../../domain/limit/account';
import { leaseSize } from '../../domain/limit/lease';
import { recentNeed } from '../../domain/limit/need';
import { DAY_SECONDS, type LimitPolicy } from '../../domain/limit/policy';
import type { InsuredPoints } from './insured-points';
import type { CountWindow } from './points';

const IDLE_MS = 250;
/** Accounts kept; the one that was longest not used gives way and hands back what it holds. */
const ACCOUNTS_MAX = 50_000;

export interface LeaseDeps {
  points: InsuredPoints;
  windowOf(policy: LimitPolicy): CountWindow;
  /** live API processes */
  processes(): number;
  ticks(): number;
}

/** An account, and who waits for points of it. */
export interface Lease {
  readonly account: Account;
  /** where its points were taken */
  counted: CountWindow | undefined;
  waiting: { cost: number; settle(spent: Spent | undefined): void }[];
  calling: boolean;
}

export interface Leases {
  /** With the figures of `policy`, which may be others than before. */
  open(policy: LimitPolicy, now: number): Lease;
  /** undefined: refused */
  spend(lease: Lease, cost: number): Promise<Spent | undefined>;
  /** Points are held: they are handed back if nobody needs them. */
  watch(lease: Lease): void;
  /** The calendar has turned to another day. */
  endDays(): void;
  /** Resolves when all that is held has been handed back. */
  close(): Promise<void>;
}

export function createLeases(deps: LeaseDeps): Leases {
  const { ticks } = deps;
  const holders = createHolders((lease) => handBack(deps, lease, IDLE_MS));
  const leases = new LRUCache<string, Lease>({
    max: ACCOUNTS_MAX,
    dispose: (lease) => {
      if (lease.account.held > 0) holders.add(lease);
    },
  });
  const pump = createPump(deps, (lease) => holders.add(lease));
  return {
    open: (policy, now) => {
      const key = `${policy.name}/${policy.subject}`;
      const known = leases.get(key);
      if (known !== undefined) {
        refresh(known.account, policy, now);
        return known;
      }
      const made: Lease = { account: openAccount(policy), counted: undefined, waiting: [], calling: false };
      leases.set(key, made);
      return made;
    },
    spend: (lease, cost) => {
      const now = ticks();
      expire(lease.account, now);
      if (lease.waiting.length === 0 && covers(lease.account, cost)) {
        return Promise.resolve(spendHeld(lease.account, cost, now));
      }
      if (refuses(lease.account, cost, now)) return Promise.resolve(undefined);
      return new Promise((settle) => {
        lease.waiting.push({ cost, settle });
        if (!lease.calling) void pump(lease);
      });
    },
    watch: (lease) => holders.add(lease),
    endDays: () => {
      for (const { account } of leases.values()) {
        if (account.policy.windowSeconds === DAY_SECONDS) endWindow(account);
      }
    },
    close: async () => {
      holders.stop();
      await Promise.all([...leases.values()].map((lease) => handBack(deps, lease, 0)));
    },
  };
}

async function handBack({ points, ticks }: LeaseDeps, lease: Lease, idleMs: number): Promise<void> {
  if (lease.calling || lease.counted === undefined) return;
  const now = ticks();
  const unused = unusedPoints(lease.account, now, idleMs);
  if (unused > 0) await points.handBack(lease.counted, unused, lease.account.heldUntil - now);
}

/** Asks for those who wait, call after call, until nobody waits. */
function createPump(deps: LeaseDeps, onHeld: (lease: Lease) => void): (lease: Lease) => Promise<void> {
  const { points, ticks } = deps;
  const ask = async (lease: Lease): Promise<void> => {
    const { account } = lease;
    const askedAt = ticks();
    expire(account, askedAt);
    const demand = lease.waiting.reduce((sum, { cost }) => sum + pointsFor(account, cost), 0) - account.held;
    if (demand <= 0) return serve(lease, { now: askedAt, isEmpty: false });
    const wanted = leaseSize({
      quota: account.policy.quota,
      remaining: account.insured ? undefined : account.remaining,
      processes: deps.processes(),
      demand,
      recentNeed: recentNeed(account.need, askedAt),
    });
    lease.counted = deps.windowOf(account.policy);
    const { debt } = account;
    const taken = await points.take(lease.counted, wanted, { before: spentBefore(account, askedAt), debt });
    const now = ticks();
    absorb(account, taken, { askedAt, now });
    const isEmpty = taken.given < wanted + (taken.insured ? 0 : debt);
    if (isEmpty) noteEmpty(account, now);
    serve(lease, { now, isEmpty });
  };
  return async (lease) => {
    lease.calling = true;
    try {
      while (lease.waiting.length > 0) await ask(lease);
    } finally {
      lease.calling = false;
    }
    if (lease.account.held > 0) onHeld(lease);
  };
}

/** In turn; where one needs more than is there, one behind it that needs less may still get through. */
function serve({ account, waiting }: Lease, { now, isEmpty }: { now: number; isEmpty: boolean }): void {
  for (const one of waiting.splice(0)) {
    if (covers(account, one.cost)) one.settle(spendHeld(account, one.cost, now));
    else if (isEmpty) one.settle(undefined);
    else waiting.push(one);
  }
}

function spentBefore({ remaining, spent, endsAt }: Account, now: number) {
  return remaining === undefined || endsAt <= now ? undefined : { used: spent, endsInMs: endsAt - now };
}

/** Those that hold points, looked at as long as there are any. */
function createHolders(look: (lease: Lease) => Promise<void>) {
  const holders = new Set<Lease>();
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  const turn = (): void => {
    for (const lease of holders) {
      void look(lease);
      if (lease.account.held === 0 || lease.account.insured) holders.delete(lease);
    }
    if (holders.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
  return {
    add: (lease: Lease): void => {
      holders.add(lease);
      if (timer !== undefined || stopped) return;
      timer = setInterval(turn, IDLE_MS);
      timer.unref();
    },
    stop: (): void => {
      stopped = true;
      clearInterval(timer);
    },
  };
}
