import { EventEmitter } from 'node:events';
import type { SocketConnection } from '../../src/api/realtime/socket-connection';
import { createSocketHub } from '../../src/api/realtime/socket-hub';
import { SocketSession } from '../../src/api/realtime/socket-session';
import { createStreams } from '../../src/api/realtime/streams';
import { createTurnstile } from '../../src/api/realtime/turnstile';
import { newId } from '../../src/platform/clock';
import { countStreams, silent } from '../integration/realtime-support';
import { until } from '../support/wait';

const nothing = (): void => undefined;

/** One that reads nothing, so that whatever waits for it waits for ever. */
function stuckConnection() {
  const ws = Object.assign(new EventEmitter(), { pause: nothing, resume: nothing });
  const told: { type: string }[] = [];
  const connection = {
    ...{ ws, closed: false, heard: nothing, onClosing: nothing, write: nothing },
    send: (message: { type: string }) => void told.push(message),
    drained: () => new Promise<void>(nothing),
  };
  const command = (value: object): void => void ws.emit('message', Buffer.from(JSON.stringify(value)), false);
  return { connection: connection as unknown as SocketConnection, told, command };
}

test('a client that is behind on many topics and reads nothing has a few pages of them held for it', async () => {
  let pages = 0;
  const tenantId = newId('tenant');
  const streams = createStreams({
    feed: { subscribe: () => nothing },
    log: {
      cursor: async () => 1,
      finalCursor: async () => 1,
      replay: async (_topic, cursor) => {
        pages++;
        const entry = { id: cursor + 1, type: 'job.progress', payload: '{"data":{}}' };
        return { state: 'entries', entries: [entry], cursor: entry.id, more: true };
      },
    },
    readJob: async () => ({ status: 'running' }),
    snapshots: createTurnstile(1),
    items: { watch: () => nothing },
    onFailure: nothing,
  });
  const sockets = createSocketHub({ random: () => 0, metrics: countStreams() });
  const gate = { admit: async () => ({ kind: 'job' as const, tenantId, jobId: newId('job') }) };
  const { connection, told, command } = stuckConnection();
  const asker = { principal: { tenantId, scopes: ['jobs:read' as const] } };
  const session = new SocketSession(
    { sockets, gate, streams, monotonicMs: () => 0 },
    { connection, asker, topicsMax: 100, stay: { needs: nothing }, log: silent },
  );
  session.start();
  for (let n = 0; n < 50; n++) command({ type: 'subscribe', topic: `job:${newId('job')}`, from: 1 });
  await until('all are followed', () => told.length === 50);
  await new Promise(setImmediate);
  expect(told.every(({ type }) => type === 'subscribed')).toBe(true);
  expect(pages).toBe(4);
});
