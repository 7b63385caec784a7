/**
 * Encryption at rest: AES-256-GCM under the first of a list of keys; every key of the list decrypts, so a key is changed by
 * putting the new one in front and dropping the old one once nothing is under it any more.
 *
 * Sealed bytes: version (1) | key id (4) | nonce (12) | tag (16) | ciphertext. The context (what the secret belongs to) is
 * authenticated, so that a sealed value copied to another row does not open.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';

export interface SecretBox {
  seal(plain: Uint8Array, context: string): Uint8Array;
  /** @throws SecretBoxError */
  open(sealed: Uint8Array, context: string): Uint8Array;
}

export class SecretBoxError extends Error {
  override readonly name = 'SecretBoxError';
}

const VERSION = 1;
const KEY_BYTES = 32;
const KEY_ID_END = 5;
const NONCE_END = 17;
const TAG_END = 33;

interface BoxKey {
  id: Buffer;
  key: Uint8Array;
}

/** @param keys 32 bytes each; the first encrypts */
export function createSecretBox(keys: readonly Uint8Array[]): SecretBox {
  const boxKeys = keys.map(toBoxKey);
  const first = boxKeys[0];
  if (first === undefined) throw new SecretBoxError('at least one key is needed');
  return {
    seal: (plain, context) => seal(first, plain, context),
    open: (sealed, context) => open(boxKeys, sealed, context),
  };
}

function toBoxKey(key: Uint8Array): BoxKey {
  if (key.length !== KEY_BYTES) throw new SecretBoxError('a key has 32 bytes');
  // A hash of a random key tells nothing of it, and stays the same wherever the key stands in the list.
  const id = createHash('sha256').update('millrace secret key id').update(key).digest().subarray(0, 4);
  return { id, key };
}

function seal(box: BoxKey, plain: Uint8Array, context: string): Uint8Array {
  const nonce = randomBytes(NONCE_END - KEY_ID_END);
  const head = Buffer.concat([Buffer.from([VERSION]), box.id, nonce]);
  const cipher = createCipheriv('aes-256-gcm', box.key, nonce);
  cipher.setAAD(associated(head, context));
  const body = Buffer.concat([cipher.update(plain), cipher.final()]);
  return Buffer.concat([head, cipher.getAuthTag(), body]);
}

function open(keys: readonly BoxKey[], sealedBytes: Uint8Array, context: string): Uint8Array {
  const sealed = Buffer.from(sealedBytes);
  if (sealed.length < TAG_END || sealed[0] !== VERSION) throw new SecretBoxError('not a sealed value');
  const id = sealed.subarray(1, KEY_ID_END);
  const candidates = keys.filter((key) => key.id.equals(id));
  if (candidates.length === 0)
    throw new SecretBoxError('sealed under a key that is not in MILLRACE_SECRET_KEYS');
  for (const candidate of candidates) {
    const plain = tryOpen(candidate, sealed, context);
    if (plain !== undefined) return plain;
  }
  throw new SecretBoxError('the sealed value was altered or belongs elsewhere');
}

function tryOpen(box: BoxKey, sealed: Buffer, context: string): Uint8Array | undefined {
  const decipher = createDecipheriv('aes-256-gcm', box.key, sealed.subarray(KEY_ID_END, NONCE_END), {
    authTagLength: TAG_END - NONCE_END,
  });
  decipher.setAAD(associated(sealed.subarray(0, NONCE_END), context));
  decipher.setAuthTag(sealed.subarray(NONCE_END, TAG_END));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(TAG_END)), decipher.final()]);
  } catch {
    return undefined;
  }
}

function associated(head: Uint8Array, context: string): Buffer {
  return Buffer.concat([head, Buffer.from(context, 'utf8')]);
}
