import { randomBytes } from 'node:crypto';
import type { Connection } from '@temporalio/client';
import { registerSearchAttributes } from '../../src/platform/temporal/namespace';

/** A namespace of its own on the shared Temporal server, so that no other test's worker takes its tasks. */
export async function testNamespace(connection: Connection): Promise<string> {
  const namespace = `test-${randomBytes(6).toString('hex')}`;
  await connection.workflowService.registerNamespace({
    namespace,
    workflowExecutionRetentionPeriod: { seconds: 86_400 as never },
  });
  await registerSearchAttributes(connection, namespace);
  return namespace;
}
