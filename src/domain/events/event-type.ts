/** Names of event types. */

export const EVENT_TYPE_LENGTH_MAX = 128;
const SHAPE = /^[a-zA-Z0-9_-]+(\.[a-zA-Z0-9_-]+)*$/;

/** First words of what Millrace itself tells, now or later. */
export const RESERVED_WORDS = [
  'job',
  'schedule',
  'report',
  'endpoint',
  'delivery',
  'api_key',
  'quota',
  'tenant',
  'notification',
  'system',
  'message',
] as const;
const RESERVED: ReadonlySet<string> = new Set(RESERVED_WORDS);

/** Words of letters, digits, `_` and `-`, with a dot between two of them. */
export function isEventType(text: string): boolean {
  return text.length <= EVENT_TYPE_LENGTH_MAX && SHAPE.test(text);
}

/** Whether only Millrace tells events of this type. */
export function isReserved(type: string): boolean {
  return RESERVED.has(type.split('.', 1)[0] ?? '');
}
