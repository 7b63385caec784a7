/** `POST /v1/stream-tickets`. */
import { AppError, type ErrorDetail, isAppError } from '../../domain/errors';
import { type Principal, type Scope, scopesBeyond } from '../../domain/key/scopes';
import { mayFollow, parseTopic } from '../realtime/topic-name';
import { created } from '../respond';
import { defineRoute, type Route } from '../route';
import type { TicketMint } from './ports';
import { ticketCreateSchema, ticketSchema } from './schema';

export interface CreateTicketDeps {
  mint: TicketMint;
  newTicketId(): string;
}

const EXPIRES_IN_SECONDS = 60;
const USUAL_SCOPES = ['jobs:read', 'events:read'] as const;

export function createTicketRoute({ mint, newTicketId }: CreateTicketDeps): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/stream-tickets',
    operationId: 'createStreamTicket',
    summary: 'Get a ticket for a stream',
    description:
      'For a browser, which can send no key with an `EventSource` or a `WebSocket`: your server gets a ticket and hands it on, and ' +
      'the browser opens one stream with `?ticket=`, once and within 60 seconds. It shows what the ticket names and no more than ' +
      'the key may see; it ends with the ticket, with the key, or when the key loses the scope. It takes `jobs:read` or ' +
      '`events:read`.',
    tags: ['realtime'],
    scopes: [],
    idempotent: true,
    secretAnswer: true,
    body: ticketCreateSchema,
    bodyExample: { topics: ['job:job_01k6z7q0v8e2m9x4t5c3b1a0n7'], stream_seconds: 3_600 },
    responses: { 201: { description: 'The ticket; it is shown this once', schema: ticketSchema } },
    errors: ['missing_scope', 'scope_escalation'],
    handler: async ({ body, principal, credential, transact }) => {
      const { tenantId, keyId } = principal;
      const scopes = scopesOf(principal, body.scopes);
      const topics = body.topics ?? null;
      requireTopics(topics ?? [], { tenantId, scopes });
      const { ticket, hash } = mint.mintTicket();
      const id = newTicketId();
      return transact(async ({ tickets }) => {
        const { expiresAt, streamEndsAt } = await tickets.insert({
          ...{ id, hash, tenantId, keyId, keyHash: Buffer.from(credential.keyHash, 'hex') },
          ...{ scopes, topics, expiresInSeconds: EXPIRES_IN_SECONDS, streamSeconds: body.stream_seconds },
        });
        return created(`/v1/stream-tickets/${id}`, {
          ...{ id, object: 'stream_ticket', ticket, scopes, topics },
          ...{ expires_at: expiresAt, stream_ends_at: streamEndsAt },
        });
      });
    },
  });
}

/** @throws AppError `scope_escalation`, `missing_scope` */
function scopesOf(principal: Principal, wanted: readonly Scope[] | undefined): readonly Scope[] {
  const beyond = scopesBeyond(principal.scopes, wanted ?? []);
  if (beyond.length > 0) {
    throw new AppError('scope_escalation', `This key can't grant what it lacks: ${beyond.join(', ')}.`);
  }
  const scopes =
    wanted ?? USUAL_SCOPES.filter((scope) => scopesBeyond(principal.scopes, [scope]).length === 0);
  if (scopes.length > 0) return scopes;
  throw new AppError(
    'missing_scope',
    'This needs the scope jobs:read or events:read, which the API key lacks.',
  );
}

type Asker = Pick<Principal, 'tenantId' | 'scopes'>;

/** Whether there is such a job is looked at when the stream is opened. @throws AppError `validation_failed` */
function requireTopics(topics: readonly string[], asker: Asker): void {
  const errors = topics.flatMap((topic, n): ErrorDetail[] => {
    const detail = refusalOf(topic, asker);
    return detail === undefined ? [] : [{ pointer: `/topics/${n}`, detail }];
  });
  const [first] = errors;
  if (first !== undefined) {
    throw new AppError('validation_failed', `${first.pointer}: ${first.detail}`, { errors });
  }
}

function refusalOf(topic: string, asker: Asker): string | undefined {
  const name = parseTopic(topic);
  if (name === undefined) return 'expected `job:{job_id}` or `tenant`';
  try {
    mayFollow(name, { principal: asker });
    return undefined;
  } catch (error) {
    if (isAppError(error)) return error.detail;
    throw error;
  }
}
