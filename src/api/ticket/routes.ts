/** Tickets for streams. */
import type { Route } from '../route';
import { type CreateTicketDeps, createTicketRoute } from './create-ticket';
import { endTicketRoute } from './end-ticket';

export type TicketRouteDeps = CreateTicketDeps;

export function ticketRoutes(deps: TicketRouteDeps): Route[] {
  return [createTicketRoute(deps), endTicketRoute()];
}
