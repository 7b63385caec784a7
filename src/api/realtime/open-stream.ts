/** What the routes of server-sent events share: who follows a topic takes a seat, and leaves it when the stream ends. */
import type { Context } from 'koa';
import type { Principal, Scope } from '../../domain/key/scopes';
import { parseCursor } from '../../domain/realtime/topic-log';
import type { Credential } from '../access/ports';
import { type TakenAnswer, taken } from '../respond';
import type { Admission } from './admission';
import type { SseHub } from './sse-hub';
import type { FollowedTopic, FollowOptions, Start, Streams } from './streams';
import type { Subscriber } from './transport';

export interface OpenStreamDeps {
  sse: Pick<SseHub, 'join'>;
  streams: Streams;
  admission: Admission;
}

export interface StreamWish {
  principal: Principal;
  credential: Credential;
  scopes: readonly Scope[];
  topic: FollowedTopic;
  follow: FollowOptions;
}

/** Takes the response over. @throws AppError `too_many_connections` */
export async function openStream(
  { sse, streams, admission }: OpenStreamDeps,
  { req, res }: Pick<Context, 'req' | 'res'>,
  { topic, follow, ...entrant }: StreamWish,
): Promise<TakenAnswer> {
  let client: Subscriber | undefined;
  let ended = false;
  const stay = await admission.admit(entrant, () => {
    ended = true;
    client?.end('over');
  });
  try {
    client = sse.join({ req, res });
  } catch (error) {
    stay.leave();
    throw error;
  }
  client.onClose(() => stay.leave());
  if (ended) client.end('over');
  else streams.open(topic, client, follow);
  return taken();
}

/** @param query of the address, whichever name the cursor has there */
export function startOf(ctx: Pick<Context, 'get'>, query: CursorQuery): Start {
  // The header is the newer: a reconnecting EventSource sends it with the address it started from.
  const cursor = ctx.get('Last-Event-ID') || query.last_event_id || query.lastEventId;
  if (cursor === undefined || cursor === '') return 'now';
  return parseCursor(cursor) ?? 'unknown';
}

export interface CursorQuery {
  last_event_id?: string | undefined;
  lastEventId?: string | undefined;
}
