/**
 * Counts requests in memory and writes the counts down in numbered batches, one statement each. A batch keeps its number and
 * its content until it is known to be written, so one whose answer got lost is sent again and counted once; meanwhile counts go
 * on in the next one. Memory is bounded by the number of keys and days, however long PostgreSQL is away.
 */
import type { RequestCount } from '../../domain/usage/usage';
import { createTally, MINUTE_MS, type Tally } from './request-tally';

export interface MeterStore {
  /** Appends batch `no` of this process, once. False: it may be under way still; send it again. */
  append(no: number, counts: readonly RequestCount[]): Promise<boolean>;
  /** Notes when keys were used last, by their ids. */
  keysUsed(lastUsed: ReadonlyMap<string, Date>): Promise<void>;
}

export interface RequestMeterDeps {
  store: MeterStore;
  nowMs(): number;
  log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
  };
}

export interface RequestMeter extends Pick<Tally, 'count'> {
  /** Writes what was counted so far. Never rejects: what could not be written is kept. */
  flush(): Promise<void>;
  /** The last `flush`, when no request can come any more; also notes when keys were used last. */
  close(): Promise<void>;
}

const LAST_TRIES = 5;
const LAST_PAUSE_MS = 200;

export function createRequestMeter({ store, nowMs, log }: RequestMeterDeps): RequestMeter {
  const tally = createTally(nowMs);
  const keys = createKeyNotes(store, nowMs);
  let batch: { no: number; counts: RequestCount[] } | undefined;
  let written = 0;
  let failures = 0;

  const send = async (): Promise<boolean> => {
    if (batch === undefined) {
      const { counts, used } = tally.take();
      if (counts.length === 0) return true;
      keys.add(used);
      batch = { no: written + 1, counts };
    }
    if (!(await store.append(batch.no, batch.counts))) return false;
    written = batch.no;
    batch = undefined;
    return true;
  };

  /** @param last also what is due only later */
  const write = async (last: boolean): Promise<void> => {
    try {
      const leftOver = batch !== undefined;
      const sent = await send();
      if (sent && leftOver) await send();
      if (last || keys.areDue()) await keys.write();
      if (failures > 0) log.info({ failures }, 'the counts of requests are written again');
      failures = 0;
    } catch (err) {
      if (failures++ === 0) log.warn({ err }, 'the counts of requests cannot be written; they are kept');
    }
  };

  return {
    count: tally.count,
    flush: () => write(false),
    async close() {
      await write(true);
      for (let tries = 1; batch !== undefined && tries < LAST_TRIES; tries++) {
        await new Promise((resolve) => setTimeout(resolve, LAST_PAUSE_MS));
        await write(true);
      }
    },
  };
}

const KEYS_EVERY_MS = 60_000;

/** When keys were used last, until it is time to write it down. */
function createKeyNotes({ keysUsed }: Pick<MeterStore, 'keysUsed'>, nowMs: () => number) {
  let notes = new Map<string, number>();
  let writtenAtMs = nowMs();
  const add = (used: ReadonlyMap<string, number>): void => {
    for (const [key, minute] of used) notes.set(key, Math.max(minute, notes.get(key) ?? 0));
  };
  return {
    add,
    areDue: (): boolean => nowMs() - writtenAtMs >= KEYS_EVERY_MS,
    async write(): Promise<void> {
      writtenAtMs = nowMs();
      if (notes.size === 0) return;
      const writing = notes;
      notes = new Map();
      try {
        await keysUsed(new Map([...writing].map(([key, minute]) => [key, new Date(minute * MINUTE_MS)])));
      } catch (error) {
        add(writing);
        throw error;
      }
    },
  };
}
