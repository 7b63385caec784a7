/** What a caller may name an item. */
import { unstorableReason } from './storable';

export const CUSTOM_ID_CHARS_MAX = 255;
const INDEX_TEXT = /^(?:0|[1-9]\d{0,9})$/;
const INDEX_MAX = 2_147_483_647;

/** What is wrong with a `custom_id`; undefined where it is fine. */
export function customIdFault(value: unknown): string | undefined {
  if (typeof value !== 'string') return 'custom_id must be a string';
  if (value === '') return 'custom_id must not be empty';
  if (value.length > CUSTOM_ID_CHARS_MAX && [...value].length > CUSTOM_ID_CHARS_MAX) {
    return `custom_id must have at most ${CUSTOM_ID_CHARS_MAX} characters`;
  }
  const reason = unstorableReason(JSON.stringify(value));
  return reason === undefined ? undefined : `custom_id holds ${reason}`;
}

/**
 * The index that `customId` reads as, or undefined. An item without a `custom_id` goes by its index as text, so that an
 * explicit '7' clashes with the item 7 that has none.
 */
export function indexOfText(customId: string): number | undefined {
  if (!INDEX_TEXT.test(customId)) return undefined;
  const index = Number(customId);
  return index <= INDEX_MAX ? index : undefined;
}
