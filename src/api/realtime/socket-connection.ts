/** One WebSocket, and the only way to write on it: it is closed when it reads too slowly. */
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { type Frame, payloadOf, textFrame } from './socket-frame';
import type { ServerMessage } from './socket-protocol';

/** RFC 6455 §7.4; 4000 and above are ours. */
export const CLOSE = {
  serviceRestart: { code: 1012, reason: 'restart' },
  unsupportedData: { code: 1003, reason: 'text only' },
  policyViolation: { code: 1008, reason: 'too many messages that are no commands' },
  credentialEnded: { code: 4001, reason: 'key or ticket no longer valid' },
  slowReader: { code: 4008, reason: 'read too slowly' },
} as const;

export interface SocketConnectionOptions {
  /** bytes that may wait for a slow reader */
  pendingBytesMax: number;
  /** within which it must read what is pending, where somebody waits for that */
  drainedTimeoutMs: number;
  onCutOff(): void;
}

export class SocketConnection {
  #closing = false;
  #drained: Promise<void> | undefined;
  /** messages that are not yet on the wire */
  #deflating = 0;
  #onDeflated: () => void = () => undefined;
  /** what had to be sent for the pong to be due; undefined: none is */
  #pongDue: { sentBytes: number } | undefined;
  readonly #deflates: boolean;
  readonly #onClosing: (() => void)[] = [];

  constructor(
    readonly ws: WebSocket,
    private readonly socket: Socket,
    private readonly options: SocketConnectionOptions,
  ) {
    this.#deflates = ws.extensions !== '';
    // What a client did wrong: ws closes with the code that says so.
    ws.on('error', () => undefined);
    ws.on('pong', () => this.heard());
    ws.once('close', () => this.#shut());
  }

  /** Nothing is told any more; the last messages may still be on their way. */
  get closed(): boolean {
    return this.#closing || this.ws.readyState !== this.ws.OPEN;
  }

  /** Called once, when nothing is told any more; at once if that has come. */
  onClosing(listener: () => void): void {
    if (this.#closing) listener();
    else this.#onClosing.push(listener);
  }

  send(message: ServerMessage): void {
    this.write(textFrame(JSON.stringify(message)));
  }

  /** Past ws, straight to the socket: the frame is the same for all clients, but for those that had compression granted. */
  write(frame: Frame): void {
    if (this.closed) return;
    if (this.#deflates) this.#sendDeflated(payloadOf(frame));
    else this.socket.write(frame.bytes);
    // What ws counts beyond that of the socket waits to be compressed.
    const pendingBytes = this.#deflates ? this.ws.bufferedAmount : this.socket.writableLength;
    if (pendingBytes > this.options.pendingBytesMax) this.#cutOff();
  }

  /** The client has as long as ws gives it to read what is pending and to answer; then it is cut. */
  close({ code, reason }: (typeof CLOSE)[keyof typeof CLOSE]): void {
    this.ws.close(code, reason);
    this.#shut();
  }

  /** At once, or when the client has read what is pending, or is gone. Many topics may wait at once. */
  drained(): Promise<void> {
    if (this.closed || (!this.socket.writableNeedDrain && this.#deflating === 0)) return Promise.resolve();
    this.#drained ??= this.#untilDrained().finally(() => {
      this.#drained = undefined;
    });
    return this.#drained;
  }

  ping(): void {
    if (this.closed) return;
    this.#pongDue = { sentBytes: this.#sentBytes() };
    this.ws.ping();
  }

  /** A sign of life. */
  heard(): void {
    this.#pongDue = undefined;
  }

  /** Neither did it answer the last ping, nor does it go on reading what stands before that. */
  get silent(): boolean {
    const due = this.#pongDue;
    // Paused, it is not heard.
    if (due === undefined || this.ws.isPaused) return false;
    return this.socket.writableLength === 0 || this.#sentBytes() === due.sentBytes;
  }

  #sendDeflated(payload: Buffer): void {
    this.#deflating++;
    this.ws.send(payload, { binary: false }, () => {
      if (--this.#deflating === 0) this.#onDeflated();
    });
  }

  #sentBytes(): number {
    return this.socket.bytesWritten - this.socket.writableLength;
  }

  #cutOff(): void {
    this.options.onCutOff();
    this.close(CLOSE.slowReader);
  }

  #shut(): void {
    if (this.#closing) return;
    this.#closing = true;
    for (const listener of this.#onClosing.splice(0)) listener();
  }

  #untilDrained(): Promise<void> {
    const { socket } = this;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#cutOff(), this.options.drainedTimeoutMs).unref();
      const settle = (): void => {
        clearTimeout(timer);
        socket.off('drain', settle).off('close', settle);
        this.#onDeflated = () => undefined;
        resolve();
      };
      socket.once('close', settle);
      if (this.#deflating > 0) this.#onDeflated = settle;
      else socket.once('drain', settle);
    });
  }
}
