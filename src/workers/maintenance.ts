/** Housekeeping that no request and no job waits for: partitions ahead of time, old answers out. */
export interface MaintenanceDeps {
  partitions: { ensurePartitions(now: Date): Promise<number> };
  /** @returns how many stored answers were dropped; fewer than `limit` means none is left */
  idempotency: { prune(limit: number): Promise<number> };
  clock: { now(): Date };
  log: { info(fields: object, message: string): void };
}

/** Small enough that no lock is held for long. */
const PRUNE_MAX = 5_000;

export async function maintain({ partitions, idempotency, clock, log }: MaintenanceDeps): Promise<void> {
  const made = await partitions.ensurePartitions(clock.now());
  let pruned = 0;
  for (let n = PRUNE_MAX; n === PRUNE_MAX; pruned += n) n = await idempotency.prune(PRUNE_MAX);
  if (made + pruned > 0) log.info({ partitions: made, idempotency_keys: pruned }, 'maintenance');
}
