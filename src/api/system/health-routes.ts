/** Is this process alive, can it serve, what are its numbers. */
import { z } from 'zod';
import type { Log } from '../ports';
import { type Answer, text } from '../respond';
import { defineRoute, type Route } from '../route';

/** Resolves when the dependency answers; rejects or takes too long when it is away. */
export type HealthCheck = () => Promise<unknown>;

export interface HealthDeps {
  checks: Readonly<Record<string, HealthCheck>>;
  /** True once the process has begun to stop. */
  isDraining(): boolean;
  metrics: { text(): Promise<string>; contentType: string };
  log: Log;
}

const CHECK_TIMEOUT_MS = 1_500;

const readySchema = z.object({
  status: z.enum(['ready', 'not_ready', 'draining']),
  checks: z.record(z.string(), z.enum(['up', 'down'])),
});

export function healthRoutes(deps: HealthDeps): Route[] {
  return [healthz(), readyz(deps), metrics(deps)];
}

function healthz(): Route {
  return defineRoute({
    method: 'get',
    path: '/healthz',
    operationId: 'getHealth',
    summary: 'The process is alive',
    tags: ['system'],
    scopes: 'public',
    responses: { 200: { description: 'Alive', schema: z.object({ status: z.literal('ok') }) } },
    handler: async () => uncached(200, { status: 'ok' }),
  });
}

function readyz(deps: HealthDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/readyz',
    operationId: 'getReadiness',
    summary: 'The process can serve: PostgreSQL, Redis and Temporal answer',
    tags: ['system'],
    scopes: 'public',
    responses: {
      200: { description: 'Ready', schema: readySchema },
      503: { description: 'Something is away, or the process is stopping', schema: readySchema },
    },
    handler: async () => {
      const results = await Promise.all(
        Object.entries(deps.checks).map(
          async ([name, check]) => [name, await probe(deps, name, check)] as const,
        ),
      );
      const up = results.every(([, state]) => state === 'up');
      const status = deps.isDraining() ? 'draining' : up ? 'ready' : 'not_ready';
      return uncached(status === 'ready' ? 200 : 503, { status, checks: Object.fromEntries(results) });
    },
  });
}

function metrics(deps: HealthDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/metrics',
    operationId: 'getMetrics',
    summary: 'Metrics of this process for Prometheus',
    tags: ['system'],
    scopes: 'public',
    responses: { 200: { description: 'Text exposition format', contentType: 'text/plain' } },
    handler: async () => text(deps.metrics.contentType, await deps.metrics.text()),
  });
}

function uncached(status: number, body: unknown): Answer {
  return { kind: 'json', status, body, headers: { 'Cache-Control': 'no-store' } };
}

/** What is wrong goes to the log: a public page should not tell addresses. */
async function probe(deps: HealthDeps, name: string, check: HealthCheck): Promise<'up' | 'down'> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${CHECK_TIMEOUT_MS} ms`)), CHECK_TIMEOUT_MS);
  });
  try {
    await Promise.race([check(), late]);
    return 'up';
  } catch (error) {
    deps.log.warn({ err: error, dependency: name }, 'dependency is away');
    return 'down';
  } finally {
    clearTimeout(timer);
  }
}
