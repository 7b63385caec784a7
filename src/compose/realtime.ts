/** Realtime in an API process: one reader of the log, and the transports that its streams go over. */
import { toJobBody } from '../api/batch/job-body';
import { createLatestCursor, type LatestCursor } from '../api/realtime/latest-cursor';
import type { ItemWatch, ReadJob } from '../api/realtime/ports';
import { createSocketHub, type SocketHub } from '../api/realtime/socket-hub';
import { createSseHub, type SseHub } from '../api/realtime/sse-hub';
import type { StreamMetrics } from '../api/realtime/stream-metrics';
import { createStreams, type Streams } from '../api/realtime/streams';
import { createTopicGate, type TopicGate } from '../api/realtime/topic-name';
import { createTurnstile } from '../api/realtime/turnstile';
import type { ApiConfig } from '../platform/config';
import type { PostgresStores } from '../platform/postgres/stores';
import { createBlockingRedis } from '../platform/redis/client';
import { createFirehose, type Firehose } from '../platform/redis/firehose';
import { jobBodyDeps } from './api-routes';
import type { Common, Setting } from './parts';

const SNAPSHOTS_AT_ONCE = 4;

export interface RealtimeParts {
  common: Pick<Common, 'realtime'>;
  stores: Pick<PostgresStores, 'jobs' | 'tenants'>;
  metrics: StreamMetrics;
  items: ItemWatch;
}

export interface Realtime {
  streams: Streams;
  gate: TopicGate;
  readJob: ReadJob;
  sse: SseHub;
  sockets: SocketHub;
  monotonicMs(): number;
  latest: LatestCursor;
  /** Ends all streams, telling each when to come back. */
  drain(): void;
}

export function openRealtime(
  setting: Setting<ApiConfig>,
  { common, stores, metrics, items }: RealtimeParts,
): Realtime {
  const { config, log } = setting;
  const sse = createSseHub({ random: Math.random, metrics });
  const sockets = createSocketHub({ random: Math.random, metrics, deflate: config.websocketDeflate });
  const monotonicMs = (): number => performance.now();
  // A stream is followed by many: it shows what every one of them may see.
  const asker = { scopes: [] };
  const readJob: ReadJob = async (ref) => toJobBody(jobBodyDeps(config), await stores.jobs.find(ref), asker);
  const streams = createStreams({
    feed: openFirehose(setting),
    log: common.realtime,
    readJob,
    snapshots: createTurnstile(SNAPSHOTS_AT_ONCE),
    items,
    onFailure: (err, topic) => log.warn({ err, ...fieldsOf(topic) }, 'stream failed'),
  });
  const tenantExists = async (tenantId: string): Promise<boolean> =>
    (await stores.tenants.find(tenantId)) !== undefined;
  return {
    streams,
    gate: createTopicGate({ readJob, tenantExists }),
    readJob,
    sse,
    sockets,
    monotonicMs,
    latest: createLatestCursor({ read: common.realtime.latestCursor, now: monotonicMs }),
    drain: () => {
      sse.drain();
      sockets.drain();
    },
  };
}

function openFirehose({ config, log, lifecycle }: Setting<ApiConfig>): Firehose {
  const feed = createFirehose({
    redis: createBlockingRedis({
      url: config.redisUrl,
      name: 'millrace-api-firehose',
      onDown: (err) => log.warn({ err }, 'redis firehose is away'),
      onUp: () => log.info('redis firehose is back'),
    }),
    prefix: config.redisPrefix,
    log,
  });
  lifecycle.onClose('realtime firehose', () => feed.stop());
  return feed;
}

function fieldsOf(topic: { tenantId: string; jobId?: string }): object {
  return { tenant_id: topic.tenantId, ...(topic.jobId === undefined ? {} : { job_id: topic.jobId }) };
}
