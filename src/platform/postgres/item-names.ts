/** The names of some items of a job. */
import { decodeId } from '../../domain/ids';
import { type Queryable, statement } from './statement';

/** Of those that were given one. */
export const ITEM_NAMES = statement<{ index: number; custom_id: string }>(
  'item.names',
  `select i.index, i.custom_id from jobs j join items i on i.job_id = j.id and i.upload = j.upload
   where j.tenant_id = $1 and j.id = $2 and i.job_id = $2 and i.index = any ($3) and i.custom_id is not null`,
);

/** By index; an item that was given no name is left out. */
export async function readItemNames(
  db: Queryable,
  { tenantId, jobId }: { tenantId: string; jobId: string },
  indexes: readonly number[],
): Promise<Map<number, string>> {
  const rows = await db.run(ITEM_NAMES, [decodeId('tenant', tenantId), decodeId('job', jobId), indexes]);
  return new Map(rows.map(({ index, custom_id }) => [index, custom_id]));
}
