/** Tickets for streams on the wire. */
import { z } from 'zod';
import { SCOPES } from '../../domain/key/scopes';
import { scopeSchema } from '../key/schema';
import { idText, named, timestampSchema } from '../schema';

const TOPICS_MAX = 100;
const TOPIC_LENGTH_MAX = 64;
const STREAM_SECONDS = { min: 60, max: 86_400, usual: 3_600 };

function isDistinct(list: readonly string[]): boolean {
  return new Set(list).size === list.length;
}

export const ticketCreateSchema = named(
  'StreamTicketCreate',
  z
    .strictObject({
      scopes: z
        .array(scopeSchema)
        .min(1)
        .max(SCOPES.length)
        .refine(isDistinct, { error: 'a scope is given twice' })
        .optional()
        .describe(
          'What its stream may show; default: `jobs:read` and `events:read`, as far as the key has them',
        ),
      topics: z
        .array(z.string().max(TOPIC_LENGTH_MAX))
        .min(1)
        .max(TOPICS_MAX)
        .refine(isDistinct, { error: 'a topic is given twice' })
        .nullish()
        .describe('`job:{job_id}`, `tenant`; null or left out: all that the scopes show'),
      stream_seconds: z
        .int()
        .min(STREAM_SECONDS.min)
        .max(STREAM_SECONDS.max)
        .default(STREAM_SECONDS.usual)
        .describe('After that the stream ends, however it was opened in between'),
    })
    .prefault({}),
);

export const ticketSchema = named(
  'StreamTicket',
  z.object({
    id: idText('ticket'),
    object: z.literal('stream_ticket'),
    ticket: z.string().describe('The ticket itself; shown this once'),
    scopes: z.array(scopeSchema),
    topics: z.array(z.string()).nullable(),
    expires_at: timestampSchema.describe('Until then it opens a stream'),
    stream_ends_at: timestampSchema.describe('Then the stream that it opened ends'),
  }),
);
