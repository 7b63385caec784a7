import { Connection } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { installQuietRuntime } from './runtime';
import { testServers } from './servers';

export interface TestTemporal {
  connection: Connection;
  /** of workers */
  native: NativeConnection;
  close(): Promise<void>;
}

/** The shared Temporal server, for tests that run workers of their own; once per test file. */
export async function connectTemporal(): Promise<TestTemporal> {
  installQuietRuntime();
  const address = testServers().temporalAddress;
  const connection = await Connection.connect({ address });
  const native = await NativeConnection.connect({ address });
  return {
    connection,
    native,
    async close() {
      await connection.close();
      await native.close();
    },
  };
}
