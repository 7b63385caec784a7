import type { RouteFixtures } from './fixture';

export const ticketFixtures: RouteFixtures = {
  // A key that sees nothing has nothing to hand on.
  createStreamTicket: {
    asks: 'apiKey',
    takes: ['jobs:read'],
    request: () => ({ body: { scopes: ['jobs:read'] } }),
  },
  // That of another key.
  endStreamTicket: {
    asks: 'apiKey',
    ids: { 'path.id': 'ticket' },
    takes: ['keys:write'],
    request: async (owner) => ({ path: { id: (await owner.make('POST', '/v1/stream-tickets', {})).id } }),
  },
};
