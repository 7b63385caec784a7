/** The client's connection to Temporal. */
import { Client, Connection, defaultGrpcRetryOptions, makeGrpcRetryInterceptor } from '@temporalio/client';
import type { TemporalTarget } from './namespace';

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
  /** What `call` asks of the server fails after `ms`. */
  within<T>(ms: number, call: () => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

const RETRY_DELAY_MAX_MS = 1_000;

/** Does not wait for the server: calls fail until it is there, so the process starts while Temporal is away. */
export function connectTemporal({ address, namespace }: TemporalTarget): TemporalClient {
  const retries = createRetries();
  const connection = Connection.lazy({
    address,
    channelArgs: RECONNECT_FAST,
    interceptors: [retries.interceptor],
  });
  return {
    client: new Client({ connection, namespace }),
    connection,
    within: withinTime(connection),
    close: async () => {
      await retries.end();
      await connection.close();
    },
  };
}

/**
 * The SDK keeps a call's deadline in an AsyncLocalStorage. Once one was used, Node follows every promise and every socket of
 * the process with hooks, for ever: a tenth of what a small request costs. So it is off while no call is under way.
 */
function withinTime(connection: Connection): TemporalClient['within'] {
  let underWay = 0;
  return async (ms, call) => {
    underWay++;
    try {
      return await connection.withDeadline(Date.now() + ms, call);
    } finally {
      underWay--;
      if (underWay === 0) connection.callContextStorage.disable();
    }
  };
}

/**
 * The SDK's retries, which can be ended: a retry whose timer fires on a closed channel throws where nobody can catch it, and
 * would turn a shutdown while Temporal is away into a crash.
 */
function createRetries() {
  const { delayFunction, retryableDecider } = defaultGrpcRetryOptions();
  let ended = false;
  let lastRetryAtMs = 0;
  const interceptor = makeGrpcRetryInterceptor({
    retryableDecider: (attempt, status) => !ended && retryableDecider(attempt, status),
    delayFunction: (attempt, status) => {
      const delayMs = Math.min(RETRY_DELAY_MAX_MS, delayFunction(attempt, status));
      lastRetryAtMs = Math.max(lastRetryAtMs, performance.now() + delayMs);
      return delayMs;
    },
  });
  return {
    interceptor,
    /** Resolves when no retry is to come any more. */
    end: async () => {
      ended = true;
      const waitMs = lastRetryAtMs - performance.now();
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs + 50));
    },
  };
}
