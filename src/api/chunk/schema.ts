/** Lent chunks on the wire. docs/remote-handlers.md tells how these are used. */
import { z } from 'zod';
import { LOAN_STOPS } from '../../domain/batch/loan';
import type { ErrorCode } from '../../domain/errors';
import { idText, intQuery, named } from '../schema';
import { EPOCH_HEADER, RUNNING_HEADER } from './grant';

export const TOKEN_ERRORS = [
  'invalid_chunk_token',
  'chunk_token_expired',
  'dependency_unavailable',
] as const satisfies readonly ErrorCode[];

export const epochHeaderSpec = { [EPOCH_HEADER]: '`epoch` of the claim' };
export const heldHeadersSpec = {
  ...epochHeaderSpec,
  [RUNNING_HEADER]: 'Items in flight in the worker right now; for the counts of the job',
};

const stopSchema = named('LoanStop', z.enum(LOAN_STOPS))
  .nullable()
  .describe('Why no further item may begin; null: nothing is against it');

const concurrencySchema = z.int().min(0).describe('Items that may be in flight at once in this chunk');

export const claimSchema = named(
  'ChunkClaim',
  z.object({
    stop: stopSchema,
    epoch: z.int().nullable().describe(`Proof of the turn, for ${EPOCH_HEADER}; null with a stop`),
    work: z
      .object({
        tenant_id: idText('tenant'),
        job_id: idText('job'),
        chunk: z.int(),
        handler: z.string(),
        params: z.unknown(),
        item_timeout_ms: z.int(),
        retry: z
          .object({
            max_attempts: z.int(),
            initial_interval_ms: z.int(),
            backoff_coefficient: z.number(),
            max_interval_ms: z.int(),
          })
          .describe('For information: the API decides about retries'),
        concurrency: concurrencySchema,
        isolated: z
          .boolean()
          .describe('Run one item after the other, and nothing else beside it in the process'),
        paced: z.boolean().describe('The job has a `max_rps`: ask for no more items than can begin at once'),
      })
      .nullable(),
  }),
);

const ITEMS_MAX = 500;
export const ITEMS_DEFAULT = 200;

export const itemsQuery = z.strictObject({
  after: intQuery({ min: 0, max: 2_147_483_647 })
    .optional()
    .describe('Index of the last item that was handed out; without it, from the first that has no result'),
  limit: intQuery({ min: 1, max: ITEMS_MAX })
    .optional()
    .describe(`Items at most, default ${ITEMS_DEFAULT}; there may be fewer`),
});

export const loanItemSchema = named(
  'LoanItem',
  z.object({
    index: z.int().min(0),
    custom_id: z.string(),
    attempt: z.int().min(1).describe('Which attempt at the item this is'),
    idempotency_key: z.string().describe('The same at each attempt of this item'),
    input: z.unknown(),
  }),
);

export const resultsAnswerSchema = named(
  'ResultsAccepted',
  z.object({
    accepted: z.int().describe('Items that the lines were about, those whose result was known included'),
    stop: stopSchema,
    concurrency: concurrencySchema,
  }),
);
