/** Housekeeping that no request and no job waits for: partitions ahead of time, old answers out. */
export interface MaintenanceDeps {
  partitions: { ensurePartitions(now: Date): Promise<number> };
  /** @returns how many stored answers were dropped; fewer than `limit` means none is left */
  idempotency: { prune(limit: number): Promise<number> };
  /** what every API process has read of the changes to keys */
  access: { prune(): Promise<number> };
  /** secrets of keys that ended long ago */
  keys: { pruneSecrets(): Promise<number> };
  /** of streams; as with answers */
  tickets: { prune(limit: number): Promise<number> };
  clock: { now(): Date };
  log: { info(fields: object, message: string): void };
}

/** Small enough that no lock is held for long. */
const PRUNE_MAX = 5_000;

export async function maintain(deps: MaintenanceDeps): Promise<void> {
  const { partitions, idempotency, access, keys, tickets, clock, log } = deps;
  const made = await partitions.ensurePartitions(clock.now());
  const pruned = await pruneAll(idempotency);
  const changes = await access.prune();
  const secrets = await keys.pruneSecrets();
  const streamTickets = await pruneAll(tickets);
  if (made + pruned + changes + secrets + streamTickets === 0) return;
  const counts = {
    partitions: made,
    idempotency_keys: pruned,
    access_changes: changes,
    key_secrets: secrets,
    stream_tickets: streamTickets,
  };
  log.info(counts, 'maintenance');
}

async function pruneAll({ prune }: { prune(limit: number): Promise<number> }): Promise<number> {
  let pruned = 0;
  for (let n = PRUNE_MAX; n === PRUNE_MAX; pruned += n) n = await prune(PRUNE_MAX);
  return pruned;
}
