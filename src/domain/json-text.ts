/** Rules over JSON as text. */

/** As a line of NDJSON: line breaks stand between tokens only, so a blank does as well. */
export function onOneLine(json: string): string {
  return json.includes('\n') || json.includes('\r') ? json.replace(/[\r\n]+/g, ' ') : json;
}

/**
 * Deeper JSON than this is refused: recursive code, PostgreSQL's json parser among it, ends in a stack overflow some
 * thousands of levels on.
 */
export const JSON_DEPTH_MAX = 512;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Whether well-formed JSON text nests deeper than `max` levels; brackets within strings don't count. */
export function isDeeperThan(text: string, max: number): boolean {
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (quoted) {
      if (code === BACKSLASH) i++;
      else if (code === QUOTE) quoted = false;
    } else if (code === QUOTE) quoted = true;
    else if (code === 0x5b || code === 0x7b) {
      depth++;
      if (depth > max) return true;
    } else if (code === 0x5d || code === 0x7d) depth--;
  }
  return false;
}
