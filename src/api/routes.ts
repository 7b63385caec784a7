/** The one table of routes: what the router serves and the OpenAPI document shows. */
import { type BatchRouteDeps, batchRoutes } from './batch/routes';
import type { ChunkRouteDeps } from './chunk/ports';
import { chunkRoutes } from './chunk/routes';
import { type StreamJobDeps, streamJobRoute } from './events/stream-job';
import { type HandlerRouteDeps, handlerRoutes } from './handler/routes';
import { type KeyRouteDeps, keyRoutes } from './key/routes';
import { type PlanRouteDeps, planRoutes } from './plan/routes';
import type { Route } from './route';
import { docsRoutes } from './system/docs-routes';
import { type HealthDeps, healthRoutes } from './system/health-routes';
import { problemPageRoutes } from './system/problem-pages';
import { type TenantRouteDeps, tenantRoutes } from './tenant/routes';
import { type UsageRouteDeps, usageRoutes } from './usage/routes';

/** What the routes of each feature need. */
export interface RouteDeps {
  batch: BatchRouteDeps;
  chunks: ChunkRouteDeps;
  events: StreamJobDeps;
  handlers: HandlerRouteDeps;
  keys: KeyRouteDeps;
  plans: PlanRouteDeps;
  tenants: TenantRouteDeps;
  usage: UsageRouteDeps;
  health: HealthDeps;
  version: string;
}

export function createRoutes(deps: RouteDeps): Route[] {
  const routes: Route[] = [
    ...batchRoutes(deps.batch),
    streamJobRoute(deps.events),
    ...chunkRoutes(deps.chunks),
    ...handlerRoutes(deps.handlers),
    ...keyRoutes(deps.keys),
    ...planRoutes(deps.plans),
    ...tenantRoutes(deps.tenants),
    ...usageRoutes(deps.usage),
    ...healthRoutes(deps.health),
    ...problemPageRoutes(),
    ...docsRoutes({ version: deps.version, routes: () => routes }),
  ];
  return routes;
}
