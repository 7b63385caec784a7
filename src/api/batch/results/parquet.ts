/** Results as Parquet: types come from all outputs, so the lines are read twice. */
import { AppError } from '../../../domain/errors';
import { createTurnGate, type TurnGate } from '../../turn-gate';
import type { ParquetFile, ParquetFiles } from './ports';

export interface ParquetDeps {
  parquet: ParquetFiles;
  /** each file in the making has a thread and the rows of a row group */
  parquetGate: TurnGate;
}

/** How many files this process makes at once. Refuses with `too_many_downloads`. */
export function createParquetGate(limits: { perTenant: number; total: number }): TurnGate {
  return createTurnGate(
    limits,
    () =>
      new AppError('too_many_downloads', 'Too many Parquet files are made at once; wait for one to end.', {
        retryAfterSeconds: 5,
      }),
  );
}

/** With which every Parquet file begins. */
const MAGIC = new TextEncoder().encode('PAR1');

export interface ParquetWish {
  tenantId: string;
  /** the lines from the beginning, each time it is called */
  pages(): AsyncIterable<string>;
}

/** @throws AppError `too_many_downloads`, before the first chunk */
export async function* parquetFile(
  deps: ParquetDeps,
  wish: ParquetWish,
): AsyncGenerator<Uint8Array, void, void> {
  const leave = deps.parquetGate.enter(wish.tenantId);
  try {
    const file = deps.parquet.open();
    try {
      yield* chunks(file, wish);
    } finally {
      await file.close();
    }
  } finally {
    leave();
  }
}

async function* chunks(file: ParquetFile, { pages }: ParquetWish): AsyncGenerator<Uint8Array, void, void> {
  let begun = false;
  for await (const lines of pages()) {
    await file.observe(lines);
    // Once something could be read: the answer begins, and no proxy on the way waits for its headers during the first pass.
    if (!begun) yield MAGIC;
    begun = true;
  }
  let skip = begun ? MAGIC.length : 0;
  const rest = (bytes: Uint8Array): Uint8Array => {
    const kept = bytes.subarray(skip);
    skip -= bytes.length - kept.length;
    return kept;
  };
  for await (const lines of pages()) {
    const bytes = rest(await file.write(lines));
    if (bytes.length > 0) yield bytes;
  }
  yield rest(await file.finish());
}
