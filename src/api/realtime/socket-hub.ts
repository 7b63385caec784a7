/** The WebSockets of this process: one of the two transports of streams. What they are told of a topic is framed once. */
import type { IncomingMessage } from 'node:http';
import type { UpgradeResponse } from '../upgrade';
import { reconnectInMs } from './reconnect';
import { SocketConnection } from './socket-connection';
import { type Frame, textFrame } from './socket-frame';
import { eventText, type Told } from './socket-protocol';
import { createRoster } from './socket-roster';
import { createSocketServer } from './socket-server';
import type { SocketSubscription } from './socket-subscription';
import type { StreamMetrics } from './stream-metrics';
import type { Subscriber, Transport } from './transport';

export interface SocketHub extends Transport {
  readonly pingMs: number;
  readonly connections: number;
  /**
   * Answers 101. undefined where the client has left.
   * @throws AppError `malformed_request`; then nothing has been answered
   */
  join(req: IncomingMessage, res: UpgradeResponse): SocketConnection | undefined;
  /** Room for one topic more on any of the connections. @returns how to give it back, once; undefined: there is none */
  takeRoom(): (() => void) | undefined;
  /** When a client should ask again for a topic that is not to be had for now. */
  retryAfterMs(): number;
  /** Tells all clients when to come back, and closes; new ones get the same. */
  drain(): void;
}

export interface SocketHubOptions {
  /** 0 to 1; spreads reconnects */
  random(): number;
  metrics: StreamMetrics;
  deflate?: boolean;
  pingMs?: number;
  pongMs?: number;
  retryMs?: number;
  /** Bytes that may wait for a slow reader before it is cut off. */
  pendingBytesMax?: number;
  drainedTimeoutMs?: number;
  closeTimeoutMs?: number;
  /** Topics followed here in all, once for each connection. */
  followedMax?: number;
}

const DEFAULTS = {
  deflate: false,
  pingMs: 25_000,
  pongMs: 10_000,
  retryMs: 2_000,
  pendingBytesMax: 1_048_576,
  drainedTimeoutMs: 30_000,
  closeTimeoutMs: 5_000,
  // At 1 to 2.5 KB each.
  followedMax: 250_000,
};

export function createSocketHub(given: SocketHubOptions): SocketHub {
  const options = { ...DEFAULTS, ...given };
  const { metrics } = options;
  const server = createSocketServer(options);
  const roster = createRoster(options);
  const frameOf = createFraming();
  let followed = 0;
  const limits = { ...options, onCutOff: () => metrics.cutOff('websocket') };
  return {
    pingMs: options.pingMs,
    retryAfterMs: () => reconnectInMs(options, 1),
    join(req, res) {
      return res.handOver((handed) => {
        const ws = server.accept(req, handed, res.getHeaders());
        if (ws === undefined) return undefined;
        const connection = new SocketConnection(ws, handed.socket, limits);
        roster.add(connection);
        return connection;
      });
    },
    takeRoom() {
      if (followed >= options.followedMax) return undefined;
      followed++;
      return () => void followed--;
    },
    tell(_topic, message, subscribers) {
      for (const { connection, name } of ours(subscribers)) connection.write(frameOf(message, name));
      metrics.delivered('websocket', subscribers.length);
    },
    mark(_topic, cursor, subscribers) {
      const message: Told = { event: 'cursor', id: cursor, data: `{"cursor":${cursor}}` };
      for (const { connection, name } of ours(subscribers)) connection.write(frameOf(message, name));
    },
    drain: () => roster.drain(),
    get connections() {
      return roster.size;
    },
  };
}

/** All that follow by this transport are subscriptions of its connections. */
function ours(subscribers: readonly Subscriber[]): readonly SocketSubscription[] {
  return subscribers as readonly SocketSubscription[];
}

/** Each message is framed once, also where it is told in several calls; once for each name that its topic goes by. */
function createFraming(): (message: Told, name: string) => Frame {
  const frames = new WeakMap<Told, Map<string, Frame>>();
  let last: { message: Told; name: string; frame: Frame } | undefined;
  return (message, name) => {
    // Nearly all who follow a topic call it the same.
    if (last !== undefined && last.message === message && last.name === name) return last.frame;
    const known = frames.get(message) ?? new Map<string, Frame>();
    frames.set(message, known);
    const frame = known.get(name) ?? textFrame(eventText(name, message));
    known.set(name, frame);
    last = { message, name, frame };
    return frame;
  };
}
