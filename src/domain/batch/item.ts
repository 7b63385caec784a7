/** Items and their results on their way in and out; JSON parts are exact text, so that what came in is what goes out. */
import type { ResultStatus } from './job';

/** 1 MB: an item, or a line of an upload. */
export const ITEM_BYTES_MAX = 1_048_576;

export interface NewItem {
  /** null: the index as text */
  customId: string | null;
  /** exact JSON text */
  input: string;
  /** physical line from 1, for errors */
  line: number;
}

export type ItemStatus = 'pending' | ResultStatus;

export interface ItemRow {
  index: number;
  custom_id: string;
  status: ItemStatus;
  /** 0 until there is a result */
  attempts: number;
  /** JSON text of an `ItemError`; null where there is none */
  error: string | null;
  input: string;
}
