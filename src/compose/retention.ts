/** The worker's side of retention: which jobs go by themselves, and how those of deleted tenants come to an end. */
import { isAppError } from '../domain/errors';
import type { JobRef } from '../domain/batch/job';
import type { ServerConfig } from '../platform/config';
import { createJobChanges } from '../platform/postgres/job-changes';
import { createRetentionStore } from '../platform/postgres/retention-store';
import { startRetention } from '../workers/retention';
import { type Common, eventsOf, type Setting } from './parts';

export function openRetention({ log, lifecycle }: Setting<ServerConfig>, { database, engine }: Common): void {
  const cancel = async (ref: JobRef): Promise<boolean> => {
    try {
      await database.transaction((tx) => createJobChanges(tx, eventsOf(tx)).cancel(ref));
    } catch (error) {
      if (isAppError(error) && (error.code === 'job_already_ended' || error.code === 'not_found'))
        return false;
      throw error;
    }
    // The sweep does it later where Temporal is away.
    await engine.wake(ref).catch((err: unknown) => log.warn({ err }, 'a cancelled job was not woken'));
    return true;
  };
  const retention = startRetention({
    store: createRetentionStore(database, eventsOf),
    cancel,
    log,
    onError: (err) => log.warn({ err }, 'retention failed and is tried again'),
  });
  lifecycle.onClose('retention', () => retention.stop());
}
