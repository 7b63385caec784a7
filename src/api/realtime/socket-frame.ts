/**
 * A text frame of RFC 6455 §5.2 as a server sends it. Unmasked, it is the same bytes for every client, so what many are told is
 * framed once; ws would frame it for each.
 */
const FIN_TEXT = 0x81;
const LENGTH_16 = 126;
const LENGTH_64 = 127;
const LENGTH_7_MAX = 125;
const LENGTH_16_MAX = 0xffff;

export interface Frame {
  /** head and payload */
  bytes: Buffer;
  headBytes: number;
}

export function textFrame(text: string): Frame {
  const length = Buffer.byteLength(text);
  const headBytes = length > LENGTH_16_MAX ? 10 : length > LENGTH_7_MAX ? 4 : 2;
  const bytes = Buffer.allocUnsafeSlow(headBytes + length);
  bytes[0] = FIN_TEXT;
  if (headBytes === 2) {
    bytes[1] = length;
  } else if (headBytes === 4) {
    bytes[1] = LENGTH_16;
    bytes.writeUInt16BE(length, 2);
  } else {
    bytes[1] = LENGTH_64;
    bytes.writeBigUInt64BE(BigInt(length), 2);
  }
  bytes.write(text, headBytes, 'utf8');
  return { bytes, headBytes };
}

export function payloadOf({ bytes, headBytes }: Frame): Buffer {
  return bytes.subarray(headBytes);
}
