/** `GET /v1/jobs/{id}/items`: what came in, with its exact text. */
import { z } from 'zod';
import type { ItemRow } from '../../domain/batch/item';
import { AppError } from '../../domain/errors';
import { decodeCursor, encodeCursor } from '../paging';
import { defineRoute, type Route } from '../route';
import { idParam, PAGE_LIMIT_DEFAULT, pageSchema } from '../schema';
import type { ItemStore, JobStore } from './ports';
import { itemListQuery, itemSchema } from './schema';

export interface ListItemsDeps {
  jobs: Pick<JobStore, 'find'>;
  items: Pick<ItemStore, 'page'>;
}

export function listItemsRoute(deps: ListItemsDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/jobs/{id}/items',
    operationId: 'listJobItems',
    summary: "List a job's items",
    description:
      'In the order in which they came. Until the job ends, an item without a result is `pending`; with one it shows its ' +
      '`attempts` and, where it failed, the `error`. A page of large items has fewer than `limit`.',
    tags: ['jobs'],
    scopes: ['jobs:read'],
    params: z.strictObject({ id: idParam('job') }),
    query: itemListQuery,
    responses: { 200: { description: 'A page of items', schema: pageSchema(itemSchema) } },
    errors: ['not_found', 'malformed_cursor'],
    handler: async ({ params, query, principal }) => {
      const ref = { tenantId: principal.tenantId, jobId: params.id };
      const { status, custom_id: customId, cursor, limit = PAGE_LIMIT_DEFAULT } = query;
      const list = `items?${JSON.stringify([params.id, status, customId])}`;
      const from = cursor === undefined ? 0 : indexIn(decodeCursor(list, cursor));
      await deps.jobs.find(ref);
      const { rows, next } = await deps.items.page({ ...ref, status, customId, from, limit });
      const nextCursor = next === null ? null : encodeCursor(list, next);
      return { kind: 'json', status: 200, jsonText: toPageText(rows, nextCursor) };
    },
  });
}

function indexIn(position: string | number): number {
  if (typeof position === 'number' && Number.isInteger(position) && position >= 0 && position < 2 ** 31) {
    return position;
  }
  throw new AppError('malformed_cursor', 'This cursor is not one of this list.');
}

/** By hand: the inputs are JSON text already, and a detour over values would cost their numbers digits. */
function toPageText(rows: readonly ItemRow[], nextCursor: string | null): string {
  const items = rows.map(
    ({ index, custom_id, status, attempts, error, input }) =>
      `{"index":${index},"custom_id":${JSON.stringify(custom_id)},"status":"${status}","attempts":${attempts},` +
      `"error":${error},"input":${input}}`,
  );
  return `{"data":[${items.join(',')}],"next_cursor":${JSON.stringify(nextCursor)}}`;
}
