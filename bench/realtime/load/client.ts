import { setTimeout as delay } from 'node:timers/promises';
import { serveRemote } from '../../frame/serve-remote';
import type { Audience, Place } from '../target';
import { type Connection, openConnection } from './connection';
import { createDeliveries, type Delivered, type Follower } from './deliveries';

export type ClientRequest =
  /** Opens connections beside those that are open. `published`: events of each topic so far */
  | {
      readonly type: 'connect';
      readonly place: Place;
      readonly audience: Audience;
      readonly published: readonly number[];
    }
  /** Answers what came since the last question, once each subscriber has every event of its topic. */
  | { readonly type: 'collect'; readonly published: readonly number[] }
  | { readonly type: 'drop' };

const connectsAtOnce = 100;
const collectMs = 60_000;
const pollEveryMs = 20;

const deliveries = createDeliveries();
const followers: Follower[] = [];
const connections: Connection[] = [];
let failure: Error | undefined;

/** The subscribers, in a process of their own: what they cost is not the server's. */
serveRemote(async (request: ClientRequest): Promise<Delivered | null> => {
  if (request.type === 'connect') return connect(request);
  if (request.type === 'collect') return collect(request.published);
  for (const connection of connections.splice(0)) connection.drop();
  followers.length = 0;
  return null;
});

async function connect({ place, audience, published }: ClientRequest & { type: 'connect' }): Promise<null> {
  const { protocol } = audience;
  let opened = 0;
  const openMore = async (): Promise<void> => {
    while (opened < audience.connections) {
      const topic = opened % place.topics.length;
      opened += 1;
      const follower = { topic, next: (published[topic] ?? 0) + 1 };
      const connection = openConnection({ place, protocol, follower, deliveries, onFailure });
      followers.push(follower);
      connections.push(connection);
      await connection.subscribed;
    }
  };
  await Promise.all(Array.from({ length: connectsAtOnce }, openMore));
  return null;
}

function onFailure(error: Error): void {
  failure ??= error;
}

async function collect(published: readonly number[]): Promise<Delivered> {
  const deadline = performance.now() + collectMs;
  const missing = (): number =>
    followers.reduce((sum, { topic, next }) => sum + (published[topic] ?? 0) + 1 - next, 0);
  while (failure === undefined && missing() > 0 && performance.now() < deadline) await delay(pollEveryMs);
  if (failure !== undefined) throw failure;
  if (missing() > 0) throw new Error(`${missing()} deliveries did not come within ${collectMs / 1_000} s`);
  const result = deliveries.result();
  deliveries.reset();
  return result;
}
