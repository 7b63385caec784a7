/**
 * Lets a stream in by its ticket. It is used up by that, whatever becomes of the request; the key it was got with must still be
 * good, but not for the address: a ticket is made to be handed on.
 */
import { AppError } from '../../domain/errors';
import { type Principal, scopesBeyond } from '../../domain/key/scopes';
import type { RecognisedKey } from './key-cache';
import type { Credential, Redeemed, TicketDesk } from './ports';

export interface LetIn {
  principal: Principal;
  credential: Credential;
}

export interface RedeemDeps {
  tickets: TicketDesk;
  /** SHA-256 in hex */
  hashKey(secret: string): string;
  /** null: there is no such key */
  keyFor(hash: string): Promise<RecognisedKey | null>;
  /** Why the key lets nobody in any more; undefined: it does. */
  endOf(key: RecognisedKey): AppError | undefined;
}

const SPENT = {
  used: 'was used already, at',
  expired: 'was not used in time; it expired at',
  ended: 'was ended at',
} as const;

/** @param ticket well-formed. @returns why it opens nothing, or whom it lets in */
export async function redeemTicket(
  deps: RedeemDeps,
  { ticket, address }: { ticket: string; address: string },
): Promise<LetIn | AppError> {
  const found = await deps.tickets.redeem(Buffer.from(deps.hashKey(ticket), 'hex'));
  if (found === undefined) return unknownTicket();
  if (found.kind === 'spent') {
    return new AppError('invalid_ticket', `This ticket ${SPENT[found.why]} ${found.at.toISOString()}.`);
  }
  const key = await deps.keyFor(found.keyHash);
  if (key === null) return unknownTicket();
  return deps.endOf(key) ?? letIn(found, { key, address });
}

export function unknownTicket(): AppError {
  return new AppError('invalid_ticket', 'This ticket is not known.');
}

function letIn(
  { id, keyHash, scopes, topics, endsInMs }: Redeemed,
  { key, address }: { key: RecognisedKey; address: string },
): LetIn {
  // What the key has lost since, the ticket has lost too.
  const beyond = scopesBeyond(key.principal.scopes, scopes);
  const held = scopes.filter((scope) => !beyond.includes(scope));
  return {
    principal: { ...key.principal, scopes: held },
    credential: { keyHash, address, ticket: { id, topics, endsInMs } },
  };
}
