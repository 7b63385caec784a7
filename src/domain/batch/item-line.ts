/** The item line rule: an envelope `{input, custom_id?}`, or any other JSON value as the input itself. */
import { AppError } from '../errors';
import { isDeeperThan, JSON_DEPTH_MAX } from '../json-text';
import { customIdFault } from './custom-id';
import type { NewItem } from './item';
import { unstorableReason } from './storable';

/** Where an item stands, for errors: physical line from 1, or JSON pointer. */
export type ItemPlace = { line: number } | { pointer: string };

/**
 * @param text well-formed JSON text of the item, without blanks around it
 * @param value what it parses to
 * @throws AppError `not_storable` or `invalid_item`
 */
export function toItem(text: string, value: unknown, place: ItemPlace): NewItem {
  const reason = unstorableReason(text);
  if (reason !== undefined) throw notStorable(reason, place);
  if (text.length > JSON_DEPTH_MAX && isDeeperThan(text, JSON_DEPTH_MAX)) {
    throw invalidItem(`nests deeper than ${JSON_DEPTH_MAX} levels`, place);
  }
  const line = 'line' in place ? place.line : 0;
  if (!isEnvelope(value)) return { customId: null, input: text, line };
  const input = memberText(text, 'input');
  if (value.custom_id === undefined) return { customId: null, input, line };
  return { customId: checkedCustomId(value.custom_id, place), input, line };
}

/** @throws AppError `invalid_item` */
export function checkedCustomId(value: unknown, place: ItemPlace): string {
  const fault = customIdFault(value);
  if (fault !== undefined) throw invalidItem(fault, place);
  return value as string;
}

export function invalidItem(fault: string, place: ItemPlace): AppError {
  return new AppError('invalid_item', `${whereIs(place)}: ${fault}.`, {
    errors: [{ ...place, detail: fault }],
  });
}

export function notStorable(reason: string, place: ItemPlace): AppError {
  const detail = `holds ${reason}`;
  return new AppError('not_storable', `${whereIs(place)} ${detail}.`, { errors: [{ ...place, detail }] });
}

export function whereIs(place: ItemPlace): string {
  return 'line' in place ? `Line ${place.line}` : place.pointer;
}

interface Envelope {
  input: unknown;
  custom_id?: unknown;
}

function isEnvelope(value: unknown): value is Envelope {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const keys = Object.keys(value);
  if (keys.length === 1) return keys[0] === 'input';
  return keys.length === 2 && keys.includes('input') && keys.includes('custom_id');
}

/**
 * The exact text of a member of a well-formed JSON object, so that numbers keep their digits; of several by one name the
 * last, which is what JSON.parse takes too.
 */
export function memberText(text: string, name: string): string {
  let found = 'null';
  let at = afterBlanks(text, text.indexOf('{') + 1);
  while (text[at] === '"') {
    const keyEnd = stringEnd(text, at);
    const start = afterBlanks(text, afterBlanks(text, keyEnd) + 1);
    const end = valueEnd(text, start);
    if (JSON.parse(text.slice(at, keyEnd)) === name) found = text.slice(start, end);
    at = afterBlanks(text, end);
    if (text[at] === ',') at = afterBlanks(text, at + 1);
  }
  return found;
}

const QUOTE = 34;
const COMMA = 44;
const BACKSLASH = 92;

function afterBlanks(text: string, from: number): number {
  let at = from;
  while (at < text.length && text.charCodeAt(at) <= 32) at++;
  return at;
}

/** One past the closing quote of the string that opens at `from`. */
function stringEnd(text: string, from: number): number {
  let at = from + 1;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) return at + 1;
    at += code === BACKSLASH ? 2 : 1;
  }
  return at;
}

/** One past the value that begins at `from`. */
function valueEnd(text: string, from: number): number {
  const first = text.charCodeAt(from);
  if (first === QUOTE) return stringEnd(text, from);
  return isOpening(first) ? bracketEnd(text, from) : scalarEnd(text, from);
}

function bracketEnd(text: string, from: number): number {
  let depth = 0;
  let at = from;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      at = stringEnd(text, at);
      continue;
    }
    at++;
    if (isOpening(code)) depth++;
    else if (isClosing(code) && --depth === 0) return at;
  }
  return at;
}

/** A scalar ends at the next sign or blank. */
function scalarEnd(text: string, from: number): number {
  let at = from;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code <= 32 || code === COMMA || isClosing(code)) return at;
    at++;
  }
  return at;
}

function isOpening(code: number): boolean {
  return code === 0x5b || code === 0x7b;
}

function isClosing(code: number): boolean {
  return code === 0x5d || code === 0x7d;
}
