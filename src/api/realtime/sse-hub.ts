/**
 * Server-sent events: framing, keep-alive, the client list and back-pressure. The only importer of sse-channel, whose traps end
 * here:
 * - it listens on the request and drops clients when that was read to its end: it gets a stand-in, clients go by the response;
 * - it replays by ids of its own history and searches that on each message: no message is kept there;
 * - it never looks whether a client reads: all it writes passes a connection that cuts off at a limit;
 * - it writes a text, which each response would encode and frame anew: it frames into a sink, and the bytes are shared;
 * - each channel has a timer, which lives until `close`, and pings all its clients at once: there is a small ring of channels,
 *   pinged one after the other, which goes with the last client;
 * - it gives a message without data an empty one: such are written by hand.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import SseChannel from 'sse-channel';
import { reconnectInMs } from './reconnect';
import { SseConnection } from './sse-connection';
import { createFrames, type SseFrame, toFrame } from './sse-frame';
import type { StreamMetrics } from './stream-metrics';
import type { Message, Subscriber, Transport } from './transport';

export interface SseHub extends Transport {
  /** Answers with the stream's head. */
  join(exchange: Exchange): Subscriber;
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
  metrics: Pick<StreamMetrics, 'opened' | 'closed' | 'cutOff' | 'delivered'>;
  pingMs?: number;
  retryMs?: number;
  /** Bytes that may wait for a slow reader before it is cut off. */
  pendingBytesMax?: number;
  drainedTimeoutMs?: number;
}

/** Authoring note of HTML 9.2: a comment about every 15 seconds. */
const PING_MS = 15_000;
const RETRY_MS = 2_000;
const PENDING_BYTES_MAX = 1_048_576;
const DRAINED_TIMEOUT_MS = 30_000;

export function createSseHub(options: SseHubOptions): SseHub {
  const { metrics, retryMs = RETRY_MS } = options;
  const ring = createRing(retryMs, options.pingMs ?? PING_MS);
  const toFrameOf = createFraming();
  const connections = new Set<SseConnection>();
  let draining = false;

  const hub: SseHub = {
    join({ req, res }) {
      const connection = new SseConnection(res, connectionOptions);
      connections.add(connection);
      metrics.opened('sse');
      const leave = ring.add(req, connection);
      connection.onClose(() => {
        connections.delete(connection);
        metrics.closed('sse');
        leave();
      });
      if (draining) connection.end('unavailable');
      return connection;
    },
    tell(_topic, message, subscribers) {
      send(toFrameOf(message), subscribers);
      metrics.delivered('sse', subscribers.length);
    },
    // An event of its own: an id without data would do by HTML 9.2.6, but eventsource-parser 3 takes no notice of such a block.
    mark: (_topic, cursor, subscribers) =>
      send(toFrame(`event: cursor\nid: ${cursor}\ndata: {"cursor":${cursor}}\n\n`), subscribers),
    drain() {
      draining = true;
      for (const connection of [...connections]) connection.end('unavailable');
    },
    get clients() {
      return connections.size;
    },
  };
  const connectionOptions = {
    transport: hub,
    frameOf: createFrames(),
    pendingBytesMax: options.pendingBytesMax ?? PENDING_BYTES_MAX,
    drainedTimeoutMs: options.drainedTimeoutMs ?? DRAINED_TIMEOUT_MS,
    backInMs: () => reconnectInMs({ random: options.random, retryMs }, connections.size),
    onCutOff: () => metrics.cutOff('sse'),
  };
  return hub;
}

function send(frame: SseFrame, subscribers: readonly Subscriber[]): void {
  // All that follow by this transport were joined here.
  for (const connection of subscribers as readonly SseConnection[]) connection.send(frame);
}

/** Each message is framed once, also where it is told in several calls. */
function createFraming(): (message: Message) => SseFrame {
  const framer = newChannel({});
  framer.close();
  const frames = new WeakMap<Message, SseFrame>();
  return (message) => {
    let frame = frames.get(message);
    if (frame === undefined) {
      let text = '';
      framer.send(message, [{ write: (written: string) => (text += written) }]);
      frame = toFrame(text);
      frames.set(message, frame);
    }
    return frame;
  };
}

const CHANNELS = 30;
/** Between two channels' pings, where tests ping often. */
const STEP_MIN_MS = 5;
/** The library's own timer must never fire: the longest that there is. */
const NEVER_MS = 2_147_483_647;

function newChannel(options: { retryTimeout?: number }): SseChannel {
  // A history of 1: the library takes 0 for its default of 500.
  return new SseChannel({ ...options, historySize: 1, pingInterval: NEVER_MS });
}

/** The clients, over a few channels whose turns to be pinged are spread over the interval. */
function createRing(retryTimeout: number, pingMs: number) {
  const count = Math.max(1, Math.min(CHANNELS, Math.floor(pingMs / STEP_MIN_MS)));
  let channels: SseChannel[] = [];
  let clients = 0;
  let turn = 0;
  let timer: NodeJS.Timeout | undefined;
  const start = (): void => {
    channels = Array.from({ length: count }, () => newChannel({ retryTimeout }));
    timer = setInterval(() => channels[turn++ % count]?.ping(), pingMs / count);
  };
  const stop = (): void => {
    clearInterval(timer);
    for (const channel of channels) channel.close();
  };
  return {
    /** @returns how to leave, once */
    add(req: IncomingMessage, connection: SseConnection): () => void {
      if (clients++ === 0) start();
      const channel = channels[clients % count];
      channel?.addClient(standIn(req), connection);
      return () => {
        channel?.removeClient(connection);
        if (--clients === 0) stop();
      };
    },
  };
}

/** The request as sse-channel sees it: no cursor to replay from, and no events that would drop a live client. */
function standIn(req: IncomingMessage): SseChannel.Request {
  return { url: '/', headers: {}, socket: req.socket, on: () => undefined };
}
