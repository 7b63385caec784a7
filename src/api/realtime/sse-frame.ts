/** A piece of an event stream as it goes over the wire: made once, whatever the number of clients. */

export interface SseFrame {
  /** for HTTP/1.0, whose streams end with the connection */
  bytes: Buffer;
  /** the same as one chunk (RFC 9112, section 7.1) */
  chunk: Buffer;
}

export function toFrame(text: string): SseFrame {
  const bytes = Buffer.from(text, 'utf8');
  const chunk = Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
  return { bytes, chunk };
}

/** Remembers the last one: what is sent to many clients comes as the same text many times in a row. */
export function createFrames(): (text: string) => SseFrame {
  let last = { text: ':\n', frame: toFrame(':\n') };
  return (text) => {
    if (last.text !== text) last = { text, frame: toFrame(text) };
    return last.frame;
  };
}
