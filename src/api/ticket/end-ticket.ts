/** `DELETE /v1/stream-tickets/{id}`. */
import { z } from 'zod';
import { AppError } from '../../domain/errors';
import { noContent } from '../respond';
import { defineRoute, type Route } from '../route';
import { idParam } from '../schema';

export function endTicketRoute(): Route {
  return defineRoute({
    method: 'delete',
    path: '/v1/stream-tickets/{id}',
    operationId: 'endStreamTicket',
    summary: 'End a ticket and its stream',
    description:
      'Used or not: it opens nothing any more, and the stream that it opened ends within 5 seconds, on whatever process it is. ' +
      'For the key that got it, and for those of its tenant with `keys:write`. Ended again, nothing changes.',
    tags: ['realtime'],
    scopes: [],
    params: z.strictObject({ id: idParam('ticket') }),
    responses: { 204: { description: 'It is over' } },
    errors: ['not_found'],
    handler: async ({ params: { id: ticketId }, principal, transact }) => {
      const { tenantId, keyId, scopes } = principal;
      const ref = { tenantId, ticketId };
      return transact(async ({ tickets, access }) => {
        const ticket = await tickets.find(ref);
        const isForAsker =
          ticket?.keyId === keyId || scopes.some((one) => one === 'keys:write' || one === 'admin');
        if (ticket === undefined || !isForAsker) {
          throw new AppError('not_found', 'There is no ticket with this id.');
        }
        if (!ticket.isOver) {
          await access.changed(ticketId);
          await tickets.end(ref);
        }
        return noContent();
      });
    },
  });
}
