/** The client's connection to Temporal. */
import { Client, Connection } from '@temporalio/client';
import type { TemporalTarget } from './search-attributes';

/**
 * gRPC's own back-off grows to two minutes, which would leave a process deaf for up to 35 s after a long outage;
 * with these it is back within 2 s. A pool of its own keeps other clients' back-off out of it.
 */
const RECONNECT_FAST = {
  'grpc.initial_reconnect_backoff_ms': 200,
  'grpc.min_reconnect_backoff_ms': 200,
  'grpc.max_reconnect_backoff_ms': 1_000,
  'grpc.use_local_subchannel_pool': 1,
};

export interface TemporalClient {
  client: Client;
  connection: Connection;
  close(): Promise<void>;
}

/** Does not wait for the server: calls fail until it is there, so the process starts while Temporal is away. */
export function connectTemporal({ address, namespace }: TemporalTarget): TemporalClient {
  const connection = Connection.lazy({ address, channelArgs: RECONNECT_FAST });
  return {
    client: new Client({ connection, namespace }),
    connection,
    close: () => connection.close(),
  };
}
