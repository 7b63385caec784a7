/** Events and their types; streams of them stand under `realtime/`. */
import type { Route } from '../route';
import {
  deleteEventTypeRoute,
  type EventTypeDeps,
  getEventTypeRoute,
  listEventTypesRoute,
  putEventTypeRoute,
} from './event-types';
import { type PublishDeps, publishEventsRoute } from './publish-events';
import { getEventRoute, listEventsRoute, type ReadEventDeps } from './read-events';

export type EventRouteDeps = PublishDeps & ReadEventDeps & EventTypeDeps;

export function eventRoutes(deps: EventRouteDeps): Route[] {
  return [
    publishEventsRoute(deps),
    listEventsRoute(deps),
    getEventRoute(deps),
    listEventTypesRoute(deps),
    getEventTypeRoute(deps),
    putEventTypeRoute(deps),
    deleteEventTypeRoute(deps),
  ];
}
