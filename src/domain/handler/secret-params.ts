/**
 * Params that are secrets, as they are kept: each text, number and boolean in them is replaced by `{"$sealed": "…"}`. All of
 * them are, so that a text which looks like a sealed one is sealed itself: nobody can have a foreign ciphertext opened.
 */
import type { Json } from '../batch/job';

/** Encrypts or decrypts one text. */
export type Cipher = (text: string) => string;

const MARK = '$sealed';
const REDACTED = '[redacted]';

/** @param secrets `name` of a top-level param, or `name.field` of one of its fields in whatever case */
export function sealParams(params: Json, secrets: readonly string[], seal: Cipher): Json {
  return mapSecrets(params, secrets, (value) => sealValue(value, seal));
}

/** @throws what `open` throws */
export function openParams(params: Json, secrets: readonly string[], open: Cipher): Json {
  return mapSecrets(params, secrets, (value) =>
    mapSealed(value, (sealed) => JSON.parse(open(sealed)) as Json),
  );
}

/** For whoever reads a job: names stay, values don't. */
export function redactParams(params: Json): Json {
  return mapSealed(params, () => REDACTED);
}

function mapSecrets(params: Json, secrets: readonly string[], change: (value: Json) => Json): Json {
  return mapFields(params, (value, name) => {
    if (secrets.includes(name)) return change(value);
    return mapFields(value, (inner, field) =>
      secrets.includes(`${name}.${field.toLowerCase()}`) ? change(inner) : inner,
    );
  });
}

function sealValue(value: Json, seal: Cipher): Json {
  if (value === null) return null;
  if (Array.isArray(value)) return value.map((entry) => sealValue(entry, seal));
  if (typeof value === 'object') return mapFields(value, (inner) => sealValue(inner, seal));
  return { [MARK]: seal(JSON.stringify(value)) };
}

function mapSealed(value: Json, change: (sealed: string) => Json): Json {
  if (Array.isArray(value)) return value.map((entry) => mapSealed(entry, change));
  const sealed = sealedText(value);
  return sealed === undefined ? mapFields(value, (inner) => mapSealed(inner, change)) : change(sealed);
}

function sealedText(value: Json): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const sealed = value[MARK];
  return typeof sealed === 'string' && Object.keys(value).length === 1 ? sealed : undefined;
}

/** Of an object; anything else stays as it is. */
function mapFields(value: Json, change: (value: Json, name: string) => Json): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, change(inner, name)]));
}
