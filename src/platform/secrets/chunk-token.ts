/**
 * Tokens of chunks that are lent out: what is granted, in the open, under an HMAC-SHA256. The first of the installation's
 * keys signs, all of them verify, so that a key can be changed while chunks are out.
 *
 * mct_ and base64url of: version (1) | tenant (16) | job (16) | chunk (4) | lane (1) | lanes (1) | clock ahead in ms (8, float) |
 * expiry in seconds of Unix time (6) | HMAC (32)
 */
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import type { ChunkGrant } from '../../domain/handler/remote';
import { decodeId, encodeId } from '../../domain/ids';

export interface ChunkTokens {
  sign(grant: ChunkGrant): string;
  /** Undefined: not one of ours. One that has expired is told by its grant. */
  verify(token: string): ChunkGrant | undefined;
}

const PREFIX = 'mct_';
const VERSION = 1;
const BODY_BYTES = 53;
const MAC_BYTES = 32;
const TOKEN = /^mct_[A-Za-z0-9_-]{114}$/;
/** of a token, at its places in the body */
const AT = { tenant: 1, job: 17, no: 33, lane: 37, lanes: 38, ahead: 39, expires: 47 } as const;

/** @param keys of `MILLRACE_SECRET_KEYS`, 32 bytes each */
export function createChunkTokens(keys: readonly Uint8Array[]): ChunkTokens {
  // Keys of their own: what encrypts at rest must not be what signs for others to see.
  const macKeys = keys.map((key) => Buffer.from(hkdfSync('sha256', key, '', 'millrace chunk token', 32)));
  const first = macKeys[0];
  if (first === undefined) throw new Error('at least one key is needed');
  return {
    sign(grant) {
      const body = encode(grant);
      return PREFIX + Buffer.concat([body, macOf(first, body)]).toString('base64url');
    },
    verify(token) {
      if (!TOKEN.test(token)) return undefined;
      const bytes = Buffer.from(token.slice(PREFIX.length), 'base64url');
      const [body, mac] = [bytes.subarray(0, BODY_BYTES), bytes.subarray(BODY_BYTES)];
      if (mac.length !== MAC_BYTES || !macKeys.some((key) => timingSafeEqual(mac, macOf(key, body)))) {
        return undefined;
      }
      return body[0] === VERSION ? decode(body) : undefined;
    },
  };
}

function macOf(key: Uint8Array, body: Uint8Array): Buffer {
  return createHmac('sha256', key).update(body).digest();
}

function encode({ tenantId, jobId, no, lane, lanes, clockAheadMs, expiresAt }: ChunkGrant): Buffer {
  const body = Buffer.alloc(BODY_BYTES);
  body[0] = VERSION;
  uuidBytes(decodeId('tenant', tenantId)).copy(body, AT.tenant);
  uuidBytes(decodeId('job', jobId)).copy(body, AT.job);
  body.writeUInt32BE(no, AT.no);
  body.writeUInt8(lane, AT.lane);
  body.writeUInt8(lanes, AT.lanes);
  body.writeDoubleBE(clockAheadMs, AT.ahead);
  body.writeUIntBE(Math.floor(expiresAt.getTime() / 1_000), AT.expires, 6);
  return body;
}

function decode(body: Buffer): ChunkGrant {
  return {
    tenantId: encodeId('tenant', body.toString('hex', AT.tenant, AT.job)),
    jobId: encodeId('job', body.toString('hex', AT.job, AT.no)),
    no: body.readUInt32BE(AT.no),
    lane: body.readUInt8(AT.lane),
    lanes: body.readUInt8(AT.lanes),
    clockAheadMs: body.readDoubleBE(AT.ahead),
    expiresAt: new Date(body.readUIntBE(AT.expires, 6) * 1_000),
  };
}

function uuidBytes(uuid: string): Buffer {
  return Buffer.from(uuid.replaceAll('-', ''), 'hex');
}
