/** Events on the wire. */
import { z } from 'zod';
import { EVENT_TYPE_LENGTH_MAX, isEventType } from '../../domain/events/event-type';
import { isTypePattern } from '../../domain/events/type-filter';
import { idText, named, pageQuery, timeInput, timestampSchema } from '../schema';

export const EVENTS_MAX = 1_000;
export const DATA_BYTES_MAX = 256 * 1024;
const TEXT_LENGTH_MAX = 255;
const CHANNELS_MAX = 10;
const PATTERNS_MAX = 100;

/** In an address, and in a list of them, without anything to escape. */
const CHANNEL = /^[a-zA-Z0-9_.-]{1,128}$/;

export const eventTypeName = z
  .string()
  .max(EVENT_TYPE_LENGTH_MAX)
  .refine(isEventType, { error: 'expected words of letters, digits, _ and - with dots between them' })
  .meta({ example: 'order.paid' });

const textInput = z.string().min(1).max(TEXT_LENGTH_MAX);

export const eventCreateSchema = named(
  'EventCreate',
  z.strictObject({
    type: eventTypeName.describe('Its first word is not one of those that Millrace uses itself'),
    data: z
      .unknown()
      .refine((value) => value !== undefined, { error: 'is needed' })
      .describe('Any JSON, up to 256 KB; passed on as the very text that was sent'),
    event_id: textInput
      .optional()
      .describe(
        'Your own id of the event: published again within 7 days with the same content, it is the first event',
      ),
    subject: textInput.optional().describe('What it happened to, as `order_4711`; to find its events by'),
    channels: z
      .array(z.string().regex(CHANNEL, { error: 'expected 1 to 128 letters, digits, _, - and dots' }))
      .max(CHANNELS_MAX)
      .refine((channels) => new Set(channels).size === channels.length, {
        error: 'a channel is given twice',
      })
      .optional()
      .describe('Receivers that name channels get only events of theirs'),
  }),
);

export const publishSchema = named(
  'EventPublish',
  z.union([
    eventCreateSchema,
    z
      .strictObject({ events: z.array(eventCreateSchema).min(1).max(EVENTS_MAX) })
      .describe('All of them are published, or none'),
  ]),
);

export const eventSchema = named(
  'Event',
  z.object({
    id: idText('event'),
    object: z.literal('event'),
    tenant_id: idText('tenant'),
    type: z.string(),
    subject: z.string().nullable().describe('What it happened to'),
    channels: z.array(z.string()),
    event_id: z.string().nullable().describe("The publisher's own id"),
    data: z.unknown(),
    timestamp: timestampSchema,
  }),
);

export const publishedSchema = named(
  'PublishedEvents',
  z.union([
    eventSchema,
    z.object({ object: z.literal('list'), data: z.array(eventSchema) }).describe('In the order given'),
  ]),
);

const typesQuery = z
  .string()
  .transform((text) => text.split(',').map((pattern) => pattern.trim()))
  .pipe(
    z
      .array(z.string().refine(isTypePattern, { error: 'expected types as `order.paid`, `order.*` or `*`' }))
      .max(PATTERNS_MAX),
  )
  .meta({ type: 'string', example: 'job.*,quota.warning' });

export const eventListQuery = z.strictObject({
  ...pageQuery,
  type: typesQuery.optional().describe('Only these types; `order.*` is all that begin with `order.`'),
  subject: textInput.optional().describe('Only what happened to this, as `job_…`'),
  since: timeInput.optional().describe('Not before'),
  until: timeInput.optional().describe('Before'),
});

export const eventTypePutSchema = named(
  'EventTypePut',
  z.strictObject({
    description: z.string().max(2_000).default(''),
    schema: z
      .union([z.record(z.string(), z.unknown()), z.boolean()])
      .nullish()
      .describe('JSON Schema (draft 2020-12) of `data`, up to 64 KB; null, the default: none'),
    strict: z
      .boolean()
      .default(false)
      .describe('Whether a publication whose data does not fit the schema is refused'),
  }),
);

export const eventTypeSchema = named(
  'EventType',
  z.object({
    name: z.string(),
    object: z.literal('event_type'),
    description: z.string(),
    schema: z.unknown().describe('JSON Schema of `data`; null: none'),
    strict: z.boolean(),
    built_in: z.boolean().describe('Told by Millrace itself'),
    realtime_only: z.boolean().describe('Told on streams, and kept nowhere'),
    created_at: timestampSchema.nullable(),
    updated_at: timestampSchema.nullable(),
  }),
);
