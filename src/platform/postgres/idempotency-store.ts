/**
 * Idempotency keys. A row goes from claimed (no status, locked for a minute) to answered (status set, kept for a day), or away
 * again when the request failed before it had an effect. A claim whose minute is over is dead and may be taken over; its token
 * is the time its lock ends, which every take-over moves on, so what the dead one still tries to store finds no row.
 */
import { decodeId } from '../../domain/ids';
import { type Queryable, statement } from './statement';

export const IDEMPOTENCY_CLAIM = statement<{ token: string }>(
  'idempotency.claim',
  `insert into idempotency_keys as i (tenant_id, key, route, fingerprint, locked_until)
   values ($1, $2, $3, $4, clock_timestamp() + interval '1 minute')
   on conflict (tenant_id, key) do update set route = excluded.route, fingerprint = excluded.fingerprint, status = null,
     headers = null, body = null, locked_until = excluded.locked_until, created_at = now()
   where (i.status is null and i.locked_until < clock_timestamp()) or i.created_at < now() - interval '24 hours'
   returning locked_until::text as token`,
);

interface IdempotencyRow {
  fingerprint: Buffer;
  status: number | null;
  headers: Record<string, string> | null;
  body: Buffer | null;
}

export const IDEMPOTENCY_FIND = statement<IdempotencyRow>(
  'idempotency.find',
  'select fingerprint, status, headers, body from idempotency_keys where tenant_id = $1 and key = $2',
);

export const IDEMPOTENCY_COMPLETE = statement<{ key: string }>(
  'idempotency.complete',
  `update idempotency_keys set status = $4, headers = $5, body = $6
   where tenant_id = $1 and key = $2 and locked_until = $3::timestamptz and status is null returning key`,
);

export const IDEMPOTENCY_RELEASE = statement(
  'idempotency.release',
  `delete from idempotency_keys
   where tenant_id = $1 and key = $2 and locked_until = $3::timestamptz and status is null`,
);

export const IDEMPOTENCY_PRUNE = statement<{ key: string }>(
  'idempotency.prune',
  `delete from idempotency_keys where (tenant_id, key) in
     (select tenant_id, key from idempotency_keys where created_at < now() - interval '24 hours' order by created_at limit $1)
   returning key`,
);

interface Claim {
  tenantId: string;
  key: string;
  token: string;
}

interface Answer {
  status: number;
  headers: Readonly<Record<string, string>>;
  body: Uint8Array | null;
}

type Outcome =
  | { kind: 'claimed'; claim: Claim }
  | { kind: 'answered'; fingerprint: Uint8Array; answer: Answer }
  | { kind: 'running'; fingerprint: Uint8Array };

interface ClaimRequest {
  tenantId: string;
  key: string;
  route: string;
  fingerprint: Uint8Array;
}

export function createIdempotencyStore(db: Queryable) {
  return {
    claim: (request: ClaimRequest): Promise<Outcome> => claim(db, request),

    complete: async (held: Claim, answer: Answer): Promise<boolean> => {
      const rows = await db.run(IDEMPOTENCY_COMPLETE, [
        ...claimValues(held),
        answer.status,
        JSON.stringify(answer.headers),
        answer.body,
      ]);
      return rows.length === 1;
    },

    release: async (held: Claim): Promise<void> => {
      await db.run(IDEMPOTENCY_RELEASE, claimValues(held));
    },

    /** Drops answers older than a day, at most `limit`; says how many. */
    prune: async (limit: number): Promise<number> => (await db.run(IDEMPOTENCY_PRUNE, [limit])).length,
  };
}

function claimValues(held: Claim): unknown[] {
  return [decodeId('tenant', held.tenantId), held.key, held.token];
}

async function claim(db: Queryable, request: ClaimRequest): Promise<Outcome> {
  const { tenantId, key } = request;
  const tenant = decodeId('tenant', tenantId);
  for (;;) {
    const [claimed] = await db.run(IDEMPOTENCY_CLAIM, [tenant, key, request.route, request.fingerprint]);
    if (claimed) return { kind: 'claimed', claim: { tenantId, key, token: claimed.token } };
    const [row] = await db.run(IDEMPOTENCY_FIND, [tenant, key]);
    // Released between the two statements: free again.
    if (row) return toOutcome(row);
  }
}

function toOutcome(row: IdempotencyRow): Outcome {
  if (row.status === null) return { kind: 'running', fingerprint: row.fingerprint };
  const answer = { status: row.status, headers: row.headers ?? {}, body: row.body };
  return { kind: 'answered', fingerprint: row.fingerprint, answer };
}
