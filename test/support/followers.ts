/** Those who follow a topic as clients should: they come back by themselves and go on where they were, by either transport. */
import { EventSource } from 'eventsource';
import { WebSocket } from 'ws';
import type { Told } from './socket-client';

export interface FollowerMessage {
  event: string;
  /** undefined: a client can't go on after it */
  cursor: number | undefined;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- read as it comes; the assertions check its shape
  data: any;
}

export interface Follower {
  /** everything so far, in order */
  readonly told: readonly FollowerMessage[];
  /** how its connections ended: the codes of closed WebSockets, or of answers that refuse a stream (0: it was open) */
  readonly ends: readonly number[];
  close(): void;
}

export interface FollowWish {
  /** of an API process */
  url: string;
  key: string;
  /** `job:{id}` or `tenant` */
  topic: string;
}

const EVENTS = ['snapshot', 'progress', 'status', 'ready', 'event', 'cursor', 'reset', 'done'];
const RETRY_MS = 50;
/** There is nothing to come back with. */
const CREDENTIAL_ENDED = 4001;

export function followBySse({ url, key, topic }: FollowWish): Follower {
  const told: FollowerMessage[] = [];
  const ends: number[] = [];
  const path = topic === 'tenant' ? '/v1/events/stream' : `/v1/jobs/${topic.slice(4)}/events`;
  const source = new EventSource(url + path, {
    fetch: (at, init) => fetch(at, { ...init, headers: { ...init.headers, authorization: `Bearer ${key}` } }),
  });
  let last = '';
  for (const event of EVENTS) {
    source.addEventListener(event, ({ data, lastEventId }) => {
      // Of a message without an id it may be that of the one before.
      const cursor = ['', last].includes(lastEventId) ? undefined : Number(lastEventId);
      last = lastEventId;
      told.push({ event, cursor, data: JSON.parse(data as string) });
    });
  }
  source.addEventListener('error', ({ code }) => ends.push(code ?? 0));
  return { told, ends, close: () => source.close() };
}

export function followBySocket({ url, key, topic }: FollowWish): Follower {
  const told: FollowerMessage[] = [];
  const ends: number[] = [];
  let cursor: number | undefined;
  let over = false;
  let ws: WebSocket;
  const connect = (): void => {
    if (over) return;
    const headers = { authorization: `Bearer ${key}` };
    ws = new WebSocket(`${url.replace('http', 'ws')}/v1/realtime`, { headers });
    const subscribe = (): void =>
      ws.send(
        JSON.stringify({ type: 'subscribe', topic, ...(cursor === undefined ? {} : { from: cursor }) }),
      );
    ws.on('open', subscribe);
    ws.on('message', (text: Buffer) => {
      const { type, event = '', data, reason, ...rest } = JSON.parse(text.toString()) as Told;
      if (type === 'event') {
        told.push({ event, cursor: rest.cursor, data });
        cursor = rest.cursor ?? cursor;
      }
      if (type === 'unsubscribed' && reason === 'unavailable') setTimeout(subscribe, RETRY_MS);
    });
    ws.on('error', () => undefined);
    ws.on('close', (code) => {
      ends.push(code);
      if (code !== CREDENTIAL_ENDED) setTimeout(connect, RETRY_MS);
    });
  };
  connect();
  return {
    told,
    ends,
    close: () => {
      over = true;
      ws.terminate();
    },
  };
}
