/**
 * Watches what open streams were let in by. Keys are asked of what the process remembers of them, which follows every change
 * within a second; a key that is not remembered, or may have changed, is looked up anew. What carries a stream no longer ends it
 * by the next sweep. While the database is away nobody can say: then streams go on for half a minute, so that a failover ends
 * none.
 */
import type { Principal, Scope } from '../../domain/key/scopes';
import type { KeyCache, RecognisedKey } from '../access/key-cache';
import type { Credential, TicketGrant } from '../access/ports';
import { createTurnstile } from './turnstile';

export interface CredentialWatchDeps {
  keys: Pick<KeyCache, 'peek' | 'lookUp'>;
  /** @returns which of these tickets were ended. @param ticketIds `tkt_…` */
  endedTickets(ticketIds: readonly string[]): Promise<string[]>;
  /** ms; never goes back */
  monotonicMs(): number;
  onFailure(error: unknown): void;
}

export interface Watched {
  /** These too must stay with the key. */
  needs(scopes: readonly Scope[]): void;
  stop(): void;
}

export interface CredentialWatch {
  /** @param onEnd called once, when the stream must end; never before this returns */
  watch(entrant: { credential: Credential; scopes: readonly Scope[] }, onEnd: () => void): Watched;
  /** @param subjects of the log of changes; of these, `tkt_…` are tickets that were ended */
  changed(subjects: ReadonlySet<string>): void;
  /** Tickets may have been ended without being told. */
  doubtAll(): void;
  /** Ends what must end. Never rejects; resolves when what it had to look up is known, which no later sweep waits for. */
  sweep(): Promise<void>;
}

/** How long streams go on while nobody can say whether they may. */
const UNCONFIRMED_MS = 30_000;
const LOOK_UPS_AT_ONCE = 4;
/** Tickets asked about in one statement. */
const TICKETS_AT_ONCE = 1_000;

interface Follower {
  readonly address: string;
  readonly ticket: TicketGrant | undefined;
  /** by the monotonic clock; undefined: without a ticket */
  readonly endsAt: number | undefined;
  readonly scopes: Set<Scope>;
  readonly end: () => void;
}

/** All streams here that one key carries. */
interface Carrier {
  readonly keyHash: string;
  readonly followers: Set<Follower>;
  /** the key as all followers were last held against it; undefined: some have not been */
  judgedBy: RecognisedKey | undefined;
  confirmedAt: number;
  asking: boolean;
}

export function createCredentialWatch(deps: CredentialWatchDeps): CredentialWatch {
  const { monotonicMs } = deps;
  const carriers = new Map<string, Carrier>();
  const tickets = createTickets(deps);
  const sweepKeys = createKeySweep(deps);
  const carrierOf = (keyHash: string): Carrier => {
    const known = carriers.get(keyHash);
    if (known !== undefined) return known;
    const made = newCarrier(keyHash, monotonicMs());
    carriers.set(keyHash, made);
    return made;
  };
  return {
    watch({ credential, scopes }, onEnd) {
      const { keyHash, address, ticket } = credential;
      const carrier = carrierOf(keyHash);
      const stop = (): void => {
        // Once: by a second call, the key may have another carrier.
        if (!carrier.followers.delete(follower)) return;
        tickets.remove(follower);
        if (carrier.followers.size === 0) carriers.delete(keyHash);
      };
      const end = (): void => {
        if (!carrier.followers.has(follower)) return;
        stop();
        onEnd();
      };
      const endsAt = ticket && monotonicMs() + ticket.endsInMs;
      const follower: Follower = { address, ticket, endsAt, scopes: new Set(scopes), end };
      carrier.followers.add(follower);
      carrier.judgedBy = undefined;
      tickets.add(follower);
      return {
        needs: (more) => {
          for (const scope of more) follower.scopes.add(scope);
          carrier.judgedBy = undefined;
        },
        stop,
      };
    },
    changed: tickets.changed,
    doubtAll: tickets.doubtAll,
    sweep: async () => {
      await Promise.all([sweepKeys([...carriers.values()]), tickets.sweep()]);
    },
  };
}

