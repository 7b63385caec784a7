import net from 'node:net';
import type { Place, Protocol } from '../target';
import type { Deliveries, Follower } from './deliveries';
import { speakers } from './speakers';

export interface ConnectionOptions {
  readonly place: Place;
  readonly protocol: Protocol;
  readonly follower: Follower;
  readonly deliveries: Deliveries;
  /** It broke, or got what it should not have. */
  onFailure(error: Error): void;
}

export interface Connection {
  /** Resolves when every further event of its topic must come. */
  readonly subscribed: Promise<void>;
  /** Without a word to the server, and without leaving the port in TIME_WAIT. */
  drop(): void;
}

const readBytes = 64 * 1024;
/** One for all: what was read is looked at before anything else is read. */
const buffer = Buffer.allocUnsafe(readBytes);

/** One subscriber on a bare socket. */
export function openConnection(options: ConnectionOptions): Connection {
  const { place, protocol, follower, deliveries } = options;
  const { host, port, topics } = place;
  let dropped = false;
  let settle: { resolve(): void; reject(error: Error): void } | undefined;
  const subscribed = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject };
  });
  const fail = (error: Error): void => {
    if (dropped) return;
    dropped = true;
    socket.destroy();
    settle?.reject(error);
    options.onFailure(error);
  };
  const speaker = speakers[protocol]({
    place,
    topic: topics[follower.topic] ?? '',
    line: {
      write: (bytes) => socket.write(bytes),
      subscribed: () => settle?.resolve(),
      events: (bytes) => deliveries.take(follower, bytes),
    },
  });
  const callback = (count: number): boolean => {
    try {
      speaker.read(buffer.subarray(0, count));
    } catch (error) {
      fail(error as Error);
    }
    return true;
  };
  const socket = net.connect({ host, port, noDelay: true, onread: { buffer, callback } });
  socket.write(speaker.request);
  socket.on('error', fail);
  socket.on('close', () => fail(new Error('the server closed a connection')));
  return {
    subscribed,
    drop: () => {
      dropped = true;
      socket.resetAndDestroy();
    },
  };
}
