/** Housekeeping that no request and no job waits for: partitions ahead of time, old answers out. */
export interface MaintenanceDeps {
  store: {
    ensurePartitions(now: Date): Promise<number>;
    dropIdempotencyKeys(before: Date): Promise<number>;
  };
  clock: { now(): Date };
  log: { info(fields: object, message: string): void };
}

/** A stored answer is given again for a day. */
const IDEMPOTENCY_MS = 24 * 3_600_000;

export async function maintain({ store, clock, log }: MaintenanceDeps): Promise<void> {
  const now = clock.now();
  const partitions = await store.ensurePartitions(now);
  let dropped = 0;
  for (let n = -1; n !== 0; dropped += n)
    n = await store.dropIdempotencyKeys(new Date(now.getTime() - IDEMPOTENCY_MS));
  if (partitions + dropped > 0) log.info({ partitions, dropped_idempotency_keys: dropped }, 'maintenance');
}