function newCarrier(keyHash: string, now: number): Carrier {
  return { keyHash, followers: new Set(), judgedBy: undefined, confirmedAt: now, asking: false };
}

function createKeySweep({ keys, monotonicMs, onFailure }: CredentialWatchDeps) {
  const turn = createTurnstile(LOOK_UPS_AT_ONCE);
  const confirm = (carrier: Carrier, key: RecognisedKey | null): void => {
    carrier.confirmedAt = monotonicMs();
    const isGood = key !== null && key.known.revokedAt === null && !key.hasEnded();
    if (isGood && key === carrier.judgedBy) return;
    for (const follower of carrier.followers) if (!isGood || !carries(key, follower)) follower.end();
    carrier.judgedBy = key ?? undefined;
  };
  const doubt = ({ followers, confirmedAt }: Carrier): void => {
    if (monotonicMs() - confirmedAt < UNCONFIRMED_MS) return;
    for (const follower of followers) follower.end();
  };
  const ask = async (carrier: Carrier, batch: { failed: boolean }): Promise<void> => {
    // One that failed says it for all: the next sweep tries anew.
    if (batch.failed) return doubt(carrier);
    try {
      confirm(carrier, await keys.lookUp(carrier.keyHash));
    } catch (error) {
      if (!batch.failed) onFailure(error);
      batch.failed = true;
      doubt(carrier);
    }
  };
  const settle = async (carrier: Carrier, batch: { failed: boolean }): Promise<void> => {
    if (carrier.asking) return doubt(carrier);
    carrier.asking = true;
    await turn(() => ask(carrier, batch));
    carrier.asking = false;
  };
  return async (carriers: readonly Carrier[]): Promise<void> => {
    const batch = { failed: false };
    const underWay: Promise<void>[] = [];
    for (const carrier of carriers) {
      const key = keys.peek(carrier.keyHash);
      if (key === undefined) underWay.push(settle(carrier, batch));
      else confirm(carrier, key);
    }
    await Promise.all(underWay);
  };
}

/** A ticket is for others than the key: it may be used from anywhere. */
function carries({ admits, principal }: RecognisedKey, { address, ticket, scopes }: Follower): boolean {
  return (ticket !== undefined || admits(address)) && holdsAll(principal, scopes);
}

function holdsAll({ scopes: held }: Principal, wanted: ReadonlySet<Scope>): boolean {
  return held.includes('admin') || [...wanted].every((scope) => held.includes(scope));
}

/** Those that came with a ticket. */
function createTickets({ endedTickets, monotonicMs, onFailure }: CredentialWatchDeps) {
  const followers = new Map<string, Follower>();
  /** may have been ended before they were watched, or without being told */
  const doubted = new Set<string>();
  const endAll = (ticketIds: Iterable<string>): void => {
    for (const id of ticketIds) followers.get(id)?.end();
  };
  const checkDoubted = async (): Promise<void> => {
    const ids = [...doubted];
    for (let at = 0; at < ids.length; at += TICKETS_AT_ONCE) {
      const some = ids.slice(at, at + TICKETS_AT_ONCE);
      for (const id of some) doubted.delete(id);
      try {
        endAll(await endedTickets(some));
      } catch (error) {
        for (const id of some) if (followers.has(id)) doubted.add(id);
        return onFailure(error);
      }
    }
  };
  return {
    add: (follower: Follower): void => {
      if (follower.ticket === undefined) return;
      followers.set(follower.ticket.id, follower);
      doubted.add(follower.ticket.id);
    },
    remove: ({ ticket }: Follower): void => {
      if (ticket === undefined) return;
      followers.delete(ticket.id);
      doubted.delete(ticket.id);
    },
    changed: (subjects: ReadonlySet<string>): void => endAll(subjects),
    doubtAll: (): void => {
      for (const id of followers.keys()) doubted.add(id);
    },
    sweep: async (): Promise<void> => {
      const now = monotonicMs();
      for (const { endsAt, end } of followers.values()) if (endsAt !== undefined && endsAt <= now) end();
      await checkDoubted();
    },
  };
}
