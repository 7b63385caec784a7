import { ERROR_MESSAGE_MAX } from './contract';

/** A text as a result may hold it: at most `ERROR_MESSAGE_MAX` UTF-16 code units, well-formed, storable. */
export function toErrorMessage(text: string): string {
  const cut = text.length > ERROR_MESSAGE_MAX ? `${text.slice(0, ERROR_MESSAGE_MAX - 1)}…` : text;
  return cut.toWellFormed().replaceAll('\u0000', '\ufffd');
}
