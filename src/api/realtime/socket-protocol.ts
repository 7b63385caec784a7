/**
 * What is said over a WebSocket: one JSON object a message. Clients send commands, and each is acknowledged; what a topic tells
 * comes as `{"type":"event","topic","event","cursor","data"}`. docs/realtime.md is the reference.
 */
import { z } from 'zod';
import { AppError, ERROR_CATALOG, isAppError } from '../../domain/errors';
import { isTypePattern } from '../../domain/events/type-filter';
import { parseCursor } from '../../domain/realtime/topic-log';
import { toErrorDetails } from '../validation';
import { TYPES_MAX } from './schema';
import type { Start } from './streams';
import type { EndReason, Message } from './transport';

export const COMMAND_BYTES_MAX = 16 * 1024;
export const COMMAND_ID_LENGTH_MAX = 64;
/** A short message must not be answered by a long one. */
const ERRORS_MAX = 20;
const TOPIC_LENGTH_MAX = 128;

export interface Subscribe {
  type: 'subscribe';
  id?: string | undefined;
  topic: string;
  start: Start;
  types?: readonly string[] | undefined;
  items?: boolean | undefined;
}

export type Command =
  | Subscribe
  | { type: 'unsubscribe'; id?: string | undefined; topic: string }
  | { type: 'ping'; id?: string | undefined };

/** What can be told of a message that is none of the commands. */
export interface Refused {
  type: 'refused';
  id?: string | undefined;
  topic?: string | undefined;
  error: AppError;
}

const id = z.string().max(COMMAND_ID_LENGTH_MAX).optional();
const topic = z.string().min(1).max(TOPIC_LENGTH_MAX);
const types = z
  .array(z.string().refine(isTypePattern, { error: 'expected a type like job.completed, job.* or *' }))
  .min(1)
  .max(TYPES_MAX);

const command = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('subscribe'),
    id,
    topic,
    // Also as text, as Last-Event-ID has it. What is no place in the log gets a reset, as it does there.
    from: z.union([z.number(), z.string()]).optional(),
    types: types.optional(),
    items: z.boolean().optional(),
  }),
  z.strictObject({ type: z.literal('unsubscribe'), id, topic }),
  z.strictObject({ type: z.literal('ping'), id }),
]);

/** @param text of at most `COMMAND_BYTES_MAX` bytes */
export function parseCommand(text: string): Command | Refused {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { type: 'refused', error: new AppError('malformed_json', 'The message is not well-formed JSON.') };
  }
  const parsed = command.safeParse(value);
  if (!parsed.success) return refused(value, parsed.error);
  const { data } = parsed;
  if (data.type !== 'subscribe') return data;
  const { from, ...rest } = data;
  return { ...rest, start: from === undefined ? 'now' : (parseCursor(String(from)) ?? 'unknown') };
}

function refused(value: unknown, found: z.ZodError): Refused {
  const errors = toErrorDetails(found, 'pointer');
  const [first] = errors;
  const detail = `${first?.pointer || 'the message'}: ${first?.detail}`;
  return {
    type: 'refused',
    id: textField(value, 'id', COMMAND_ID_LENGTH_MAX),
    topic: textField(value, 'topic', TOPIC_LENGTH_MAX),
    error: new AppError('validation_failed', detail, { errors: errors.slice(0, ERRORS_MAX) }),
  };
}

/** So that the client knows which of its commands it was, where that can be told. */
function textField(value: unknown, name: 'id' | 'topic', lengthMax: number): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const text: unknown = Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
  return typeof text === 'string' && text.length <= lengthMax ? text : undefined;
}

/** Fields that are undefined are left out. */
export type ServerMessage =
  | { type: 'hello'; connection_id: string; ping_interval_ms: number; topics_max: number }
  | { type: 'subscribed'; id: string | undefined; topic: string }
  | { type: 'unsubscribed'; id: string | undefined; topic: string }
  | { type: 'unsubscribed'; topic: string; reason: EndReason; retry_after_ms: number | undefined }
  | { type: 'pong'; id: string | undefined }
  | { type: 'goodbye'; reconnect_after_ms: number }
  | ErrorMessage;

export interface ErrorMessage {
  type: 'error';
  id: string | undefined;
  topic: string | undefined;
  code: string;
  title: string;
  detail: string;
  errors: AppError['errors'];
}

const UNKNOWN = {
  code: 'internal',
  detail: 'The command failed for a reason on our side. The connection id finds it in the log.',
  errors: undefined,
} as const;

/** As a problem says it: what is no AppError shows nothing of itself. */
export function errorMessage(
  error: unknown,
  { id, topic }: { id?: string | undefined; topic?: string | undefined },
): ErrorMessage {
  const { code, detail, errors } = isAppError(error) ? error : UNKNOWN;
  return { type: 'error', id, topic, code, title: ERROR_CATALOG[code].title, detail, errors };
}

export interface Told extends Omit<Message, 'event'> {
  event: Message['event'] | 'cursor';
}

/** `data` is put in as it is, so that an event is the same text on every way out. */
export function eventText(topic: string, { event, id, data }: Told): string {
  const cursor = id === undefined ? '' : `,"cursor":${id}`;
  return `{"type":"event","topic":${JSON.stringify(topic)},"event":"${event}"${cursor},"data":${data}}`;
}
