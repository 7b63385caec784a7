/**
 * Templates over an item: text with placeholders `{{input}}`, `{{input.a["b c"][0]}}`, `{{custom_id}}`, `{{index}}`,
 * `{{idempotency_key}}`. `{{"text"}}` is that text, for a `{{` that is meant as such.
 */
import { jsonAt, onOneLine } from '../json-slice';

export interface TemplateItem {
  index: number;
  /** null: the index as text */
  customId: string | null;
  /** exact JSON text */
  inputText: string;
  idempotencyKey: string;
}

export interface Placeholder {
  root: 'input' | 'custom_id' | 'index' | 'idempotency_key';
  /** into the input */
  path: readonly (string | number)[];
  /** as it was written */
  shown: string;
}

export type TemplatePart = string | Placeholder;

const STRING = /"(?:[^"\\]|\\.){0,200}"/u;
const STEP = new RegExp(
  String.raw`\.([\p{L}_$][\p{L}\p{N}_$-]{0,199})|\[\s*(?:(\d{1,9})|(${STRING.source}))\s*\]`,
  'yu',
);
const ROOT = new RegExp(
  String.raw`\{\{\s*(?:(input|custom_id|index|idempotency_key)|(${STRING.source}))`,
  'yu',
);
const END = /\s*\}\}/y;
const SHOWN_MAX = 60;

/** Text and placeholders in turn; or what is wrong with it. */
export function parseTemplate(text: string): { parts: TemplatePart[] } | { fault: string } {
  const parts: TemplatePart[] = [];
  let done = 0;
  for (let at = text.indexOf('{{'); at >= 0; at = text.indexOf('{{', done)) {
    const placeholder = readPlaceholder(text, at);
    if (placeholder === undefined) {
      return { fault: `${text.slice(at, at + SHOWN_MAX)} is no placeholder such as {{input.name}}` };
    }
    parts.push(text.slice(done, at), placeholder.part);
    done = placeholder.end;
  }
  parts.push(text.slice(done));
  return { parts: joinTexts(parts) };
}

function joinTexts(parts: readonly TemplatePart[]): TemplatePart[] {
  const joined: TemplatePart[] = [];
  for (const part of parts) {
    const before = joined.at(-1);
    if (part === '') continue;
    if (typeof part === 'string' && typeof before === 'string') joined[joined.length - 1] = before + part;
    else joined.push(part);
  }
  return joined;
}

function readPlaceholder(text: string, start: number): { part: TemplatePart; end: number } | undefined {
  const root = match(ROOT, text, start);
  if (root === undefined) return undefined;
  const path: (string | number)[] = [];
  let at = root.end;
  if (root.groups[0] === 'input') {
    for (let step = match(STEP, text, at); step !== undefined; step = match(STEP, text, at)) {
      const [name, index, quoted] = step.groups;
      if (name !== undefined) path.push(name);
      else if (index !== undefined) path.push(Number(index));
      else path.push(parseString(quoted) ?? '');
      at = step.end;
    }
  }
  const end = match(END, text, at)?.end;
  if (end === undefined) return undefined;
  const [name, quoted] = root.groups;
  if (name === undefined) {
    const part = parseString(quoted);
    return part === undefined ? undefined : { part, end };
  }
  return { part: { root: name as Placeholder['root'], path, shown: text.slice(start, end) }, end };
}

function match(
  pattern: RegExp,
  text: string,
  at: number,
): { groups: (string | undefined)[]; end: number } | undefined {
  pattern.lastIndex = at;
  const found = pattern.exec(text);
  return found === null ? undefined : { groups: found.slice(1), end: pattern.lastIndex };
}

function parseString(json: string | undefined): string | undefined {
  try {
    return JSON.parse(json ?? '') as string;
  } catch {
    return undefined;
  }
}

/** Exact JSON text of what a placeholder stands for; undefined where the input has nothing there. */
export function valueOf({ root, path }: Placeholder, item: TemplateItem): string | undefined {
  switch (root) {
    case 'input':
      return jsonAt(item.inputText, path);
    case 'custom_id':
      return JSON.stringify(item.customId ?? String(item.index));
    case 'index':
      return String(item.index);
    case 'idempotency_key':
      return JSON.stringify(item.idempotencyKey);
  }
}

/** A value within a text: a string as it is, anything else as JSON. Null has no text. */
export function textOf(json: string): string | undefined {
  if (json.startsWith('"')) return JSON.parse(json) as string;
  return json === 'null' ? undefined : onOneLine(json);
}
