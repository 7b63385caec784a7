/**
 * Public ids: a prefix and 26 characters of lower-case Crockford base32 over a UUIDv7, as the TypeID spec 0.3 has it
 * (https://github.com/jetify-com/typeid/tree/main/spec). They sort by the time they were made; PostgreSQL keeps the UUID.
 */
import { AppError } from './errors';

export const ID_PREFIXES = {
  tenant: 'tnt',
  key: 'key',
  job: 'job',
  event: 'evt',
  broadcast: 'brd',
  notification: 'ntf',
  notificationRule: 'nrl',
  ticket: 'tkt',
  request: 'req',
} as const;
export type IdKind = keyof typeof ID_PREFIXES;

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const SUFFIX = /^[0-7][0-9a-hjkmnp-tv-z]{25}$/;

/** `uuid` (canonical text) to `job_01h…`. In groups of 20 bits, 5 hex digits to 4 characters: every answer has some of them. */
export function encodeId(kind: IdKind, uuid: string): string {
  const hex = uuid.replaceAll('-', '');
  let id = `${ID_PREFIXES[kind]}_${characters(parseInt(hex.slice(0, 2), 16), 2)}`;
  for (let at = 2; at < 32; at += 5) id += characters(parseInt(hex.slice(at, at + 5), 16), 4);
  return id;
}

function characters(value: number, count: number): string {
  let text = '';
  for (let shift = (count - 1) * 5; shift >= 0; shift -= 5) text += ALPHABET.charAt((value >> shift) & 31);
  return text;
}

export function isId(kind: IdKind, text: string): boolean {
  const prefix = ID_PREFIXES[kind];
  return text.startsWith(prefix) && text[prefix.length] === '_' && SUFFIX.test(text.slice(prefix.length + 1));
}

/** `job_01h…` to the UUID's canonical text, or undefined where `id` is no id of that kind. */
export function tryDecodeId(kind: IdKind, id: string): string | undefined {
  if (!isId(kind, id)) return undefined;
  const start = ID_PREFIXES[kind].length + 1;
  let hex = hexDigits(id, start, 2);
  for (let at = start + 2; at < id.length; at += 4) hex += hexDigits(id, at, 4);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** The first two characters hold 8 bits, each four after them 20. */
function hexDigits(id: string, from: number, count: 2 | 4): string {
  let value = 0;
  for (let at = from; at < from + count; at++) value = value * 32 + ALPHABET.indexOf(id.charAt(at));
  return count === 2 ? value.toString(16).padStart(2, '0') : value.toString(16).padStart(5, '0');
}

/** As `tryDecodeId`. @throws AppError `not_found`: an id that can't exist answers like one that doesn't. */
export function decodeId(kind: IdKind, id: string): string {
  const uuid = tryDecodeId(kind, id);
  if (uuid === undefined) throw new AppError('not_found', `There is no ${kind} with this id.`);
  return uuid;
}

/** The only builder of workflow ids, so that starting a thing twice is starting it once. */
export const workflowIdFor = {
  batch: (tenantId: string, jobId: string): string => `batch/${tenantId}/${jobId}`,
};
