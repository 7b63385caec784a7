/** From the body of a request to the events in it, `data` by its exact text. */
import { createHash } from 'node:crypto';
import type { z } from 'zod';
import { AppError } from '../../domain/errors';
import { isReserved, RESERVED_WORDS } from '../../domain/events/event-type';
import { eachElement, eachField } from '../../domain/json-fields';
import type { NewPublication } from './ports';
import { DATA_BYTES_MAX, type eventCreateSchema, type publishSchema } from './schema';

export interface Publications {
  /** no two with one `event_id` */
  events: NewPublication[];
  /** of each event of the body, which of them it is */
  places: number[];
  /** JSON pointer to one of `events` */
  pointerTo(index: number): string;
  isList: boolean;
}

type Body = z.output<typeof publishSchema>;
type Wish = z.output<typeof eventCreateSchema>;

/**
 * @param bytes the body that `body` was parsed from
 * @throws AppError `event_type_reserved`, `event_too_large`, and `event_id_used` where the body has one twice
 */
export function readPublications(bytes: Uint8Array, body: Body, newEventId: () => string): Publications {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  const isList = 'events' in body;
  const wishes = isList ? body.events : [body];
  const texts = isList ? dataTexts(text) : [dataText(text)];
  const pointers: string[] = [];
  const events: NewPublication[] = [];
  const byEventId = new Map<string, number>();
  const places = wishes.map((wish, at) => {
    const pointer = isList ? `/events/${at}` : '';
    const event = toPublication(wish, { data: texts[at] ?? 'null', pointer, newEventId });
    const known = event.key && byEventId.get(event.key.eventId);
    if (known !== undefined) return sameEvent(events[known], event, { pointer, place: known });
    if (event.key) byEventId.set(event.key.eventId, events.length);
    pointers.push(pointer);
    return events.push(event) - 1;
  });
  return { events, places, pointerTo: (index) => pointers[index] ?? '', isList };
}

interface Source {
  data: string;
  pointer: string;
  newEventId(): string;
}

function toPublication(wish: Wish, { data, pointer, newEventId }: Source): NewPublication {
  const { type, event_id: eventId, subject = '', channels = [] } = wish;
  if (isReserved(type)) throw reserved(`${pointer}/type`);
  if (isLarger(data, DATA_BYTES_MAX)) throw tooLarge(`${pointer}/data`);
  const content = { type, subject, channels, data };
  return {
    id: newEventId(),
    ...content,
    ...(eventId !== undefined && { key: { eventId, fingerprint: fingerprint(content) } }),
  };
}

function sameEvent(
  first: NewPublication | undefined,
  second: NewPublication,
  { pointer, place }: { pointer: string; place: number },
): number {
  const [one, other] = [first?.key, second.key];
  if (one && other && Buffer.compare(one.fingerprint, other.fingerprint) === 0) return place;
  const detail = 'is that of another event in this body';
  const errors = [{ pointer: `${pointer}/event_id`, detail }];
  throw new AppError('event_id_used', `${pointer}/event_id: ${detail}`, { errors });
}

/** What makes two publications the same. */
function fingerprint({ type, subject, channels, data }: Omit<NewPublication, 'id' | 'key'>): Buffer {
  return createHash('sha256')
    .update(JSON.stringify([type, subject, channels]))
    .update(data)
    .digest();
}

export function dataText(event: string): string {
  let data = 'null';
  eachField(event, (name, value) => {
    if (name === 'data') data = value;
  });
  return data;
}

function dataTexts(body: string): string[] {
  let list = '[]';
  eachField(body, (name, value) => {
    if (name === 'events') list = value;
  });
  const texts: string[] = [];
  eachElement(list, (event) => texts.push(dataText(event)));
  return texts;
}

/** A character has 1 to 3 bytes for each of its code units. */
export function isLarger(text: string, bytesMax: number): boolean {
  if (text.length > bytesMax) return true;
  return text.length * 3 > bytesMax && Buffer.byteLength(text) > bytesMax;
}

export function reserved(pointer: string): AppError {
  const detail = `is one of Millrace: its first word is one of ${RESERVED_WORDS.join(', ')}`;
  return new AppError('event_type_reserved', `The type ${detail}.`, { errors: [{ pointer, detail }] });
}

export function tooLarge(pointer: string): AppError {
  const detail = `is larger than ${DATA_BYTES_MAX} bytes`;
  return new AppError('event_too_large', `${pointer}: ${detail}.`, { errors: [{ pointer, detail }] });
}
