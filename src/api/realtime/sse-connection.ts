/** One client's response, and the only way to write on it: it is cut off when it reads too slowly. */
import type { ServerResponse } from 'node:http';
import type SseChannel from 'sse-channel';
import type { SseFrame } from './sse-frame';
import type { EndReason, Subscriber, Transport } from './transport';

export const SSE_HEADERS = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  // no-transform keeps proxies from compressing, which would hold events back.
  'Cache-Control': 'no-cache, no-transform',
  'X-Accel-Buffering': 'no',
};

export interface ConnectionOptions {
  transport: Transport;
  frameOf(text: string): SseFrame;
  /** bytes that may wait for a slow reader */
  pendingBytesMax: number;
  /** within which it must read what is pending, where somebody waits for that */
  drainedTimeoutMs: number;
  /** until a client that is sent away should come back; each call may say another time */
  backInMs(): number;
  onCutOff(): void;
}

export class SseConnection implements Subscriber, SseChannel.Response {
  #ended = false;
  readonly #res: ServerResponse;
  readonly #options: ConnectionOptions;

  constructor(res: ServerResponse, options: ConnectionOptions) {
    this.#res = res;
    this.#options = options;
  }

  get transport(): Transport {
    return this.#options.transport;
  }

  get closed(): boolean {
    return this.#ended || this.#res.destroyed;
  }

  writeHead(status: number): void {
    this.#res.writeHead(status, SSE_HEADERS);
    this.#res.flushHeaders();
  }

  write(text: string): void {
    this.send(this.#options.frameOf(text));
  }

  /** Past the response, straight to its socket: what is the same for all clients is then made once, chunk length and all. */
  send(frame: SseFrame): void {
    if (this.closed) return;
    const res = this.#res;
    const { socket } = res;
    // A pipelined request whose turn has not come has no socket yet.
    if (socket === null) res.write(frame.bytes);
    else socket.write(res.chunkedEncoding ? frame.chunk : frame.bytes);
    if (res.writableLength > this.#options.pendingBytesMax) this.#cutOff();
  }

  end(why: EndReason = 'over'): void {
    if (this.closed) return;
    // Else all would come back at once, for as long as there is nothing to be had. By hand: sse-channel would add an empty
    // `data`, which is an event of its own.
    if (why === 'unavailable') this.write(`retry: ${this.#options.backInMs()}\n\n`);
    this.#ended = true;
    this.#res.end();
    if (this.#res.writableLength > 0) void this.#cutOffUnlessRead('close');
  }

  /** sse-channel's wish to hear of the end: the hub removes clients itself, once. */
  on(): void {}

  onClose(listener: () => void): void {
    if (this.#res.destroyed) listener();
    else this.#res.once('close', listener);
  }

  /** It follows one topic only. */
  catchUps<T>(work: () => Promise<T>): Promise<T> {
    return work();
  }

  drained(): Promise<void> {
    const { socket } = this.#res;
    if (this.closed || socket?.writableNeedDrain !== true) return Promise.resolve();
    return this.#cutOffUnlessRead('drain');
  }

  #cutOff(): void {
    this.#options.onCutOff();
    this.#res.destroy();
  }

  /** @returns when it has read what is pending, or is gone */
  #cutOffUnlessRead(sign: 'drain' | 'close'): Promise<void> {
    const res = this.#res;
    const { socket } = res;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#cutOff(), this.#options.drainedTimeoutMs).unref();
      const settle = (): void => {
        clearTimeout(timer);
        socket?.off('drain', settle);
        res.off('close', settle);
        resolve();
      };
      if (sign === 'drain') socket?.once('drain', settle);
      res.once('close', settle);
    });
  }
}
