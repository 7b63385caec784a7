/** Parts of JSON text as they stand there: numbers keep the digits that a double would lose. */

const SPACE = /[\t\n\r ]/;

/**
 * The exact text of the value at `path` in well-formed JSON text, or undefined where there is none. Of a name that occurs twice
 * the last one counts, as it does for `JSON.parse`.
 */
export function jsonAt(text: string, path: readonly (string | number)[]): string | undefined {
  let at = skipSpace(text, 0);
  for (const step of path) {
    const next = typeof step === 'number' ? findElement(text, at, step) : findMember(text, at, step);
    if (next === undefined) return undefined;
    at = next;
  }
  return text.slice(at, endOfValue(text, at));
}

/** Well-formed JSON text without the line breaks that may stand between its tokens. */
export function onOneLine(json: string): string {
  return /[\r\n]/.test(json) ? json.replace(/[\t ]*[\r\n][\t\r\n ]*/g, '') : json;
}

function findElement(text: string, start: number, index: number): number | undefined {
  if (text[start] !== '[') return undefined;
  let at = skipSpace(text, start + 1);
  if (text[at] === ']') return undefined;
  for (let i = 0; i < index; i++) {
    at = skipSpace(text, endOfValue(text, at));
    if (text[at] !== ',') return undefined;
    at = skipSpace(text, at + 1);
  }
  return at;
}

function findMember(text: string, start: number, name: string): number | undefined {
  if (text[start] !== '{') return undefined;
  let found: number | undefined;
  let at = skipSpace(text, start + 1);
  while (text[at] === '"') {
    const nameEnd = endOfString(text, at);
    const valueAt = skipSpace(text, skipSpace(text, nameEnd) + 1);
    if (nameIn(text, at, nameEnd) === name) found = valueAt;
    at = skipSpace(text, endOfValue(text, valueAt));
    if (text[at] === ',') at = skipSpace(text, at + 1);
  }
  return found;
}

function nameIn(text: string, start: number, end: number): string {
  const plain = text.slice(start + 1, end - 1);
  return plain.includes('\\') ? (JSON.parse(text.slice(start, end)) as string) : plain;
}

function skipSpace(text: string, start: number): number {
  let at = start;
  while (SPACE.test(text.charAt(at))) at++;
  return at;
}

/** Behind the value that begins at `start`. */
function endOfValue(text: string, start: number): number {
  const first = text[start];
  if (first === '"') return endOfString(text, start);
  if (first === '{' || first === '[') return endOfNest(text, start);
  let at = start;
  while (at < text.length && !/[\t\n\r ,\]}]/.test(text.charAt(at))) at++;
  return at;
}

/** Behind the bracket that closes the one at `start`. */
function endOfNest(text: string, start: number): number {
  let depth = 0;
  let at = start;
  do {
    const char = text[at];
    if (char === '{' || char === '[') depth++;
    else if (char === '}' || char === ']') depth--;
    at = char === '"' ? endOfString(text, at) : at + 1;
  } while (depth > 0 && at < text.length);
  return at;
}

/** Behind the quote that ends the string which begins at `start`. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const char = text[at];
    if (char === '\\') at++;
    else if (char === '"') return at + 1;
  }
  return text.length;
}
