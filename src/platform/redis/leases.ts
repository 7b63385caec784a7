/**
 * Points taken in blocks and given out in this process, so that a request seldom waits for Redis. All who wait for one count
 * share one call; where many come, the next block is taken before anyone has to wait. What is held and not needed is handed
 * back after a quarter of a second, and at the end.
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
import { type LeaseWish, leaseSize, pointsAhead } from '../../domain/limit/lease';
import { recentNeed } from '../../domain/limit/need';
import { DAY_SECONDS, type LimitPolicy } from '../../domain/limit/policy';
import type { InsuredPoints } from './insured-points';
import type { CountWindow } from './points';

const IDLE_MS = 250;
/** Whose use is noted so often is not among those that were longest not used. */
const USE_NOTED_EVERY_MS = 1_000;

export interface LeaseDeps {
  points: InsuredPoints;
  windowOf(policy: LimitPolicy): CountWindow;
  /** live API processes */
  processes(): number;
  ticks(): number;
  /** The account that was longest not used gives way to a new one, and hands back what it holds. */
  accountsMax: number;
}

/** An account, and who waits for points of it. */
export interface Lease {
  readonly account: Account;
  /** where its points were taken */
  counted: CountWindow | undefined;
  waiting: { cost: number; settle(spent: Spent | undefined): void }[];
  /** Points are being asked for. */
  asking: Promise<void> | undefined;
  readonly key: string;
  /** false: it has given way, and holds points only to hand them back */
  kept: boolean;
  useNotedAt: number;
}

export interface Leases {
  /** One for each, with its figures, which may be others than before. Found quickest by an array that was given before. */
  open(policies: readonly LimitPolicy[], now: number): readonly Lease[];
  /** undefined: refused */
  spend(lease: Lease, cost: number): Promise<Spent | undefined>;
  /** Only what is covered. */
  spendAtOnce(lease: Lease, cost: number, now: number): void;
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
  const { open, all } = createShelf(deps.accountsMax, holders.add);
  const pump = createPump(deps, holders.add);
  return {
    open,
    spend: (lease, cost) => {
      const now = ticks();
      expire(lease.account, now);
      if (lease.waiting.length === 0 && covers(lease.account, cost)) {
        return Promise.resolve(spendHeld(lease.account, cost, now));
      }
      if (refuses(lease.account, cost, now)) return Promise.resolve(undefined);
      return new Promise((settle) => {
        lease.waiting.push({ cost, settle });
        lease.asking ??= pump(lease, 0);
      });
    },
    spendAtOnce: (lease, cost, now) => {
      spendHeld(lease.account, cost, now);
      if (lease.asking !== undefined || lease.account.insured) return;
      const ahead = pointsAhead(wishOf(deps, lease.account, now), lease.account.held);
      if (ahead > 0) lease.asking = pump(lease, ahead);
    },
    watch: (lease) => holders.add(lease),
    endDays: () => {
      for (const { account } of all()) {
        if (account.policy.windowSeconds === DAY_SECONDS) endWindow(account);
      }
    },
    close: async () => {
      const end = async (lease: Lease): Promise<void> => {
        await lease.asking;
        await handBack(deps, lease, 0);
      };
      await Promise.all([...new Set([...holders.stop(), ...all()])].map(end));
    },
  };
}

/** All leases, as many as there may be. */
function createShelf(max: number, onGone: (lease: Lease) => void) {
  const leases = new LRUCache<string, Lease>({
    max,
    dispose: (lease) => {
      lease.kept = false;
      if (lease.account.held > 0) onGone(lease);
    },
  });
  const known = new WeakMap<readonly LimitPolicy[], readonly Lease[]>();
  const find = (policy: LimitPolicy): Lease => {
    const key = `${policy.name}/${policy.subject}`;
    const found = leases.get(key);
    if (found !== undefined) return found;
    const made = newLease(key, policy);
    leases.set(key, made);
    return made;
  };
  const noteUse = (lease: Lease, now: number): void => {
    if (now - lease.useNotedAt < USE_NOTED_EVERY_MS) return;
    lease.useNotedAt = now;
    leases.get(lease.key);
  };
  return {
    all: () => leases.values(),
    open: (policies: readonly LimitPolicy[], now: number): readonly Lease[] => {
      let open = known.get(policies);
      if (open === undefined || !open.every(({ kept }) => kept)) {
        open = policies.map(find);
        known.set(policies, open);
      }
      for (const [at, policy] of policies.entries()) {
        const lease = open[at] as Lease;
        refresh(lease.account, policy, now);
        noteUse(lease, now);
      }
      return open;
    },
  };
}

function newLease(key: string, policy: LimitPolicy): Lease {
  const account = openAccount(policy);
  return { account, counted: undefined, waiting: [], asking: undefined, key, kept: true, useNotedAt: 0 };
}

async function handBack({ points, ticks }: LeaseDeps, lease: Lease, idleMs: number): Promise<void> {
  if (lease.asking !== undefined || lease.counted === undefined) return;
  const now = ticks();
  const unused = unusedPoints(lease.account, now, idleMs);
  if (unused > 0) await points.handBack(lease.counted, unused, lease.account.heldUntil - now);
}

function wishOf({ processes }: LeaseDeps, account: Account, now: number): Omit<LeaseWish, 'demand'> {
  return {
    quota: account.policy.quota,
    remaining: account.insured ? undefined : account.remaining,
    processes: processes(),
    recentNeed: recentNeed(account.need, now),
  };
}

/** Asks for those who wait, call after call, until nobody waits; the first call may be ahead of them. */
function createPump(deps: LeaseDeps, onHeld: (lease: Lease) => void) {
  const { points, ticks } = deps;
  const take = async (lease: Lease, wanted: number, askedAt: number): Promise<void> => {
    const { account } = lease;
    lease.counted = deps.windowOf(account.policy);
    const { debt } = account;
    const taken = await points.take(lease.counted, wanted, { before: spentBefore(account, askedAt), debt });
    const now = ticks();
    absorb(account, taken, { askedAt, now });
    const isEmpty = taken.given < wanted + (taken.insured ? 0 : debt);
    if (isEmpty) noteEmpty(account, now);
    serve(lease, { now, isEmpty });
  };
  const ask = async (lease: Lease): Promise<void> => {
    const { account } = lease;
    const askedAt = ticks();
    expire(account, askedAt);
    const demand = lease.waiting.reduce((sum, { cost }) => sum + pointsFor(account, cost), 0) - account.held;
    if (demand <= 0) return serve(lease, { now: askedAt, isEmpty: false });
    return take(lease, leaseSize({ ...wishOf(deps, account, askedAt), demand }), askedAt);
  };
  return async (lease: Lease, ahead: number): Promise<void> => {
    try {
      if (ahead > 0) await take(lease, ahead, ticks());
      while (lease.waiting.length > 0) await ask(lease);
    } finally {
      lease.asking = undefined;
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
    /** @returns those left */
    stop: (): Iterable<Lease> => {
      stopped = true;
      clearInterval(timer);
      return holders;
    },
  };
}
