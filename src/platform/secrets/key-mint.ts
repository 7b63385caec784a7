/** Makes API keys and stream tickets, and hashes them; the secret itself is shown once and kept nowhere. */
import { hash as digest, createHash, randomInt } from 'node:crypto';
import {
  formatKey,
  formatTicket,
  KEY_ALPHABET,
  KEY_RANDOM_LENGTH,
  shownPrefix,
} from '../../domain/key/key-format';

export interface MintedKey {
  secret: string;
  prefix: string;
  hash: Uint8Array;
}

export interface KeyMint {
  mint: () => MintedKey;
  mintTicket: () => { ticket: string; hash: Uint8Array };
  hash: (secret: string) => Uint8Array;
  /** as `hash`, in hex */
  hashText: (secret: string) => string;
}

export function createKeyMint(): KeyMint {
  return { mint, mintTicket, hash, hashText };
}

function mint(): MintedKey {
  const secret = formatKey(randomText());
  return { secret, prefix: shownPrefix(secret), hash: hash(secret) };
}

function mintTicket(): { ticket: string; hash: Uint8Array } {
  const ticket = formatTicket(randomText());
  return { ticket, hash: hash(ticket) };
}

function randomText(): string {
  let random = '';
  // randomInt is uniform; a byte modulo 62 would not be.
  for (let i = 0; i < KEY_RANDOM_LENGTH; i++) random += KEY_ALPHABET.charAt(randomInt(KEY_ALPHABET.length));
  return random;
}

/** A plain SHA-256 is right for a key of 178 random bits: there is nothing to guess that stretching would slow. */
function hash(secret: string): Uint8Array {
  return createHash('sha256').update(secret).digest();
}

/** On the way of every request: in one call it takes a third of the time. */
function hashText(secret: string): string {
  return digest('sha256', secret);
}
