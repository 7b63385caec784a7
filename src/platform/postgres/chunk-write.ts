/**
 * Writing outcomes: the fence, the results and the counters in one transaction.
 *
 * Results go in by COPY, at half the cost of any INSERT. COPY writes all rows or fails, so the counters move by what was
 * written. Behind the fence nobody else can have written these items; where one has a result all the same, as when a handler
 * says two things about it, the rows are inserted one by one and the first result stands.
 */
import type { HeldChunk } from '../../domain/batch/run';
import { LOST_ATTEMPTS_MAX } from '../../domain/batch/run';
import { AppError } from '../../domain/errors';
import type { ItemOutcome } from '../../domain/handler/contract';
import { decodeId } from '../../domain/ids';
import { copyField } from './copy-text';
import { RETRY_CLEAR, RETRY_DEFER } from './retry-statements';
import { type Database, type Queryable, statement, type Transaction } from './statement';

/** What a tenant has used is appended beside what was done, so both stand or fall together (docs/adr/0029-usage-deltas.md). */
const COUNT_ITEMS = `insert into usage_deltas (tenant_id, key_id, day, metric, amount)
  select j.tenant_id, j.key_id, (now() at time zone 'UTC')::date, 'items', `;

/**
 * $5 items have ended: where one had the process to itself it was among them, and its mark goes. $6 of them are to be
 * written as succeeded, $7 as failed, and count as used by tenant $8. A written result clears the lost attempts, below the
 * limit at which a chunk is suspected.
 */
export const CHUNK_FENCE = statement<{ epoch: number }>(
  'chunk.fence',
  `with fenced as (
     update chunks set running = $4, clean_items = clean_items + $5,
       marked_index = case when $5 > 0 then null else marked_index end,
       succeeded = succeeded + $6, failed = failed + $7,
       lost_attempts = case when lost_attempts >= ${LOST_ATTEMPTS_MAX} or $6 + $7 = 0 then lost_attempts else 0 end,
       touched_at = now()
     where job_id = $1 and no = $2 and epoch = $3 returning epoch
   ), counted as (
     ${COUNT_ITEMS} $6 + $7 from fenced, jobs j where j.tenant_id = $8 and j.id = $1 and $6 + $7 > 0
   )
   select epoch from fenced`,
);

export const RESULTS_COPY = statement(
  'result.copy',
  `copy results (job_id, index, status, output, error, attempts, duration_ms) from stdin`,
);

/** The first result of an item stands. Counters, and what tenant $5 has used, move by the rows really inserted. */
export const CHUNK_WRITE = statement<{ succeeded: number; failed: number }>(
  'chunk.write',
  `with written as (
     insert into results (job_id, index, status, output, error, attempts, duration_ms)
     select $1, r.index, r.status, r.output, r.error, r.attempts, r.duration_ms
     from json_to_recordset($3::json)
       as r(index int, status text, output json, error json, attempts smallint, duration_ms int)
     on conflict (job_id, index) do nothing returning status
   ), n as (
     select count(*) filter (where status = 'succeeded')::int as succeeded,
            count(*) filter (where status = 'failed')::int as failed from written
   ), counted as (
     ${COUNT_ITEMS} n.succeeded + n.failed
     from n, jobs j where j.tenant_id = $5 and j.id = $1 and n.succeeded + n.failed > 0
   )
   update chunks c set succeeded = c.succeeded + n.succeeded, failed = c.failed + n.failed,
     lost_attempts = case when c.lost_attempts >= $4 or n.succeeded + n.failed = 0 then c.lost_attempts else 0 end
   from n where c.job_id = $1 and c.no = $2 returning c.succeeded, c.failed`,
);

export interface Write {
  held: HeldChunk;
  outcomes: readonly ItemOutcome[];
  running: number;
}

export function superseded(): AppError {
  return new AppError('superseded', 'A newer attempt holds this chunk.');
}

/** @throws AppError `superseded`, or `output_not_storable` where the outcomes themselves are at fault */
export async function writeOutcomes(db: Database, write: Write): Promise<void> {
  try {
    await db.transaction((tx) => copyOutcomes(tx, write));
  } catch (error) {
    if (codeOf(error) !== UNIQUE_VIOLATION) return rethrowDataError(error);
    await db.transaction((tx) => insertOutcomes(tx, write)).catch(rethrowDataError);
  }
}

