import path from 'node:path';
import { type TestServerExecutable, findTimeSkippingServer } from '../../tools/servers/time-skipping';

/**
 * Options for `TestWorkflowEnvironment.createTimeSkipping`: a server whose clock jumps over what nobody waits for.
 * It knows no Schedules and moves only Temporal's clock, not this process'.
 */
export async function timeSkippingServerOptions(): Promise<{ server: { executable: TestServerExecutable } }> {
  return { server: { executable: await findTimeSkippingServer(path.resolve(__dirname, '../..')) } };
}
