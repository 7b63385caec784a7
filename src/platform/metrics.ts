/** Prometheus metrics of this process, in a registry of their own. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

export interface RequestSample {
  method: string;
  /** the pattern, so that ids don't become labels */
  route: string;
  status: number;
  seconds: number;
}

type StreamKind = 'sse' | 'websocket';

/** Fulfils `StreamMetrics` of src/api/realtime/stream-metrics.ts. */
export interface StreamMetrics {
  opened(kind: StreamKind): void;
  closed(kind: StreamKind): void;
  cutOff(kind: StreamKind): void;
  delivered(kind: StreamKind, count: number): void;
  refused(why: string): void;
  ended(why: string): void;
}

export interface Metrics {
  observeRequest(sample: RequestSample): void;
  readonly streams: StreamMetrics;
  /** text exposition format */
  text(): Promise<string>;
  readonly contentType: string;
}

const REQUEST_BUCKETS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600];

export function createMetrics(role: string): Metrics {
  const registry = new Registry();
  registry.setDefaultLabels({ role });
  collectDefaultMetrics({ register: registry });
  const requests = new Histogram({
    name: 'millrace_http_request_seconds',
    help: 'Time from the first byte of a request to the last of its answer',
    labelNames: ['method', 'route', 'status'] as const,
    buckets: REQUEST_BUCKETS_SECONDS,
    registers: [registry],
  });
  return {
    observeRequest: ({ method, route, status, seconds }) =>
      requests.observe({ method, route, status: String(status) }, seconds),
    streams: streamMetrics(registry),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

function streamMetrics(registry: Registry): StreamMetrics {
  const registers = [registry];
  const byKind = { labelNames: ['transport'] as const, registers };
  const byReason = { labelNames: ['reason'] as const, registers };
  const open = new Gauge({ ...byKind, name: 'millrace_streams_open', help: 'Streams open now' });
  const cut = new Counter({
    ...byKind,
    name: 'millrace_streams_cut_total',
    help: 'Streams cut off because their reader was too slow',
  });
  const delivered = new Counter({
    ...byKind,
    name: 'millrace_stream_deliveries_total',
    help: 'Messages written, each to one subscriber',
  });
  const refused = new Counter({
    ...byReason,
    name: 'millrace_streams_refused_total',
    help: 'Streams not opened: as many as the plan allows, or as this process takes, are open',
  });
  const ended = new Counter({
    ...byReason,
    name: 'millrace_streams_ended_total',
    help: 'Streams ended from here: what they were let in by does not carry them any more',
  });
  const kinds = { sse: { transport: 'sse' }, websocket: { transport: 'websocket' } };
  for (const labels of Object.values(kinds)) {
    for (const metric of [open, cut, delivered]) metric.inc(labels, 0);
  }
  return {
    opened: (kind) => open.inc(kinds[kind]),
    closed: (kind) => open.dec(kinds[kind]),
    cutOff: (kind) => cut.inc(kinds[kind]),
    delivered: (kind, count) => delivered.inc(kinds[kind], count),
    refused: (reason) => refused.inc({ reason }),
    ended: (reason) => ended.inc({ reason }),
  };
}
