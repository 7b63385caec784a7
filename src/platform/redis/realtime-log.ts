/** The realtime log in Redis: topics with replay, and the firehose that each API process follows. */
import type { Redis } from 'ioredis';
import type { JobEventType } from '../../domain/realtime/event';
import type { Publication, Target } from '../../domain/realtime/publication';
import type { LogEntry, Replay } from '../../domain/realtime/topic-log';
import {
  FIREHOSE_SHARDS,
  latestScript,
  positionScript,
  publishScript,
  replayScript,
  type StreamEntry,
} from './realtime-scripts';

export interface RealtimeLog {
  /** In order; an event published before is passed over. Rejects while Redis is away: part may have been done, do it again. */
  publish(publications: readonly Publication[]): Promise<void>;
  /**
   * In the same step as the gate is looked at, and shut anew: nothing where the turn is over. Without publications it
   * just ends it. Rejects as `publish` does.
   */
  publishInTurn(publications: readonly Publication[], turn: Turn): Promise<void>;
  /** The topic's cursor now: read it BEFORE the state that it goes with, and replay from it misses nothing. */
  cursor(topic: string): Promise<number>;
  /** As `cursor`, of a topic whose subject has ended: replay from it says `ended`. */
  finalCursor(topic: string): Promise<number>;
  /** As `cursor`, of all topics at once. */
  latestCursor(): Promise<number>;
  /** What came after the cursor, as far as `limit` entries and some 64 KiB go. */
  replay(topic: string, cursor: number, limit: number): Promise<Replay>;
}

/** The right to be the next to publish something of a topic. */
export interface Turn {
  /** key of the topic's gate, see `realtimeKeys` */
  gate: string;
  /** unique */
  id: string;
  /** how long the gate is shut from the publication on */
  shutMs: number;
}

export interface RealtimeLogOptions {
  redis: Redis;
  /** before every key */
  prefix: string;
  /** An event that Redis refuses for what it is; it is passed over so that others go on. */
  onRefused: (publication: Publication, error: Error) => void;
  /** Entries kept for replay; a progress entry is about 300 bytes. */
  jobEntriesMax?: number;
  tenantEntriesMax?: number;
  /** Entries of one firehose shard: what a reader may fall behind before its subscribers start anew. */
  shardEntriesMax?: number;
  /** What a log may come to; about twice as much, where small entries follow large ones. */
  logBytesMax?: number;
}

const SHARD_BYTES_MAX = 16 * 1024 * 1024;
const LOG_BYTES_MAX = 8 * 1024 * 1024;
/** Expiries in seconds. A log without traffic is not worth keeping: its subscribers start anew. */
const JOB_TTL = 7 * 86_400;
const TENANT_TTL = 86_400;
const ENDED_TTL = 3_600;
/** Events remembered against a second publication; more than a relay can have passed on without a commit. */
const SEEN_MAX = 20_000;
/** Of a page: what thousands that come back at once, or read slowly, make this process hold. */
const PAGE_BYTES_MAX = 65_536;
/** Of a job: nothing is published of it before. In the log of a tenant it is one of many. */
const FIRST_JOB_EVENT: JobEventType = 'job.created';
/** Publications per Lua call: about 2 ms of Redis' one thread. */
const CALL_MAX = 64;

export function realtimeKeys(prefix: string) {
  return {
    meta: `${prefix}realtime:meta`,
    seen: `${prefix}realtime:seen`,
    log: (topic: string) => `${prefix}realtime:log:${topic}`,
    end: (topic: string) => `${prefix}realtime:end:${topic}`,
    gate: (topic: string) => `${prefix}realtime:gate:${topic}`,
    firehose: Array.from({ length: FIREHOSE_SHARDS }, (_, shard) => `${prefix}realtime:firehose:${shard}`),
  };
}

