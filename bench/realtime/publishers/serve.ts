import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { serveRemote } from '../../frame/serve-remote';
import { clockMicros, markOf } from '../mark';
import { openBetterSse } from './better-sse';
import { openMillrace } from './millrace';
import { type OpenPublisher, type Publisher, toldOf } from './publisher';
import { openSocketIo } from './socket-io';

const kinds = { millrace: openMillrace, 'better-sse': openBetterSse, 'socket-io': openSocketIo };
export type PublisherKind = keyof typeof kinds;

export type PublisherRequest =
  | {
      readonly type: 'open';
      readonly kind: PublisherKind;
      readonly redisUrl: string;
      readonly topics: readonly string[];
    }
  | { readonly type: 'publish'; readonly seconds: number; readonly perSecond: number };

/** Events of each topic since it was opened. */
export type Published = readonly number[];

interface Open {
  readonly publisher: Publisher;
  readonly topics: readonly string[];
  readonly counts: number[];
}

let open: Open | undefined;

/** Publishes to one topic after the other, at equal distances, in a process of its own. */
serveRemote(async (request: PublisherRequest): Promise<Published> => {
  if (request.type === 'publish') {
    if (open === undefined) throw new Error('asked to publish before it was opened');
    await publishAll(open, request);
    return open.counts;
  }
  const { kind, redisUrl, topics } = request;
  const openKind: OpenPublisher = kinds[kind];
  open = { publisher: openKind(new Redis(redisUrl)), topics, counts: topics.map(() => 0) };
  return open.counts;
});

async function publishAll(
  { publisher, topics, counts }: Open,
  { seconds, perSecond }: { readonly seconds: number; readonly perSecond: number },
): Promise<void> {
  const total = seconds * perSecond;
  const startedAt = performance.now();
  const underWay: Promise<unknown>[] = [];
  for (let sent = 0; sent < total; sent += 1) {
    const wait = startedAt + (sent * 1_000) / perSecond - performance.now();
    if (wait > 0) await delay(wait);
    const at = sent % topics.length;
    const number = (counts[at] ?? 0) + 1;
    counts[at] = number;
    underWay.push(publisher.publish(topics[at] ?? '', toldOf(number, markOf(number, clockMicros()))));
  }
  await Promise.all(underWay);
}