const UNIQUE_VIOLATION = '23505';
/** Classes 22 (data), 54 (limits) and a failed check: the rows themselves, not the database, are at fault. */
const DATA_ERROR = /^(22|54|23514)/;

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

function rethrowDataError(error: unknown): never {
  if (!DATA_ERROR.test(codeOf(error))) throw error;
  throw new AppError('output_not_storable', 'The output holds what the database cannot store.', {
    cause: error,
  });
}

async function copyOutcomes(tx: Transaction, { held, outcomes, running }: Write): Promise<void> {
  const ended = outcomes.filter((o) => o.status !== 'deferred');
  const failed = ended.filter((o) => o.status === 'failed').length;
  await fence(tx, { held, outcomes, running }, { succeeded: ended.length - failed, failed });
  if (ended.length > 0) {
    const written = await tx.copyIn(RESULTS_COPY, toRows(decodeId('job', held.jobId), ended));
    if (written !== ended.length) throw new Error(`${written} of ${ended.length} results were written`);
  }
  await keepRetries(tx, held, outcomes);
}

/** One by one, as it were: what has a result keeps it. */
export async function insertOutcomes(tx: Queryable, { held, outcomes, running }: Write): Promise<void> {
  await fence(tx, { held, outcomes, running }, { succeeded: 0, failed: 0 });
  const ended = outcomes.filter((o) => o.status !== 'deferred');
  const jobUuid = decodeId('job', held.jobId);
  if (ended.length > 0) {
    const tenantUuid = decodeId('tenant', held.tenantId);
    await tx.run(CHUNK_WRITE, [jobUuid, held.no, toRecords(ended), LOST_ATTEMPTS_MAX, tenantUuid]);
  }
  await keepRetries(tx, held, outcomes);
}

async function fence(
  tx: Queryable,
  { held, outcomes, running }: Write,
  counts: { succeeded: number; failed: number },
): Promise<void> {
  const chunk = [decodeId('job', held.jobId), held.no, held.epoch];
  const [row] = await tx.run(CHUNK_FENCE, [
    ...chunk,
    running,
    outcomes.length,
    counts.succeeded,
    counts.failed,
    decodeId('tenant', held.tenantId),
  ]);
  if (row === undefined) throw superseded();
}

async function keepRetries(tx: Queryable, held: HeldChunk, outcomes: readonly ItemOutcome[]): Promise<void> {
  const jobUuid = decodeId('job', held.jobId);
  const retried = outcomes.filter((o) => o.status !== 'deferred' && o.attempts > 1).map((o) => o.index);
  if (retried.length > 0) await tx.run(RETRY_CLEAR, [jobUuid, retried]);
  const deferred = outcomes.filter((o) => o.status === 'deferred');
  if (deferred.length === 0) return;
  const column = <T>(pick: (o: ItemOutcome) => T): T[] => deferred.map(pick);
  await tx.run(RETRY_DEFER, [
    jobUuid,
    column((o) => o.index),
    column((o) => o.attempts),
    column((o) => o.dueAt),
  ]);
}

function wholeMs(outcome: ItemOutcome): number {
  return Math.max(0, Math.round(outcome.durationMs));
}

/** In COPY's text format; outputs are JSON text already, so nothing is parsed. */
function toRows(jobUuid: string, outcomes: readonly ItemOutcome[]): string {
  let rows = '';
  for (const o of outcomes) {
    const error = copyField(o.error === null ? null : JSON.stringify(o.error));
    rows += `${jobUuid}\t${o.index}\t${o.status}\t${copyField(o.output)}\t${error}\t${o.attempts}\t${wholeMs(o)}\n`;
  }
  return rows;
}

/** One JSON array as text. */
function toRecords(outcomes: readonly ItemOutcome[]): string {
  const records = outcomes.map(
    (o) =>
      `{"index":${o.index},"status":"${o.status}","output":${o.output ?? 'null'},` +
      `"error":${o.error === null ? 'null' : JSON.stringify(o.error)},` +
      `"attempts":${o.attempts},"duration_ms":${wholeMs(o)}}`,
  );
  return `[${records.join(',')}]`;
}
