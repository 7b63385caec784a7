/**
 * Cuts the text of a JSON array, as it arrives, into the texts of its elements; whether an element is well-formed is for
 * JSON.parse to say, which is faster than any tokenizer here.
 *
 *   before --[--> first --value--> inside --,--> value --value--> inside --]--> closed
 *   before --anything else--> no_array; first --]--> closed
 */
import { exceedsBytes, isBlank, itemTooLarge, malformed, trimBlanks } from './limits';

export interface Element {
  text: string;
  /** physical line on which it begins, from 1 */
  line: number;
}

export type SplitEnd =
  | { kind: 'closed' }
  | { kind: 'empty' }
  | { kind: 'unclosed'; line: number }
  | { kind: 'no_array'; element: Element };

type Place = 'before' | 'first' | 'value' | 'inside' | 'closed' | 'no_array';

const NEWLINE = 10;
const QUOTE = 34;
const COMMA = 44;
const OPEN_ARRAY = 91;
const BACKSLASH = 92;
const CLOSE_ARRAY = 93;
const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;

export class ElementSplitter {
  #place: Place = 'before';
  #line = 1;
  /** line of the last character that is not blank */
  #lastLine = 1;
  /** what earlier texts brought of the element under way */
  #held = '';
  #elementLine = 1;
  #depth = 0;
  #inString = false;
  #escaped = false;

  constructor(readonly bytesMax: number) {}

  /** @throws AppError `malformed_json` or `item_too_large`, or what `onElement` throws */
  feed(text: string, onElement: (element: Element) => void): void {
    let at = 0;
    while (at < text.length) {
      if (this.#place === 'inside') at = this.#inside(text, at, onElement);
      else if (this.#place === 'no_array') at = this.#hold(text, at);
      else at = this.#between(text, at);
    }
  }

  end(): SplitEnd {
    if (this.#place === 'closed') return { kind: 'closed' };
    if (this.#place === 'before') return { kind: 'empty' };
    if (this.#place !== 'no_array') return { kind: 'unclosed', line: this.#lastLine };
    return { kind: 'no_array', element: { text: trimBlanks(this.#held), line: this.#elementLine } };
  }

  /** Outside of elements; ends where an element begins, which is left for the next step. */
  #between(text: string, from: number): number {
    for (let at = from; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === NEWLINE) this.#line++;
      if (isBlank(code)) continue;
      this.#lastLine = this.#line;
      if (this.#begins(code)) return at;
    }
    return text.length;
  }

  /** Takes a sign between elements; true where a value begins. */
  #begins(code: number): boolean {
    if (this.#place === 'closed')
      throw malformed('malformed_json', this.#line, 'text after the end of the array');
    if (this.#place === 'before' && code === OPEN_ARRAY) {
      this.#place = 'first';
      return false;
    }
    if (this.#place === 'first' && code === CLOSE_ARRAY) {
      this.#place = 'closed';
      return false;
    }
    if (code === COMMA || code === CLOSE_ARRAY) {
      throw malformed('malformed_json', this.#line, 'a value is missing');
    }
    this.#place = this.#place === 'before' ? 'no_array' : 'inside';
    this.#elementLine = this.#line;
    return true;
  }

  #inside(text: string, from: number, onElement: (element: Element) => void): number {
    for (let at = from; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === NEWLINE) this.#line++;
      else if (this.#inString) this.#passString(code);
      else if (this.#depth === 0 && (code === COMMA || code === CLOSE_ARRAY)) {
        this.#finish(text.slice(from, at), onElement);
        this.#place = code === COMMA ? 'value' : 'closed';
        return at + 1;
      } else this.#passSign(code);
    }
    return this.#hold(text, from);
  }

  #passSign(code: number): void {
    if (code === QUOTE) this.#inString = true;
    else if (code === OPEN_ARRAY || code === OPEN_OBJECT) this.#depth++;
    else if ((code === CLOSE_ARRAY || code === CLOSE_OBJECT) && this.#depth > 0) this.#depth--;
  }

  #passString(code: number): void {
    if (this.#escaped) this.#escaped = false;
    else if (code === BACKSLASH) this.#escaped = true;
    else if (code === QUOTE) this.#inString = false;
  }

  #finish(tail: string, onElement: (element: Element) => void): void {
    const text = trimBlanks(this.#held + tail);
    this.#held = '';
    this.#lastLine = this.#line;
    if (exceedsBytes(text, this.bytesMax)) throw itemTooLarge(this.#elementLine, this.bytesMax);
    onElement({ text, line: this.#elementLine });
  }

  #hold(text: string, from: number): number {
    this.#held += text.slice(from);
    if (exceedsBytes(this.#held, this.bytesMax)) throw itemTooLarge(this.#elementLine, this.bytesMax);
    let newlinesAfter = 0;
    let last = text.length - 1;
    for (; last >= from && isBlank(text.charCodeAt(last)); last--) {
      if (text.charCodeAt(last) === NEWLINE) newlinesAfter++;
    }
    if (last >= from) this.#lastLine = this.#line - newlinesAfter;
    return text.length;
  }
}
