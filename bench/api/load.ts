import autocannon from 'autocannon';
import { serveRemote } from '../frame/serve-remote';
import { quantile } from '../measure/stats';
import type { Target } from './target';

export interface LoadRequest {
  readonly target: Target;
  readonly connections: number;
  readonly seconds: number;
  /** Requests a second over all connections; left out: as many as are answered. */
  readonly rate?: number;
}

/** Every answer was 200 and had the body it should have. */
export interface Load {
  readonly requests: number;
  readonly perSecond: number;
  /** From the first byte of a request to the last of its answer, over all of them. */
  readonly latencyMs: { readonly p50: number; readonly p95: number; readonly p99: number };
}

/** Loads a server by autocannon, in a process of its own: the client must not take the server's processor. */
serveRemote(async (request: LoadRequest): Promise<Load> => {
  const { target, connections, seconds, rate } = request;
  const latencies: number[] = [];
  let wrongCount = 0;
  let firstWrong = '';
  const running = autocannon({
    url: target.url,
    connections,
    duration: seconds,
    ...(rate !== undefined && { overallRate: rate }),
    requests: target.questions.map(({ path, body: expected }) => ({
      method: 'GET',
      path,
      headers: { authorization: `Bearer ${target.key}` },
      onResponse: (status, body) => {
        if (status === 200 && body === expected) return;
        wrongCount += 1;
        firstWrong ||= `${path}: ${status} ${body.slice(0, 300)}`;
      },
    })),
  });
  // A promise that is an emitter too, of which the typings don't tell.
  (running as unknown as autocannon.Instance).on('response', (...answer) => {
    latencies.push(answer[3]);
  });
  const result = await running;
  if (wrongCount > 0) throw new Error(`${wrongCount} answers were wrong, the first: ${firstWrong}`);
  if (result.errors > 0)
    throw new Error(`${result.errors} requests failed, ${result.timeouts} of them for time`);
  latencies.sort((left, right) => left - right);
  return {
    requests: latencies.length,
    perSecond: result.requests.total / result.duration,
    latencyMs: {
      p50: quantile(latencies, 0.5),
      p95: quantile(latencies, 0.95),
      p99: quantile(latencies, 0.99),
    },
  };
});
