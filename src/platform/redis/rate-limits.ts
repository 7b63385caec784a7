/** Limits on requests over all processes: each limit that holds for whoever asks, one after the other, on leased points. */
import type { Principal } from '../../domain/key/scopes';
import { putBack, type Spent, covers, refuses, stateOf } from '../../domain/limit/account';
import {
  DAY_SECONDS,
  type LimitPolicy,
  type PolicyState,
  type PolicyUse,
  policiesOf,
  type Verdict,
} from '../../domain/limit/policy';
import { dayNumber, dayWindow } from '../../domain/limit/window';
import type { InsuredPoints } from './insured-points';
import { createLeases, type Lease, type Leases } from './leases';
import type { CountWindow } from './points';

export interface RateLimitsDeps {
  points: InsuredPoints;
  /** live API processes, this one included */
  processes(): number;
  clock: LimitClock;
  /** counts that are remembered here at most; 50,000 */
  accountsMax?: number;
}

export interface LimitClock {
  epochMs(): number;
  /** only goes forward */
  ticks(): number;
}

export interface RateLimits {
  spend(principal: Principal, cost: number): Verdict | Promise<Verdict>;
  look(principal: Principal): Promise<PolicyUse[]>;
  /** Resolves when what was held has been handed back. */
  close(): Promise<void>;
}

const ACCOUNTS_MAX = 50_000;

type Outcome = Omit<Verdict, 'policies'>;

const NO_LIMITS: Verdict = { policies: [], states: [], refusedBy: undefined };

export function createRateLimits({
  points,
  processes,
  clock,
  accountsMax = ACCOUNTS_MAX,
}: RateLimitsDeps): RateLimits {
  const { ticks } = clock;
  const windowOf = (policy: LimitPolicy): CountWindow => windowNow(policy, clock.epochMs());
  const leases = createLeases({ points, windowOf, processes, ticks, accountsMax });
  const policiesFor = createPolicyMemory();
  let day = dayNumber(clock.epochMs());
  /** Once a day; clocks may also be set, and machines sleep. */
  const turnPage = (): void => {
    const today = dayNumber(clock.epochMs());
    if (today !== day) leases.endDays();
    day = today;
  };
  return {
    spend: (principal, cost) => {
      const policies = policiesFor(principal);
      if (policies.length === 0) return NO_LIMITS;
      turnPage();
      const now = ticks();
      const open = leases.open(policies, now);
      const refusing = open.find(({ account }) => refuses(account, cost, now));
      if (refusing !== undefined) return { policies, ...outcomeOf(open, now, refusing) };
      if (!open.every((lease) => isReady(lease, cost))) {
        return spendInTurn({ leases, ticks }, open, cost).then((outcome) => ({ policies, ...outcome }));
      }
      for (const lease of open) leases.spendAtOnce(lease, cost, now);
      return { policies, ...outcomeOf(open, now, undefined) };
    },
    look: (principal) => {
      turnPage();
      const policies = policiesFor(principal);
      const look = async (policy: LimitPolicy, at: number): Promise<PolicyUse> => {
        const counted = await points.look(windowOf(policy));
        const now = ticks();
        return useOf(leases.open(policies, now)[at] as Lease, counted, now);
      };
      return Promise.all(policies.map(look));
    },
    close: () => leases.close(),
  };
}

/** A key that is remembered asks as the same principal again and again; one whose plan has changed is another. */
function createPolicyMemory(): (principal: Principal) => readonly LimitPolicy[] {
  const known = new WeakMap<Principal, readonly LimitPolicy[]>();
  return (principal) => {
    let policies = known.get(principal);
    if (policies === undefined) {
      policies = policiesOf(principal);
      known.set(principal, policies);
    }
    return policies;
  };
}

function isReady({ account, waiting }: Lease, cost: number): boolean {
  return waiting.length === 0 && covers(account, cost);
}

/** What a limit gave for a request that the next one refuses is put back: it is spent on another. */
async function spendInTurn(
  { leases, ticks }: { leases: Leases; ticks(): number },
  open: readonly Lease[],
  cost: number,
): Promise<Outcome> {
  const given: [Lease, Spent][] = [];
  for (const lease of open) {
    const spent = await leases.spend(lease, cost);
    if (spent === undefined) {
      const now = ticks();
      for (const [giver, back] of given) {
        putBack(giver.account, back, now);
        leases.watch(giver);
      }
      return outcomeOf(open, now, lease);
    }
    given.push([lease, spent]);
  }
  return outcomeOf(open, ticks(), undefined);
}

function outcomeOf(open: readonly Lease[], now: number, refusing: Lease | undefined): Outcome {
  const states: PolicyState[] = [];
  for (const { account } of open) {
    const state = stateOf(account, now);
    if (state !== undefined) states.push(state);
  }
  const refusedBy = refusing && (stateOf(refusing.account, now) ?? windowJustOver(refusing.account.policy));
  return { states, refusedBy };
}

/** It was refused at the very end of its window. */
function windowJustOver(policy: LimitPolicy): PolicyState {
  return { ...policy, remaining: 0, endsInMs: 0 };
}

/** A day has one key for each, so that none of its points gets into the next. */
function windowNow({ name, subject, quota, windowSeconds }: LimitPolicy, epochMs: number): CountWindow {
  if (windowSeconds !== DAY_SECONDS) {
    return { policy: name, key: subject, quota, lastsMs: windowSeconds * 1000, calendar: false };
  }
  const day = dayWindow(epochMs);
  return { policy: name, key: `${subject}:${day.name}`, quota, lastsMs: day.endsInMs, calendar: true };
}

function useOf(
  { account }: Lease,
  counted: { used: number; endsInMs: number } | undefined,
  now: number,
): PolicyUse {
  const { policy, held, spent, endsAt } = account;
  const isRunning = endsAt > now && account.remaining !== undefined;
  const known = counted ?? (isRunning ? { used: spent + held, endsInMs: endsAt - now } : undefined);
  const used = Math.max(0, (known?.used ?? 0) - held);
  return { ...policy, used, remaining: Math.max(0, policy.quota - used), endsInMs: known?.endsInMs };
}
