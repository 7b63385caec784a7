/** From a JSONata result to exact JSON text. */

export class NotJson extends Error {
  override readonly name = 'NotJson';
}

export class TooLarge extends Error {
  override readonly name = 'TooLarge';
}

/**
 * JSON text of `value`; undefined is null, as is an undefined element of an array.
 * The walk before `JSON.stringify` finds functions (JSON would leave them out without a word) and ends early at values
 * whose text would be far beyond the limit, such as one array shared a million times.
 * @throws NotJson for functions, numbers beyond JSON and circles; TooLarge where the text is sure to be longer than `lengthMax`
 */
export function toExactJson(value: unknown, lengthMax: number): string {
  if (value === undefined || value === null) return 'null';
  measure(value, lengthMax);
  return JSON.stringify(value) ?? 'null';
}

/** The least length that the text of `value` can have. */
function measure(root: unknown, lengthMax: number): void {
  let size = 0;
  const path = new Set<object>();
  const walk = (value: unknown): void => {
    size += leastLength(value);
    if (size > lengthMax) throw new TooLarge();
    if (typeof value !== 'object' || value === null) return;
    if (path.has(value)) throw new NotJson('the result contains itself');
    path.add(value);
    if (Array.isArray(value)) {
      for (let i = 0; i < value.length; i++) walk(value[i]);
    } else {
      const fields = value as Record<string, unknown>;
      if (fields._jsonata_lambda === true || fields._jsonata_function === true)
        throw new NotJson(HAS_FUNCTION);
      for (const key of Object.keys(fields)) {
        size += key.length + 4;
        walk(fields[key]);
      }
    }
    path.delete(value);
  };
  walk(root);
}

const HAS_FUNCTION = 'the result is or holds a function, which JSON cannot hold';

function leastLength(value: unknown): number {
  switch (typeof value) {
    case 'string':
      return value.length + 2;
    case 'number':
      if (!Number.isFinite(value))
        throw new NotJson(`the result is or holds ${value}, which JSON cannot hold`);
      return 1;
    case 'function':
      throw new NotJson(HAS_FUNCTION);
    case 'symbol':
    case 'bigint':
      throw new NotJson(`the result is or holds a ${typeof value}, which JSON cannot hold`);
    default:
      return 1;
  }
}
