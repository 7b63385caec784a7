/** Templates made ready to be filled with items: fixed texts and placeholders in turn. */
import {
  type Placeholder,
  type TemplateItem,
  type TemplatePart,
  textOf,
  valueOf,
} from '../../domain/handler/template';
import type { Json } from '../../domain/batch/job';
import { parseTemplate } from '../../domain/handler/template';
import { ItemFailure } from './failure';

/** @throws ItemFailure `template_failed` */
export type Piece = string | ((item: TemplateItem) => string);

/** @throws ItemFailure `template_failed`, also where the whole is longer than `lengthMax` (UTF-16 code units) */
export function render(pieces: readonly Piece[], item: TemplateItem, lengthMax: number): string {
  let text = '';
  for (const piece of pieces) {
    text += typeof piece === 'string' ? piece : piece(item);
    if (text.length > lengthMax) {
      throw templateFailed(`With this item a part of the request is longer than ${lengthMax} characters.`);
    }
  }
  return text;
}

/** A value within a text. */
export function asText(
  placeholder: Placeholder,
  encode: (text: string, placeholder: Placeholder) => string = (text) => text,
): Piece {
  return (item) => {
    const text = textOf(jsonOf(placeholder, item));
    if (text === undefined) throw unfit(placeholder.shown, 'is null, which has no text');
    return encode(text, placeholder);
  };
}

export function jsonOf(placeholder: Placeholder, item: TemplateItem): string {
  const json = valueOf(placeholder, item);
  if (json === undefined) throw unfit(placeholder.shown, 'is missing');
  return json;
}

export function textPieces(parts: readonly TemplatePart[]): Piece[] {
  return parts.map((part) => (typeof part === 'string' ? part : asText(part)));
}

/**
 * JSON text of a template: a string that is one placeholder and nothing else becomes the value itself, whatever its type, digit
 * by digit; within longer strings values are text.
 */
export function jsonPieces(template: Json): Piece[] {
  if (typeof template === 'string') return stringPieces(template);
  if (typeof template !== 'object' || template === null) return [JSON.stringify(template)];
  if (Array.isArray(template)) {
    return ['[', ...template.flatMap((entry, i) => [...comma(i), ...jsonPieces(entry)]), ']'];
  }
  const fields = Object.entries(template).flatMap(([name, value], i) => [
    ...comma(i),
    `${JSON.stringify(name)}:`,
    ...jsonPieces(value),
  ]);
  return ['{', ...fields, '}'];
}

function comma(i: number): string[] {
  return i === 0 ? [] : [','];
}

function stringPieces(template: string): Piece[] {
  const parts = partsOf(template);
  const [only] = parts;
  if (parts.length === 1 && typeof only === 'object') return [(item) => jsonOf(only, item)];
  const inner = (text: string): string => JSON.stringify(text).slice(1, -1);
  return ['"', ...parts.map((part) => (typeof part === 'string' ? inner(part) : asText(part, inner))), '"'];
}

/** Of a template that was checked when the job was created. */
export function partsOf(template: string): TemplatePart[] {
  const parsed = parseTemplate(template);
  if ('fault' in parsed) throw new TypeError(parsed.fault);
  return parsed.parts;
}

/** @param shown the placeholder as it stands in the template */
export function unfit(shown: string, why: string): ItemFailure {
  return templateFailed(`For this item ${shown} ${why}.`);
}

/** The item would make the same request again. */
export function templateFailed(message: string): ItemFailure {
  return new ItemFailure('template_failed', message, { retryable: false });
}
