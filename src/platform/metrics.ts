/** Prometheus metrics of this process, in a registry of their own. */
import { collectDefaultMetrics, Histogram, Registry } from 'prom-client';

export interface RequestSample {
  method: string;
  /** the pattern, so that ids don't become labels */
  route: string;
  status: number;
  seconds: number;
}

export interface Metrics {
  observeRequest(sample: RequestSample): void;
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
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}
