/** Streams: server-sent events of a job and of a tenant, and the WebSocket of many topics. */
import type { Route } from '../route';
import { type OpenSocketDeps, openSocketRoute } from './open-socket';
import { type StreamJobDeps, streamJobRoute } from './stream-job';
import { streamTenantRoute } from './stream-tenant';

export type RealtimeRouteDeps = StreamJobDeps & OpenSocketDeps;

export function realtimeRoutes(deps: RealtimeRouteDeps): Route[] {
  return [streamJobRoute(deps), streamTenantRoute(deps), openSocketRoute(deps)];
}
