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
  request: 'req',
} as const;
export type IdKind = keyof typeof ID_PREFIXES;

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const SUFFIX = /^[0-7][0-9a-hjkmnp-tv-z]{25}$/;

/** `uuid` (canonical text) to `job_01h…`. */
export function encodeId(kind: IdKind, uuid: string): string {
  let value = BigInt(`0x${uuid.replaceAll('-', '')}`);
  let suffix = '';
  for (let i = 0; i < 26; i++) {
    suffix = ALPHABET[Number(value & 31n)] + suffix;
    value >>= 5n;
  }
  return `${ID_PREFIXES[kind]}_${suffix}`;
}

/** `job_01h…` to the UUID's canonical text, or undefined where `id` is no id of that kind. */
export function tryDecodeId(kind: IdKind, id: string): string | undefined {
  const prefix = `${ID_PREFIXES[kind]}_`;
  if (!id.startsWith(prefix)) return undefined;
  const suffix = id.slice(prefix.length);
  if (!SUFFIX.test(suffix)) return undefined;
  let value = 0n;
  for (const char of suffix) value = (value << 5n) | BigInt(ALPHABET.indexOf(char));
  const hex = value.toString(16).padStart(32, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
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
