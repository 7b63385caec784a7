/** The type of a column from all of its values: the narrowest that holds each of them exactly. */
import { stringValue } from '../../domain/json-fields';
import { isExactDouble, isInt64 } from './numbers';

/**
 * `TEXT`: what strings say, or numbers as they are written where no column of numbers holds them all.
 * `JSON`: the JSON text of values that are nested, or not all of one kind.
 */
export type ColumnType = 'BOOLEAN' | 'INT64' | 'DOUBLE' | 'TEXT' | 'JSON';

/** What occurs in a column; null is no value. */
const SEEN = {
  boolean: 1,
  int64: 2,
  double: 4,
  /** beside one of the two above: an integer that a double would round */
  notDouble: 8,
  /** fits neither */
  otherNumber: 16,
  string: 32,
  nested: 64,
} as const;

const INTEGERS = SEEN.int64 | SEEN.notDouble;
const DOUBLES = SEEN.int64 | SEEN.double;
const NUMBERS = INTEGERS | SEEN.double | SEEN.otherNumber;

export function isNull(json: string): boolean {
  return json.charCodeAt(0) === 0x6e;
}

export function isObject(json: string): boolean {
  return json.charCodeAt(0) === 0x7b;
}

/** What a value adds to those seen in its column. */
export function seenIn(json: string): number {
  switch (json[0]) {
    case 'n':
      return 0;
    case 't':
    case 'f':
      return SEEN.boolean;
    case '"':
      return SEEN.string;
    case '{':
    case '[':
      return SEEN.nested;
    default:
      return seenNumber(json);
  }
}

function seenNumber(json: string): number {
  const isDouble = isExactDouble(json);
  if (isInt64(json)) return isDouble ? SEEN.int64 : SEEN.int64 | SEEN.notDouble;
  return isDouble ? SEEN.double : SEEN.otherNumber;
}

/** @param seen all that its values added */
export function typeOf(seen: number): ColumnType {
  const onlyOf = (kinds: number): boolean => (seen & ~kinds) === 0;
  if (onlyOf(SEEN.string)) return 'TEXT';
  if (onlyOf(SEEN.boolean)) return 'BOOLEAN';
  if (onlyOf(INTEGERS)) return 'INT64';
  if (onlyOf(DOUBLES)) return 'DOUBLE';
  return onlyOf(NUMBERS) ? 'TEXT' : 'JSON';
}

export type Cell = boolean | number | bigint | string;

/** @param json not null, and of a kind that the type came from */
export function toCell(type: ColumnType, json: string): Cell {
  switch (type) {
    case 'BOOLEAN':
      return json === 'true';
    case 'INT64':
      return BigInt(json);
    case 'DOUBLE':
      return Number(json);
    case 'TEXT':
      return json.startsWith('"') ? stringValue(json) : json;
    case 'JSON':
      return json;
  }
}
