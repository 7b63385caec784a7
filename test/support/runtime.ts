import { DefaultLogger, Runtime } from '@temporalio/worker';

/** Temporal's SDK, quiet, and without signal handlers of its own; once per test file. */
export function installQuietRuntime(): void {
  Runtime.install({ shutdownSignals: [], logger: new DefaultLogger('ERROR') });
}
