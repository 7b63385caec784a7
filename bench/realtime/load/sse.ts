import { markBytes, markStart } from '../mark';
import { first } from '../target';
import { getRequest, joined, readHead, type Speaker, type SpeakerOptions } from './protocol';

const lineEnd = 0x0a;

/**
 * Server-sent events, looked through for marks as they come: neither chunks nor fields are taken apart, which would cost this
 * side more than the other.
 */
export function sseSpeaker(path: string, { place, line }: Omit<SpeakerOptions, 'topic'>): Speaker {
  let state: 'head' | 'first' | 'following' = 'head';
  let kept: Buffer | undefined;
  const step = (bytes: Buffer): Buffer | undefined => {
    if (state === 'following') {
      line.events(bytes);
      return unfinished(bytes);
    }
    if (state === 'first') {
      if (!bytes.includes(`event: ${first}`) && !bytes.includes(`event:${first}`)) return bytes;
      state = 'following';
      line.subscribed();
      return step(bytes);
    }
    const head = readHead(bytes);
    if (head === undefined) return bytes;
    if (head.status !== 200) throw new Error(`${path} was answered with ${bytes.toString()}`);
    state = 'first';
    return step(head.rest);
  };
  return {
    request: getRequest(place, path, ['Accept: text/event-stream']),
    read: (bytes) => {
      const left = step(joined(kept, bytes));
      kept = left === undefined || left.length === 0 ? undefined : Buffer.from(left);
    },
  };
}

/** The beginning of a mark whose end is still to come. */
function unfinished(bytes: Buffer): Buffer | undefined {
  // What a server writes in one go ends in a line end, which no mark has.
  if (bytes.at(-1) === lineEnd) return undefined;
  const from = bytes.lastIndexOf(markStart);
  if (from >= 0 && from + markBytes > bytes.length) return bytes.subarray(from);
  return bytes.subarray(Math.max(bytes.length - markStart.length + 1, from < 0 ? 0 : from + markBytes));
}
