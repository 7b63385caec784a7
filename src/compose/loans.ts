/** The worker's side of handlers in other languages: their chunks are lent out and taken back. */
import { createLoans } from '../activities/remote/loans';
import type { HandlerRegistry } from '../domain/handler/contract';
import { isRemote } from '../domain/handler/remote';
import { systemClock } from '../platform/clock';
import { ConfigError, type WorkerConfig } from '../platform/config';
import { createChunkStore } from '../platform/postgres/chunk-store';
import { createLoanStore } from '../platform/postgres/loan-store';
import type { RunStore } from '../platform/postgres/run-store';
import { createChunkTokens } from '../platform/secrets/chunk-token';
import type { BatchLoanActivities } from '../workflows/batch/ports';
import type { Common, Setting } from './parts';

interface Parts {
  common: Common;
  runs: RunStore;
  handlers: HandlerRegistry;
  timeBoxMs: number;
}

/** @throws ConfigError where there are remote handlers and nobody could find the API */
export function loanActivities({ config }: Setting<WorkerConfig>, parts: Parts): BatchLoanActivities {
  const { common, runs, handlers, timeBoxMs } = parts;
  const remote = handlers.list().find(isRemote);
  if (remote !== undefined && config.publicUrl === undefined) {
    throw new ConfigError([`MILLRACE_PUBLIC_URL is needed: ${remote.name} is served by remote workers`]);
  }
  return createLoans({
    chunks: createChunkStore(common.database),
    loans: createLoanStore(common.database),
    runs,
    handlers,
    tokens: createChunkTokens(config.secretKeys),
    publicUrl: config.publicUrl ?? '',
    now: systemClock.now,
    timeBoxMs,
  });
}
