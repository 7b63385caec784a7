/**
 * `job.item`: what ended, for those who follow the items of a job right now; at most 100 a second per job over all workers. Of
 * the others the next one that is told says how many they were. Nobody follows most jobs: such a job costs one look a second.
 */
import type { Redis } from 'ioredis';
import { LRUCache } from 'lru-cache';
import { type EndedItem, itemPublication } from '../../domain/realtime/publication';
import { itemKeys, takeItemsScript } from './item-watch';
import type { RealtimeLog } from './realtime-log';

interface JobRef {
  tenantId: string;
  jobId: string;
}

export interface Ended {
  index: number;
  status: 'succeeded' | 'failed';
}

export interface ItemPublisher {
  /** These have ended, and that is written. Returns at once and never throws. */
  ended(ref: JobRef, items: readonly Ended[]): void;
  /** Resolves when what is under way is done. */
  close(): Promise<void>;
}

export interface ItemPublisherOptions {
  redis: Redis;
  prefix: string;
  realtime: Pick<RealtimeLog, 'publish'>;
  /** Their names by index; those without one are left out. */
  customIds(ref: JobRef, indexes: readonly number[]): Promise<ReadonlyMap<number, string>>;
  /** What is lost is no more than this. */
  onLost: (error: unknown) => void;
  itemsPerSecond?: number;
  unwatchedMs?: number;
}

const ITEMS_PER_SECOND = 100;
/** How long a worker believes that nobody follows. */
const UNWATCHED_MS = 1_000;
const JOBS_MAX = 10_000;

interface Waiting {
  items: Ended[];
  /** ended as well, beyond what can be told of in a second */
  more: number;
  running: Promise<void>;
}

export function createItemPublisher(options: ItemPublisherOptions): ItemPublisher {
  const { redis, prefix, itemsPerSecond = ITEMS_PER_SECOND } = options;
  const unwatched = new LRUCache<string, true>({ max: JOBS_MAX, ttl: options.unwatchedMs ?? UNWATCHED_MS });
  const jobs = new Map<string, Waiting>();

  const tell = async (ref: JobRef, { items, more }: Pick<Waiting, 'items' | 'more'>): Promise<void> => {
    const keys = itemKeys(prefix, ref.jobId);
    const taken = await takeItemsScript(redis, [keys.watch, keys.told], [items.length, more, itemsPerSecond]);
    if (taken === null) {
      unwatched.set(ref.jobId, true);
      return;
    }
    const [told, skipped] = taken;
    if (told > 0) await publish(options, ref, { items: items.slice(0, told), skipped });
  };

  const run = async (ref: JobRef, waiting: Waiting): Promise<void> => {
    while (waiting.items.length > 0 && !unwatched.has(ref.jobId)) {
      const { items, more } = waiting;
      Object.assign(waiting, { items: [], more: 0 });
      await tell(ref, { items, more }).catch((error: unknown) => {
        unwatched.set(ref.jobId, true);
        options.onLost(error);
      });
    }
    jobs.delete(ref.jobId);
  };

  return {
    ended(ref, items) {
      if (items.length === 0 || unwatched.has(ref.jobId)) return;
      const known = jobs.get(ref.jobId);
      const waiting = known ?? { items: [], more: 0, running: Promise.resolve() };
      const room = itemsPerSecond - waiting.items.length;
      waiting.items.push(...items.slice(0, room));
      waiting.more += Math.max(0, items.length - room);
      if (known !== undefined) return;
      jobs.set(ref.jobId, waiting);
      waiting.running = run(ref, waiting);
    },
    async close() {
      await Promise.all([...jobs.values()].map(({ running }) => running));
    },
  };
}

async function publish(
  { customIds, realtime }: ItemPublisherOptions,
  ref: JobRef,
  { items, skipped }: { items: readonly Ended[]; skipped: number },
): Promise<void> {
  const indexes = items.map(({ index }) => index);
  const names = await customIds(ref, indexes);
  const told = items.map(({ index, status }, i): EndedItem => {
    return { index, custom_id: names.get(index) ?? String(index), status, skipped: i === 0 ? skipped : 0 };
  });
  await realtime.publish(told.map((item) => itemPublication(ref.jobId, item)));
}
