/**
 * Server-sent events: framing, keep-alive, the client list and back-pressure. The only importer of sse-channel, whose traps end
 * here:
 * - it listens on the request and drops clients when that was read to its end: it gets a stand-in, clients go by the response;
 * - it replays by ids of its own history and searches that on each message: every message names its clients, none is kept;
 * - it never looks whether a client reads: all it writes passes a connection that cuts off at a limit;
 * - its timer lives until `close`: a channel goes with its last client;
 * - it gives a message without data an empty one: such are written by hand.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import SseChannel from 'sse-channel';

export interface SseMessage {
  /** only what a client may resume after has one */
  id?: number;
  event: string;
  /** JSON text */
  data: string;
}

export interface SseClient {
  readonly closed: boolean;
  /** Called once, however the stream ends; at once if it has ended. */
  onClose(listener: () => void): void;
  /** Ends the stream; what was sent still goes out. */
  end(): void;
  /** At once, or when the client has read what is pending; a client that doesn't for 30 s is cut off. */
  drained(): Promise<void>;
}

export interface SseHub {
  /** Answers with the stream's head. */
  join(topic: string, exchange: Exchange): SseClient;
  /** Framed once, whatever the number of clients; all of them must be of `topic`. */
  send(topic: string, message: SseMessage, clients: readonly SseClient[]): void;
  /** Tells all clients when to come back, spread over some seconds, and ends their streams; new ones get the same. */
  drain(): void;
  readonly clients: number;
}

export interface Exchange {
  req: IncomingMessage;
  res: ServerResponse;
}

export interface SseHubOptions {
  /** 0 to 1; spreads the reconnects of a drain */
  random(): number;
  pingMs?: number;
  retryMs?: number;
  /** Bytes that may wait for a slow reader before it is cut off. */
  pendingBytesMax?: number;
  drainedTimeoutMs?: number;
}

const HEADERS = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  // no-transform keeps proxies from compressing, which would hold events back.
  'Cache-Control': 'no-cache, no-transform',
  'X-Accel-Buffering': 'no',
};

/** Authoring note of HTML 9.2: a comment about every 15 seconds. */
const PING_MS = 15_000;
const RETRY_MS = 2_000;
const PENDING_BYTES_MAX = 1_048_576;
const DRAINED_TIMEOUT_MS = 30_000;

type Limits = Required<Pick<SseHubOptions, 'pendingBytesMax' | 'drainedTimeoutMs'>>;

export function createSseHub(options: SseHubOptions): SseHub {
  const retryMs = options.retryMs ?? RETRY_MS;
  const limits: Limits = {
    pendingBytesMax: options.pendingBytesMax ?? PENDING_BYTES_MAX,
    drainedTimeoutMs: options.drainedTimeoutMs ?? DRAINED_TIMEOUT_MS,
  };
  const channels = createChannels(retryMs, options.pingMs ?? PING_MS);
  const connections = new Set<Connection>();
  let draining = false;

  const dismiss = (connection: Connection): void => {
    // By hand: the library would add an empty `data`, which is an event of its own.
    connection.write(`retry: ${Math.round(retryMs * (0.5 + 2 * options.random()))}\n\n`);
    connection.end();
  };

  return {
    join(topic, { req, res }) {
      const connection = new Connection(res, limits);
      connections.add(connection);
      channels.obtain(topic).addClient(standIn(req), connection);
      connection.onClose(() => {
        connections.delete(connection);
        channels.leave(topic, connection);
      });
      if (draining) dismiss(connection);
      return connection;
    },
    send(topic, message, clients) {
      channels.get(topic)?.send(message, clients as readonly Connection[]);
    },
    drain() {
      draining = true;
      for (const connection of [...connections]) dismiss(connection);
    },
    get clients() {
      return connections.size;
    },
  };
}

/** One channel per topic, for as long as it has clients. */
function createChannels(retryTimeout: number, pingInterval: number) {
  const channels = new Map<string, SseChannel>();
  return {
    get: (topic: string): SseChannel | undefined => channels.get(topic),
    obtain(topic: string): SseChannel {
      const known = channels.get(topic);
      if (known !== undefined) return known;
      // A history of 1: the library takes 0 for its default of 500.
      const made = new SseChannel({ historySize: 1, retryTimeout, pingInterval });
      channels.set(topic, made);
      return made;
    },
    leave(topic: string, connection: Connection): void {
      const channel = channels.get(topic);
      if (channel === undefined) return;
      channel.removeClient(connection);
      if (channel.getConnectionCount() > 0) return;
      channel.close();
      channels.delete(topic);
    },
  };
}

/** The request as sse-channel sees it: no cursor to replay from, and no events that would drop a live client. */
function standIn(req: IncomingMessage): SseChannel.Request {
  return { url: '/', headers: {}, socket: req.socket, on: () => undefined };
}

/** One client's response, and the only way to write on it. */
class Connection implements SseClient, SseChannel.Response {
  #ended = false;
  readonly #res: ServerResponse;
  readonly #limits: Limits;

  constructor(res: ServerResponse, limits: Limits) {
    this.#res = res;
    this.#limits = limits;
  }

  get closed(): boolean {
    return this.#ended || this.#res.destroyed;
  }

  writeHead(status: number): void {
    this.#res.writeHead(status, HEADERS);
  }

  write(text: string): void {
    if (this.closed) return;
    this.#res.write(text);
    if (this.#res.writableLength > this.#limits.pendingBytesMax) this.#res.destroy();
  }

  end(): void {
    if (this.closed) return;
    this.#ended = true;
    this.#res.end();
  }

  /** sse-channel's wish to hear of the end: the hub removes clients itself, once. */
  on(): void {}

  onClose(listener: () => void): void {
    if (this.#res.destroyed) listener();
    else this.#res.once('close', listener);
  }

  drained(): Promise<void> {
    const res = this.#res;
    if (this.closed || !res.writableNeedDrain) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => res.destroy(), this.#limits.drainedTimeoutMs);
      const settle = (): void => {
        clearTimeout(timer);
        res.off('drain', settle).off('close', settle);
        resolve();
      };
      res.once('drain', settle).once('close', settle);
    });
  }
}
