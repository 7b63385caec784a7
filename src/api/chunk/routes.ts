/** The routes of chunks that are lent to workers in other languages: docs/remote-handlers.md. */
import type { Route } from '../route';
import { claimRoutes } from './claim';
import { itemsRoute } from './items';
import type { ChunkRouteDeps } from './ports';
import { resultsRoute } from './results';

export function chunkRoutes(deps: ChunkRouteDeps): Route[] {
  return [...claimRoutes(deps), itemsRoute(deps), resultsRoute(deps)];
}
