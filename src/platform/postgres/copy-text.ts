/** COPY's text format (https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.2). */
const SPECIAL = /[\\\t\n\r]/;
const ALL_SPECIAL = /[\\\t\n\r]/g;
const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };
const NULL = '\\N';

/** One field, without the tab or newline that ends it. */
export function copyField(value: string | number | null): string {
  if (value === null) return NULL;
  if (typeof value === 'number') return String(value);
  // Looking is much cheaper than replacing, and almost no text has any.
  return SPECIAL.test(value) ? value.replace(ALL_SPECIAL, (char) => ESCAPES[char] as string) : value;
}
