/**
 * Who may have a stream open, and for how long: each takes one of its tenant's seats, and ends when what it was let in by does.
 */
import { AppError } from '../../domain/errors';
import type { Principal, Scope } from '../../domain/key/scopes';
import type { Credential } from '../access/ports';
import type { CredentialWatch } from './credential-watch';
import type { StreamMetrics } from './stream-metrics';

export interface Entrant {
  principal: Principal;
  credential: Credential;
  /** What the stream shows takes these; all must stay with the key. */
  scopes: readonly Scope[];
}

/** One stream that was let in. */
export interface Stay {
  /** It shows more from now on: the key must keep these scopes too. */
  needs(scopes: readonly Scope[]): void;
  /** Gives the seat back; any further call does nothing. */
  leave(): void;
}

export interface Admission {
  /**
   * Takes one of the tenant's `realtime_connections` over all processes, and watches key and ticket: once they no longer carry
   * the stream, on whatever process that was decided, `onEnd` is called, once, and the caller ends it and leaves.
   * @throws AppError `too_many_connections`, `at_capacity`
   */
  admit(entrant: Entrant, onEnd: (why: 'credential_ended') => void): Promise<Stay>;
}

/** A tenant's open streams over all processes. */
export interface Seats {
  /** False where the tenant has `limit` already; null: no limit. Never rejects. */
  take(tenantId: string, limit: number | null): Promise<boolean>;
  giveBack(tenantId: string): void;
}

export interface AdmissionDeps {
  seats: Seats;
  watch: Pick<CredentialWatch, 'watch'>;
  /** streams that this process takes, of all tenants */
  streamsMax: number;
  metrics: Pick<StreamMetrics, 'refused' | 'ended'>;
  random(): number;
}

/** Seats come free when others leave, which nobody can foretell. */
const RETRY_SECONDS = { least: 5, spread: 10 };

export function createAdmission({ seats, watch, streamsMax, metrics, random }: AdmissionDeps): Admission {
  let open = 0;
  const retryAfterSeconds = (): number =>
    RETRY_SECONDS.least + Math.floor(random() * (RETRY_SECONDS.spread + 1));

  const takeSeat = async ({ tenantId, plan }: Principal): Promise<void> => {
    if (open >= streamsMax) {
      metrics.refused('process');
      const detail = 'This server has as many streams open as it takes.';
      throw new AppError('at_capacity', detail, { retryAfterSeconds: retryAfterSeconds() });
    }
    // Before it is known: many may ask at once.
    open++;
    const limit = plan.limits.realtimeConnections;
    if (await seats.take(tenantId, limit)) return;
    open--;
    metrics.refused('plan');
    const detail = `The plan ${plan.name} allows ${limit} streams at once, over all keys; all are open.`;
    throw new AppError('too_many_connections', detail, { retryAfterSeconds: retryAfterSeconds() });
  };

  return {
    async admit(entrant, onEnd) {
      const { tenantId } = entrant.principal;
      await takeSeat(entrant.principal);
      let gone = false;
      const watched = watch.watch(entrant, () => {
        metrics.ended('credential');
        onEnd('credential_ended');
      });
      return {
        needs: watched.needs,
        leave: () => {
          if (gone) return;
          gone = true;
          open--;
          watched.stop();
          seats.giveBack(tenantId);
        },
      };
    },
  };
}
