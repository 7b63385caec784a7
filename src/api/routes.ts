/** The one table of routes: what the router serves and the OpenAPI document shows. */
import { type BatchRouteDeps, batchRoutes } from './batch/routes';
import { type BroadcastRouteDeps, broadcastRoutes } from './broadcast/routes';
import type { ChunkRouteDeps } from './chunk/ports';
import { chunkRoutes } from './chunk/routes';
import { type EventRouteDeps, eventRoutes } from './events/routes';
import { type HandlerRouteDeps, handlerRoutes } from './handler/routes';
import { type KeyRouteDeps, keyRoutes } from './key/routes';
import { type NotificationRouteDeps, notificationRoutes } from './notification/routes';
import { type PlanRouteDeps, planRoutes } from './plan/routes';
import { type RealtimeRouteDeps, realtimeRoutes } from './realtime/routes';
import type { Route } from './route';
import { docsRoutes } from './system/docs-routes';
import { type HealthDeps, healthRoutes } from './system/health-routes';
import { problemPageRoutes } from './system/problem-pages';
import { type TenantRouteDeps, tenantRoutes } from './tenant/routes';
import { type TicketRouteDeps, ticketRoutes } from './ticket/routes';
import { type UsageRouteDeps, usageRoutes } from './usage/routes';

/** What the routes of each feature need. */
export interface RouteDeps {
  batch: BatchRouteDeps;
  broadcasts: BroadcastRouteDeps;
  chunks: ChunkRouteDeps;
  events: EventRouteDeps;
  handlers: HandlerRouteDeps;
  keys: KeyRouteDeps;
  notifications: NotificationRouteDeps;
  plans: PlanRouteDeps;
  realtime: RealtimeRouteDeps;
  tenants: TenantRouteDeps;
  tickets: TicketRouteDeps;
  usage: UsageRouteDeps;
  health: HealthDeps;
  version: string;
}

export function createRoutes(deps: RouteDeps): Route[] {
  const routes: Route[] = [
    ...batchRoutes(deps.batch),
    ...eventRoutes(deps.events),
    ...broadcastRoutes(deps.broadcasts),
    ...chunkRoutes(deps.chunks),
    ...handlerRoutes(deps.handlers),
    ...keyRoutes(deps.keys),
    ...notificationRoutes(deps.notifications),
    ...planRoutes(deps.plans),
    ...realtimeRoutes(deps.realtime),
    ...tenantRoutes(deps.tenants),
    ...ticketRoutes(deps.tickets),
    ...usageRoutes(deps.usage),
    ...healthRoutes(deps.health),
    ...problemPageRoutes(),
    ...docsRoutes({ version: deps.version, routes: () => routes }),
  ];
  return routes;
}
