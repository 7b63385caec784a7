/**
 * The firehose reader: one blocking read per process over all shards, whatever the number of subscribers.
 *
 *   away -> synced      the connection is there; `heads` tells the floor
 *   synced -> synced    entries arrive without holes: dispatched by topic
 *   synced -> away      the connection broke: it goes on from its last ids, nothing is skipped
 *   any -> reset        the floor rose (Redis restarted or lost data) or a shard was trimmed past us: every listener starts anew
 */
import type { Redis } from 'ioredis';
import { realtimeKeys } from './realtime-log';
import { headsScript, type StreamEntry } from './realtime-scripts';
import { createSubscriptions, type TopicListener } from './subscriptions';

export interface Firehose {
  /** @returns how to stop listening */
  subscribe(topic: string, listener: TopicListener): () => void;
  /** Resolves when the reader follows for the first time. */
  ready(): Promise<void>;
  stop(): Promise<void>;
}

export interface FirehoseOptions {
  /** of its own (`createBlockingRedis`); closed by `stop` */
  redis: Redis;
  prefix: string;
  log: { warn(fields: object, message: string): void; error(fields: object, message: string): void };
}

const BLOCK_MS = 2_000;
/** Beyond BLOCK_MS an answer is overdue: the connection is dead or Redis frozen. */
const OVERDUE_MS = 3_000;
/** Of one shard; all of them may be full of large ones. */
const ENTRIES_PER_READ = 128;
const RETRY_STEP_MS = 50;
const RETRY_MAX_MS = 1_000;

/** Where a shard's reader stands: an entry's id is `{floor}-{n}`. */
interface Position {
  floor: number;
  n: number;
}

export function createFirehose(options: FirehoseOptions): Firehose {
  const reader = new Reader(options);
  const running = reader.run();
  return {
    subscribe: (topic, listener) => reader.subscriptions.add(topic, listener),
    ready: () => reader.ready,
    async stop() {
      reader.stop();
      await running;
    },
  };
}

class Reader {
  readonly subscriptions;
  readonly ready: Promise<void>;
  readonly #options: FirehoseOptions;
  readonly #keys;
  readonly #positions = new Map<string, Position>();
  #floor = 0;
  #stopped = false;
  #becomeReady: () => void = () => undefined;
  #endPause: () => void = () => undefined;

  constructor(options: FirehoseOptions) {
    this.#options = options;
    this.#keys = realtimeKeys(options.prefix);
    this.subscriptions = createSubscriptions((err, topic) =>
      options.log.error({ err, topic }, 'A realtime listener failed'),
    );
    this.ready = new Promise((resolve) => {
      this.#becomeReady = resolve;
    });
  }

  async run(): Promise<void> {
    let synced = false;
    let failures = 0;
    while (!this.#stopped) {
      try {
        if (!synced) await this.#sync();
        synced = true;
        failures = 0;
        await this.#read();
      } catch (err) {
        if (this.#stopped) return;
        synced = false;
        // At the start the connection is still being made.
        if (failures++ === (this.#floor === 0 ? 1 : 0))
          this.#options.log.warn(
            { err },
            'The realtime reader has no Redis; it will go on from where it was',
          );
        await this.#pause(Math.min(RETRY_STEP_MS * failures, RETRY_MAX_MS));
      }
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#endPause();
    this.#options.redis.disconnect();
  }

  /** Before the first read, after each break, and when it was quiet: is this still the life of Redis we know? */
  async #sync(): Promise<void> {
    const [floor = 0, ...counts] = (
      await this.#withDeadline(headsScript(this.#options.redis, [this.#keys.meta], []))
    ).map(Number);
    if (floor === this.#floor) return;
    const first = this.#floor === 0;
    this.#floor = floor;
    this.#keys.firehose.forEach((key, shard) => this.#positions.set(key, { floor, n: counts[shard] ?? 0 }));
    // Who subscribed before the first read has nobody else to learn from that it missed something.
    if (!first || this.subscriptions.size > 0)
      this.#reset('Redis restarted, lost data, or was away at the start');
    this.#becomeReady();
  }

  async #read(): Promise<void> {
    const ids = this.#keys.firehose.map((key) => {
      const at = this.#positions.get(key);
      return `${at?.floor}-${at?.n}`;
    });
    const reply = await this.#withDeadline(
      this.#options.redis.xread(
        'COUNT',
        ENTRIES_PER_READ,
        'BLOCK',
        BLOCK_MS,
        'STREAMS',
        ...this.#keys.firehose,
        ...ids,
      ),
    );
    if (reply === null) return this.#sync();
    for (const [key, entries] of reply) {
      for (const entry of entries) this.#take(key, entry);
    }
  }

  #take(key: string, [entryId, fields]: StreamEntry): void {
    const [floor = 0, n = 0] = entryId.split('-').map(Number);
    const last = this.#positions.get(key);
    this.#positions.set(key, { floor, n });
    if (floor > this.#floor) {
      this.#floor = floor;
      this.#reset('Redis restarted or lost data');
    } else if (last?.floor === floor && n !== last.n + 1) {
      this.#reset('the firehose was trimmed past this process');
    }
    const { c: topic = '', i: id, t: type = '', p: payload = '' } = toRecord(fields);
    this.subscriptions.entry(topic, { id: Number(id), type, payload });
  }

  #reset(reason: string): void {
    this.#options.log.warn({ reason, topics: this.subscriptions.size }, 'Realtime subscribers start anew');
    this.subscriptions.resetAll();
  }

  async #withDeadline<T>(answer: Promise<T>): Promise<T> {
    const timer = setTimeout(() => this.#options.redis.disconnect(true), BLOCK_MS + OVERDUE_MS);
    try {
      return await answer;
    } finally {
      clearTimeout(timer);
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

function toRecord(fields: readonly string[]): Record<string, string> {
  const record: Record<string, string> = {};
  for (let i = 0; i + 1 < fields.length; i += 2) record[fields[i] ?? ''] = fields[i + 1] ?? '';
  return record;
}