export function createRealtimeLog(options: RealtimeLogOptions): RealtimeLog {
  const { redis } = options;
  const keys = realtimeKeys(options.prefix);
  const topicKeys = (topic: string): string[] => [keys.meta, keys.log(topic), keys.end(topic)];
  const send = (batch: readonly Publication[], turn?: Turn): Promise<unknown> => {
    const call = toCall(batch, { ...options, keys, turn });
    return publishScript(redis, call.keys, call.args);
  };
  return {
    async publish(publications) {
      for (let from = 0; from < publications.length; from += CALL_MAX) {
        await sendOrSplit(publications.slice(from, from + CALL_MAX), send, options.onRefused);
      }
    },
    async publishInTurn(publications, turn) {
      await send(publications, turn);
    },
    cursor: (topic) => positionScript(redis, topicKeys(topic), ['', ttlOf(topic), ENDED_TTL]),
    finalCursor: (topic) => positionScript(redis, topicKeys(topic), ['1', ttlOf(topic), ENDED_TTL]),
    latestCursor: () => latestScript(redis, [keys.meta], []),
    async replay(topic, cursor, limit) {
      const opening = isOfJob(topic) ? FIRST_JOB_EVENT : '';
      const reply = await replayScript(redis, topicKeys(topic), [cursor, limit, PAGE_BYTES_MAX, opening]);
      if (reply === 'lost' || reply === 'ended') return { state: reply };
      const [more, entries] = [reply[0] === 1, reply[1].map(toLogEntry)];
      return {
        state: 'entries',
        entries: entries.filter((entry) => entry.type !== ''),
        cursor: entries.at(-1)?.id ?? cursor,
        more,
      };
    },
  };
}

function isOfJob(topic: string): boolean {
  return topic.startsWith('job:');
}

function ttlOf(topic: string): number {
  return isOfJob(topic) ? JOB_TTL : TENANT_TTL;
}

interface CallOptions extends RealtimeLogOptions {
  keys: ReturnType<typeof realtimeKeys>;
  turn: Turn | undefined;
}

function toCall(batch: readonly Publication[], limits: CallOptions) {
  const { keys, turn } = limits;
  const callKeys = [keys.meta, keys.seen, ...keys.firehose];
  const args: (string | number)[] = [limits.shardEntriesMax ?? 4_096, SEEN_MAX, ENDED_TTL];
  args.push(turn?.id ?? '', turn?.shutMs ?? 0, SHARD_BYTES_MAX, limits.logBytesMax ?? LOG_BYTES_MAX);
  for (const { eventId, type, payload, targets, fleeting } of batch) {
    args.push(fleeting === true ? '-' : (eventId ?? ''), type, payload, targets.length);
    for (const target of targets) {
      callKeys.push(keys.log(target.topic), keys.end(target.topic));
      args.push(...targetArgs(target, limits));
    }
  }
  if (turn !== undefined) callKeys.push(turn.gate);
  return { keys: callKeys, args };
}

function targetArgs({ topic, final }: Target, limits: RealtimeLogOptions): (string | number)[] {
  const kept = isOfJob(topic) ? (limits.jobEntriesMax ?? 2_000) : (limits.tenantEntriesMax ?? 10_000);
  return [topic, shardOf(topic), kept, ttlOf(topic), final ? '1' : ''];
}

/** Redis' own refusals that pass: out of memory, starting, a replica, a script that runs too long. */
const PASSING =
  /\b(OOM|LOADING|READONLY|MISCONF|BUSY|NOSCRIPT|MASTERDOWN|CLUSTERDOWN|NOREPLICAS|TRYAGAIN|NOAUTH|NOPERM|WRONGPASS|UNBLOCKED)\b/;

async function sendOrSplit(
  batch: readonly Publication[],
  send: (batch: readonly Publication[]) => Promise<unknown>,
  onRefused: RealtimeLogOptions['onRefused'],
): Promise<void> {
  try {
    await send(batch);
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'ReplyError' || PASSING.test(error.message)) throw error;
    const [first] = batch;
    if (batch.length === 1 && first !== undefined) return onRefused(first, error);
    for (const one of batch) await sendOrSplit([one], send, onRefused);
  }
}

export function toLogEntry([id, fields]: StreamEntry): LogEntry {
  const field = (name: string): string => fields[fields.indexOf(name) + 1] ?? '';
  return { id: Number.parseInt(id, 10), type: field('t'), payload: field('p') };
}

/** FNV-1a: all of a topic goes through one shard, which keeps its order. */
function shardOf(topic: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < topic.length; i++) hash = Math.imul(hash ^ topic.charCodeAt(i), 0x01000193);
  return (hash >>> 0) % FIREHOSE_SHARDS;
}
