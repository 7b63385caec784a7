/**
 * One count as one process sees it: points that it has taken from the count which all share, and has not spent (`held`).
 *
 *   held enough           spent at once, without asking anyone
 *   not enough            asked for
 *   the count is empty    refused without asking; asked again once a second, since others hand back what they don't need
 *   the window is over    what was held is void
 *
 * Times are in ms of a clock that only goes forward.
 */
import { type Need, noNeed, noteNeed } from './need';
import type { LimitPolicy, PolicyState } from './policy';

const ASK_AGAIN_MS = 1_000;
/** The end of one and the same window, as two answers tell it, differs by less. */
const SAME_WINDOW_MS = 1_000;

/** What came of asking for points. */
export interface Taken {
  /** as many as were asked for, or all that were left */
  given: number;
  /** after that */
  remaining: number;
  endsInMs: number;
  /** what can be had in one window at the very most */
  ceiling: number;
  /** by this process itself, in place of the count that all share */
  insured: boolean;
}

export interface Account {
  policy: LimitPolicy;
  ceiling: number;
  insured: boolean;
  /** goes up with each window */
  window: number;
  held: number;
  /** let through in this window */
  spent: number;
  /** let through while the shared count was away: it does not know of them yet */
  debt: number;
  /** of the shared count; undefined: not heard of in this window */
  remaining: number | undefined;
  /** the window ends no earlier than that, and no later than `endsAt` */
  heldUntil: number;
  endsAt: number;
  emptyUntil: number;
  busyAt: number;
  need: Need;
}

/** Points that were spent, so that they can be put back. */
export interface Spent {
  points: number;
  window: number;
}

export function openAccount(policy: LimitPolicy): Account {
  const times = { heldUntil: 0, endsAt: 0, emptyUntil: 0, busyAt: 0 };
  const counts = { window: 0, held: 0, spent: 0, debt: 0, remaining: undefined };
  return { policy, ceiling: policy.quota, insured: false, ...counts, ...times, need: noNeed() };
}

/** With the figures of today, and without what is over. */
export function refresh(account: Account, policy: LimitPolicy, now: number): void {
  if (policy.quota !== account.policy.quota) {
    account.ceiling = policy.quota;
    account.emptyUntil = 0;
  }
  account.policy = policy;
  expire(account, now);
}

export function expire(account: Account, now: number): void {
  if (now < account.heldUntil) return;
  account.held = 0;
  if (now >= account.endsAt && account.remaining !== undefined) beginWindow(account);
}

/** The calendar says so, whatever this clock does. */
export function endWindow(account: Account): void {
  account.heldUntil = 0;
  account.endsAt = 0;
  beginWindow(account);
}

function beginWindow(account: Account): void {
  account.window++;
  account.held = 0;
  account.spent = 0;
  account.debt = 0;
  account.remaining = undefined;
  account.emptyUntil = 0;
}

/** A cost above what a window has could never pass: it is taken for a whole window. */
export function pointsFor(account: Account, cost: number): number {
  return Math.max(1, Math.min(cost, account.ceiling));
}

export function covers(account: Account, cost: number): boolean {
  return pointsFor(account, cost) <= account.held;
}

/** Whether it is known without asking that so much can't be had. */
export function refuses(account: Account, cost: number, now: number): boolean {
  return now < account.emptyUntil && !covers(account, cost);
}

/** Only what is covered. */
export function spendHeld(account: Account, cost: number, now: number): Spent {
  const points = pointsFor(account, cost);
  account.held -= points;
  account.spent += points;
  account.busyAt = now;
  noteNeed(account.need, points, now);
  return { points, window: account.window };
}

/** What one limit gave and another then refused. */
export function putBack(account: Account, spent: Spent, now: number): void {
  if (spent.window !== account.window || now >= account.heldUntil) return;
  account.held += spent.points;
  account.spent -= spent.points;
}

export function absorb(account: Account, taken: Taken, at: { askedAt: number; now: number }): void {
  const heldUntil = at.askedAt + taken.endsInMs;
  if (at.now >= account.endsAt) beginWindow(account);
  else if (!taken.insured && heldUntil > account.endsAt + SAME_WINDOW_MS) {
    // Between the two ends that were thinkable the window simply was over; before them, its count was lost.
    if (at.now >= account.heldUntil) beginWindow(account);
    else loseWindow(account);
  }
  account.held += taken.given;
  if (taken.insured) account.debt += taken.given;
  else payDebt(account);
  account.heldUntil = heldUntil;
  account.endsAt = at.now + taken.endsInMs;
  account.remaining = taken.remaining;
  account.ceiling = taken.ceiling;
  account.insured = taken.insured;
  account.busyAt = at.now;
}

/** The shared count began anew before the window was over: it was lost, or this process has counted by itself until now. */
function loseWindow(account: Account): void {
  account.window++;
  account.held = 0;
  account.debt = account.spent;
}

function payDebt(account: Account): void {
  const paid = Math.min(account.debt, account.held);
  account.held -= paid;
  account.debt -= paid;
}

/** After an answer that was short of what was asked for. */
export function noteEmpty(account: Account, now: number): void {
  account.emptyUntil = Math.min(account.endsAt, now + ASK_AGAIN_MS);
}

/** What was not needed for so long, to be handed back: it is no longer held. What was given by this process itself stays. */
export function unusedPoints(account: Account, now: number, idleMs: number): number {
  expire(account, now);
  if (account.insured || now - account.busyAt < idleMs) return 0;
  const unused = account.held;
  account.held = 0;
  if (account.remaining !== undefined) account.remaining += unused;
  return unused;
}

/** undefined: nothing is known of this window yet */
export function stateOf(account: Account, now: number): PolicyState | undefined {
  const { remaining, held, endsAt } = account;
  if (remaining === undefined) return undefined;
  // Spelled out, for it is done for each request.
  const { name, subject, quota, windowSeconds } = account.policy;
  const endsInMs = Math.max(0, endsAt - now);
  return { name, subject, quota, windowSeconds, remaining: remaining + held, endsInMs };
}
