import { randomBytes } from 'node:crypto';
import { getRequest, joined, readHead, type Speaker, type SpeakerOptions } from './protocol';

/** What is said over a WebSocket, message by message. */
export interface Talk {
  readonly path: string;
  opened(send: Send): void;
  message(payload: Buffer, send: Send): void;
}

export type Send = (text: string) => void;

/** RFC 6455 §5.2. */
const opcodes = { text: 0x1, close: 0x8, ping: 0x9, pong: 0xa };
const finBit = 0x80;
const maskBit = 0x80;
const lengthBits = 0x7f;
const keyBytes = 16;

/** A WebSocket, as little of it as servers need: whole text messages, and pongs. */
export function webSocketSpeaker(talk: Talk, { place, line }: Omit<SpeakerOptions, 'topic'>): Speaker {
  let open = false;
  let kept: Buffer | undefined;
  const send: Send = (text) => line.write(clientFrame(opcodes.text, Buffer.from(text)));
  const onFrame = (opcode: number, payload: Buffer): void => {
    if (opcode === opcodes.text) talk.message(payload, send);
    else if (opcode === opcodes.ping) line.write(clientFrame(opcodes.pong, payload));
    else throw new Error(`a frame with opcode ${opcode} came: ${payload.toString()}`);
  };
  const readFrames = (bytes: Buffer): Buffer => {
    let at = 0;
    for (let frame = frameAt(bytes, at); frame !== undefined; frame = frameAt(bytes, at)) {
      onFrame(frame.opcode, bytes.subarray(frame.from, frame.end));
      at = frame.end;
    }
    return bytes.subarray(at);
  };
  const step = (bytes: Buffer): Buffer => {
    if (open) return readFrames(bytes);
    const head = readHead(bytes);
    if (head === undefined) return bytes;
    if (head.status !== 101) throw new Error(`${talk.path} was answered with ${bytes.toString()}`);
    open = true;
    talk.opened(send);
    return readFrames(head.rest);
  };
  return {
    request: getRequest(place, talk.path, [
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${randomBytes(keyBytes).toString('base64')}`,
    ]),
    read: (bytes) => {
      const left = step(joined(kept, bytes));
      kept = left.length === 0 ? undefined : Buffer.from(left);
    },
  };
}

/** undefined: it has not come whole */
function frameAt(bytes: Buffer, at: number): { opcode: number; from: number; end: number } | undefined {
  if (at + 2 > bytes.length) return undefined;
  const opcode = (bytes[at] ?? 0) & 0x0f;
  const short = (bytes[at + 1] ?? 0) & lengthBits;
  const headBytes = short === 126 ? 4 : short === 127 ? 10 : 2;
  const from = at + headBytes;
  if (from > bytes.length) return undefined;
  const length =
    short === 126
      ? bytes.readUInt16BE(at + 2)
      : short === 127
        ? Number(bytes.readBigUInt64BE(at + 2))
        : short;
  return from + length > bytes.length ? undefined : { opcode, from, end: from + length };
}

/** Masked by zeros, which a server can't tell from any other mask. */
function clientFrame(opcode: number, payload: Buffer): Buffer {
  const { length } = payload;
  if (length > 0xffff) throw new Error('nothing so long is ever sent');
  const head =
    length > 125
      ? [finBit | opcode, maskBit | 126, length >> 8, length & 0xff, 0, 0, 0, 0]
      : [finBit | opcode, maskBit | length, 0, 0, 0, 0];
  return Buffer.concat([Buffer.from(head), payload]);
}
