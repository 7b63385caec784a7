/** Opaque keyset cursors: the position, and which list and filter it belongs to. */
import { z } from 'zod';
import { AppError } from '../domain/errors';

const cursorSchema = z.tuple([z.string(), z.union([z.string(), z.number()])]);

/**
 * @param list names the list with its filters, e.g. `jobs?status=running`
 * @param position sort key of the page's last entry
 */
export function encodeCursor(list: string, position: string | number): string {
  return Buffer.from(JSON.stringify([list, position])).toString('base64url');
}

/** @throws AppError `malformed_cursor` where the cursor is not one of this very list */
export function decodeCursor(list: string, cursor: string): string | number {
  const parsed = cursorSchema.safeParse(parseJson(Buffer.from(cursor, 'base64url').toString()));
  if (!parsed.success || parsed.data[0] !== list) {
    throw new AppError('malformed_cursor', 'This cursor is not one of this list with these filters.');
  }
  return parsed.data[1];
}

/**
 * One page out of `limit + 1` rows.
 * @param positionOf sort key of an entry
 */
export function toPage<T>(
  list: string,
  rows: readonly T[],
  page: { limit: number; positionOf(row: T): string | number },
): { data: T[]; next_cursor: string | null } {
  const data = rows.slice(0, page.limit);
  const last = data.at(-1);
  const more = rows.length > page.limit && last !== undefined;
  return { data, next_cursor: more ? encodeCursor(list, page.positionOf(last)) : null };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
