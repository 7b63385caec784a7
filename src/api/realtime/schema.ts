/** The parameters of event streams. */
import { z } from 'zod';
import { isTypePattern } from '../../domain/events/type-filter';

export const TYPES_MAX = 50;

export const cursorQuery = {
  last_event_id: z
    .string()
    .optional()
    .describe('Resume after this id, where no Last-Event-ID header can be sent'),
  lastEventId: z.string().optional().describe('The same, as EventSource polyfills name it'),
};

export const streamJobQuery = z.strictObject({
  ...cursorQuery,
  items: z
    .enum(['true', 'false'])
    .optional()
    .describe('Also `item`: each item as it ends, without its output; of many in a second, some'),
});

export const streamTenantQuery = z.strictObject({
  ...cursorQuery,
  types: z
    .string()
    .refine((text) => patternsOf(text).length <= TYPES_MAX, `at most ${TYPES_MAX} types`)
    .refine(
      (text) => patternsOf(text).every(isTypePattern),
      'types such as job.completed, job.* or *, parted by commas',
    )
    .optional()
    .describe('Only these types of events: exact ones, `job.*` for all that begin so, parted by commas')
    .meta({ example: 'job.*,quota.warning' }),
});

export function patternsOf(types: string): string[] {
  return types.split(',').map((pattern) => pattern.trim());
}
