import { first, type Protocol } from '../target';
import type { Speaker, SpeakerOptions } from './protocol';
import { sseSpeaker } from './sse';
import { type Talk, webSocketSpeaker } from './web-socket';

/** How each protocol asks for one topic and what it has to answer. */
export const speakers: Readonly<Record<Protocol, (options: SpeakerOptions) => Speaker>> = {
  sse: ({ topic, ...rest }) => sseSpeaker(`/v1/jobs/${topic}/events`, rest),
  websocket: (options) => webSocketSpeaker(ourTalk(options), options),
  'socket-io': (options) => webSocketSpeaker(socketIoTalk(options), options),
};

/** Ours: the acknowledgement, then the topic's state, then what happens. */
function ourTalk({ topic, line }: SpeakerOptions): Talk {
  let subscribed = false;
  return {
    path: '/v1/realtime',
    opened: (send) => send(JSON.stringify({ type: 'subscribe', topic: `job:${topic}` })),
    message: (payload) => {
      if (subscribed) return line.events(payload);
      const { type, event } = JSON.parse(payload.toString()) as { type: string; event?: string };
      if (type === 'error') throw new Error(`a subscription was refused: ${payload.toString()}`);
      subscribed = event === first;
      if (subscribed) line.subscribed();
    },
  };
}

/** Engine.IO 4 and Socket.IO 5 (their protocols' numbers), by WebSocket from the beginning. */
function socketIoTalk({ topic, line }: SpeakerOptions): Talk {
  const packet = { open: '0', ping: '2', pong: '3', event: '42' };
  let subscribed = false;
  return {
    path: '/socket.io/?EIO=4&transport=websocket',
    opened: () => undefined,
    message: (payload, send) => {
      if (payload.length === 1 && payload.toString() === packet.ping) return send(packet.pong);
      if (subscribed) return line.events(payload);
      const text = payload.toString();
      if (text.startsWith(packet.open)) return send(`40${JSON.stringify({ topic })}`);
      subscribed = text.startsWith(`${packet.event}["${first}"`);
      if (subscribed) line.subscribed();
    },
  };
}
