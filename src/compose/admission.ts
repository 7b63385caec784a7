/** Who may have a stream open in this process, and how long. */
import { type Admission, createAdmission } from '../api/realtime/admission';
import { createCredentialWatch } from '../api/realtime/credential-watch';
import type { StreamMetrics } from '../api/realtime/stream-metrics';
import type { ApiConfig } from '../platform/config';
import { createTicketStore } from '../platform/postgres/ticket-store';
import { createSeats } from '../platform/redis/seats';
import { startLoop } from '../workers/loop';
import type { Access } from './access';
import type { Limits } from './limits';
import type { Common, Setting } from './parts';

/** Beside the half second within which changes are heard of, well within the five that are promised. */
const SWEEP_MS = 1_000;

export interface AdmissionParts {
  common: Pick<Common, 'database' | 'redis'>;
  access: Access;
  limits: Pick<Limits, 'instanceId' | 'crew'>;
  metrics: StreamMetrics;
}

/** What is opened later ends its streams before: each gives its seat back. */
export function openAdmission(
  { config, log, lifecycle }: Setting<ApiConfig>,
  { common, access, limits, metrics }: AdmissionParts,
): Admission {
  const ticks = (): number => performance.now();
  const onError = (err: unknown): void => log.warn({ err }, 'keys of open streams cannot be looked up');
  const seats = createSeats({
    redis: common.redis,
    prefix: config.redisPrefix,
    ...limits,
    ticks,
    onAway: (err) => log.warn({ err }, 'open streams are counted in this process'),
    onBack: () => log.info('open streams are counted in redis again'),
  });
  lifecycle.onClose('seats of streams', () => seats.close());
  const watch = createCredentialWatch({
    keys: access.keys,
    endedTickets: createTicketStore(common.database).ended,
    monotonicMs: ticks,
    onFailure: onError,
  });
  access.alsoTell(watch);
  // A look-up that hangs must not keep the next sweep from ending what is known to be over.
  const step = async (): Promise<void> => void watch.sweep();
  const sweeping = startLoop({ intervalMs: SWEEP_MS, step, onError });
  lifecycle.onClose('keys of streams', () => sweeping.stop());
  return createAdmission({ seats, watch, streamsMax: config.streamsMax, metrics, random: Math.random });
}
