/**
 * The URL of the `http` handler. A value may stand in path and query, where it can't become anything but a segment or an
 * argument, or it may be the whole URL; scheme, host and port are otherwise the template's own.
 */
import type { Placeholder, TemplatePart } from '../../domain/handler/template';
import { asText, type Piece, unfit } from './http-render';

export type UrlTemplate =
  | { kind: 'whole'; placeholder: Placeholder }
  | { kind: 'parts'; pieces: readonly Piece[]; sample: string };

const ORIGIN = /^https?:\/\/[^/?#]+(?=([/?#])|$)/i;
/** The URL parser would drop or turn them. */
const STRAY = /[\u0000-\u0020\u007f\\]/;

/** What a URL template comes to, or what is wrong with it. */
export function toUrlTemplate(parts: readonly TemplatePart[]): UrlTemplate | { fault: string } {
  const [first] = parts;
  if (parts.length === 1 && typeof first === 'object') return { kind: 'whole', placeholder: first };
  const origin = typeof first === 'string' ? ORIGIN.exec(first) : null;
  if (origin === null || (origin[1] === undefined && parts.length > 1)) {
    return {
      fault: 'expected an http or https URL; placeholders stand in its path and query, or are all of it',
    };
  }
  if (parts.some((part) => typeof part === 'string' && STRAY.test(part))) {
    return { fault: 'holds spaces, backslashes or control characters, which have to be percent-encoded' };
  }
  const sample = parts.map((part) => (typeof part === 'string' ? part : 'x')).join('');
  if (!URL.canParse(sample)) return { fault: 'is no URL' };
  if (hasDotSegment(sample)) return { fault: 'has a path with . or .. in it' };
  return { kind: 'parts', pieces: toPieces(parts), sample };
}

function toPieces(parts: readonly TemplatePart[]): Piece[] {
  let inPath = true;
  return parts.map((part) => {
    if (typeof part === 'string') {
      inPath &&= !/[?#]/.test(part);
      return part;
    }
    return asText(part, inPath ? toSegment : encodeURIComponent);
  });
}

/** Nothing at all would make another path of it: `/users/` in place of `/users/7`. */
function toSegment(text: string, { shown }: Placeholder): string {
  if (text === '') throw unfit(shown, 'is an empty text, and stands in the path of the URL');
  return encodeURIComponent(text);
}

/** A segment that the URL parser takes for "here" or "one up", in each spelling. */
export function hasDotSegment(url: string): boolean {
  const path = url.replace(/[?#].*$/s, '').replace(ORIGIN, '');
  return path.split('/').some((segment) => /^(\.|%2e){1,2}$/i.test(segment));
}
