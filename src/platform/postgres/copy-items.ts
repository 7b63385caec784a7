/** Items on their way into the table by COPY, on a connection inside a transaction. */
import { once } from 'node:events';
import type { PoolClient } from 'pg';
import { type CopyStreamQuery, from as copyFrom } from 'pg-copy-streams';
import { indexOfText } from '../../domain/batch/custom-id';
import type { NewItem } from '../../domain/batch/item';
import { AppError, type ErrorDetail } from '../../domain/errors';
import { copyField } from './copy-text';
import { ItemLines } from './item-lines';
import { statement } from './statement';

export const ITEMS_COPY = statement(
  'item.copy',
  'copy items (job_id, upload, index, custom_id, input) from stdin',
);

export interface CopyTarget {
  jobUuid: string;
  upload: number;
  itemsMax: number;
}

export interface Copied {
  total: number;
  lines: ItemLines;
  /** A `custom_id` that reads as an index, and an item that goes by its index, have both been seen: they may be one. */
  mayClash: boolean;
}

/** Bytes under way to PostgreSQL before the source has to wait. */
const PENDING_BYTES = 256 * 1024;

/**
 * @throws AppError `too_many_items`; `duplicate_custom_id` or `not_storable` with the line; whatever `batches` throws.
 *   The connection is of no further use then.
 */
export async function copyItems(
  client: PoolClient,
  target: CopyTarget,
  batches: AsyncIterable<readonly NewItem[]>,
): Promise<Copied> {
  const rows = new RowWriter(target);
  const copy = new CopyFeed(client);
  const source = batches[Symbol.asyncIterator]();
  try {
    for (let step = await copy.orFailure(source.next()); step.done !== true; ) {
      await copy.write(rows.take(step.value));
      step = await copy.orFailure(source.next());
    }
    await copy.end();
    return { total: rows.total, lines: rows.lines, mayClash: rows.mayClash };
  } catch (error) {
    // Not awaited: a source that waits for its client ends when its owner lets go of it.
    source.return?.().catch(() => undefined);
    throw toItemError(error, rows.lines);
  }
}

/**
 * Every wait ends when PostgreSQL refuses a row, so that this is told at once and not when the client sends its next one.
 * (Not by Promise.race: one promise that waits for a failure all along would collect a reaction per batch.)
 */
class CopyFeed {
  readonly #copy: CopyStreamQuery;
  #failure: Error | undefined;
  #fail: (error: Error) => void = () => undefined;

  constructor(client: PoolClient) {
    this.#copy = client.query(copyFrom(ITEMS_COPY.text, { highWaterMark: PENDING_BYTES }));
    this.#copy.on('error', (error) => {
      this.#failure ??= error;
      this.#fail(error);
    });
  }

  orFailure<T>(wait: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) reject(this.#failure);
      this.#fail = reject;
      wait.then(resolve, reject);
    });
  }

  async write(text: string): Promise<void> {
    if (!this.#copy.write(text)) await this.orFailure(once(this.#copy, 'drain'));
  }

  async end(): Promise<void> {
    this.#copy.end();
    await this.orFailure(once(this.#copy, 'finish'));
  }
}

class RowWriter {
  readonly lines = new ItemLines();
  total = 0;
  #indexLike = false;
  #unnamed = false;

  constructor(readonly target: CopyTarget) {}

  get mayClash(): boolean {
    return this.#indexLike && this.#unnamed;
  }

  take(items: readonly NewItem[]): string {
    const lead = `${this.target.jobUuid}\t${this.target.upload}\t`;
    let text = '';
    for (const item of items) {
      if (this.total >= this.target.itemsMax) throw tooManyItems(this.target.itemsMax, item.line);
      if (item.customId === null) this.#unnamed = true;
      else if (indexOfText(item.customId) !== undefined) this.#indexLike = true;
      text += `${lead}${this.total}\t${copyField(item.customId)}\t${copyField(item.input)}\n`;
      this.lines.add(item.line);
      this.total++;
    }
    return text;
  }
}

function tooManyItems(itemsMax: number, line: number): AppError {
  const detail = `A job has at most ${itemsMax} items.`;
  return new AppError('too_many_items', detail, { errors: [{ line, detail }] });
}

export function duplicate(index: number, lines: ItemLines): AppError {
  const line = lines.lineOf(index);
  const detail = 'the custom_id of this item is that of an earlier one';
  const where = line === undefined ? `Item ${index}` : `Line ${line}`;
  return new AppError('duplicate_custom_id', `${where}: ${detail}.`, { errors: [at(line, detail)] });
}

function at(line: number | undefined, detail: string): ErrorDetail {
  return line === undefined ? { detail } : { line, detail };
}

const UNIQUE_VIOLATION = '23505';
/** Classes 22 (data) and 54 (limits): the row itself, not the database, is at fault. */
const DATA_FAULT = /^(22|54)/;
const CONTEXT = /COPY \w+, line (\d+)/;

/** PostgreSQL names the bad row by its number within the COPY. */
function toItemError(error: unknown, lines: ItemLines): unknown {
  if (typeof error !== 'object' || error === null || !('code' in error && 'where' in error)) return error;
  const row = CONTEXT.exec(String(error.where))?.[1];
  if (row === undefined) return error;
  const index = Number(row) - 1;
  if (error.code === UNIQUE_VIOLATION) return duplicate(index, lines);
  if (!DATA_FAULT.test(String(error.code))) return error;
  const line = lines.lineOf(index);
  const detail = 'holds what the database cannot store';
  const where = line === undefined ? `Item ${index}` : `Line ${line}`;
  return new AppError('not_storable', `${where} ${detail}.`, { cause: error, errors: [at(line, detail)] });
}
