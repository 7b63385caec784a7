/** The metering of requests in one API process. */
import type { RequestLimiter } from '../api/limits/ports';
import { createRequestMeter, type RequestMeter } from '../api/usage/request-meter';
import { createRequestQuota, type OnRequestsUsed } from '../api/usage/request-quota';
import { quotaEvent } from '../domain/usage/quota';
import type { ApiConfig } from '../platform/config';
import { createOutboxWake } from '../platform/postgres/outbox-store';
import { createUsageWrites } from '../platform/postgres/usage-store';
import { startLoop } from '../workers/loop';
import { type Common, eventsOf, type Setting } from './parts';

/** A process that is killed loses the counts of this long, and of one statement. */
const FLUSH_MS = 500;

/** Closed after the HTTP server and before the database: the last requests count too. */
export function openRequestMeter(
  { log, lifecycle }: Setting<ApiConfig>,
  { database }: Pick<Common, 'database'>,
  instanceId: string,
): RequestMeter {
  const store = createUsageWrites(database, instanceId);
  const meter = createRequestMeter({ store, nowMs: Date.now, log });
  const onError = (err: unknown): void => log.error({ err }, 'the counts of requests were not flushed');
  const flushing = startLoop({ intervalMs: FLUSH_MS, step: meter.flush, onError });
  lifecycle.onClose('request meter', async () => {
    await flushing.stop();
    await meter.close();
  });
  return meter;
}

export function openRequestQuota(
  { log }: Setting<ApiConfig>,
  { database }: Pick<Common, 'database'>,
  limiter: Pick<RequestLimiter, 'look'>,
): OnRequestsUsed {
  const wake = createOutboxWake(database);
  return createRequestQuota({
    limiter,
    tell: async (types, use) => {
      await eventsOf(database).append(types.map((type) => quotaEvent(type, use)));
      wake();
    },
    nowMs: Date.now,
    onError: (err) => log.warn({ err }, 'the use of a daily quota was not told; it is tried again'),
  });
}
