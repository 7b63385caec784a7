/** The WebSockets that are open: counted, pinged, and sent away when the process ends. */
import { type ReconnectOptions, reconnectInMs } from './reconnect';
import { CLOSE, type SocketConnection } from './socket-connection';
import { createHeartbeat } from './socket-heartbeat';
import type { StreamMetrics } from './stream-metrics';

export interface RosterOptions extends ReconnectOptions {
  metrics: Pick<StreamMetrics, 'opened' | 'closed'>;
  pingMs: number;
  pongMs: number;
}

export function createRoster({ metrics, pingMs, pongMs, ...reconnect }: RosterOptions) {
  const onSilent = ({ ws }: SocketConnection): void => ws.terminate();
  const heartbeat = createHeartbeat<SocketConnection>({ pingMs, pongMs, onSilent });
  const connections = new Set<SocketConnection>();
  let draining = false;
  const sendAway = (connection: SocketConnection, together: number): void => {
    connection.send({ type: 'goodbye', reconnect_after_ms: reconnectInMs(reconnect, together) });
    connection.close(CLOSE.serviceRestart);
  };
  return {
    get size(): number {
      return connections.size;
    },
    add(connection: SocketConnection): void {
      const rest = heartbeat.add(connection);
      connections.add(connection);
      metrics.opened('websocket');
      connection.ws.once('close', () => {
        connections.delete(connection);
        metrics.closed('websocket');
        rest();
      });
      if (draining) sendAway(connection, connections.size);
    },
    drain(): void {
      draining = true;
      for (const connection of [...connections]) sendAway(connection, connections.size);
    },
  };
}
