/**
 * Removes jobs that are past the retention of their tenant's plan, and all jobs of deleted tenants. Several workers share it,
 * batch by batch; nothing is remembered but in the rows themselves.
 *
 *   a deleted tenant: open jobs are cancelled -> their workflows end them -> ended ones are removed -> nothing left: cleared
 */
import { type Loop, startLoop } from './loop';

interface JobRef {
  tenantId: string;
  jobId: string;
}

export interface RetentionDeps {
  /** See src/platform/postgres/retention-store.ts. */
  store: {
    removeOld(from?: string): Promise<{ removed: number; next: string | undefined }>;
    leaving(after?: string): Promise<string[]>;
    removeOf(tenantId: string): Promise<number>;
    openOf(tenantId: string): Promise<JobRef[]>;
    markCleared(tenantId: string): Promise<void>;
  };
  /** As an operator's cancel. @returns false where the job has just come to its end */
  cancel(ref: JobRef): Promise<boolean>;
  log: { info(fields: object, message: string): void };
}

export interface RetentionOptions extends RetentionDeps {
  onError(error: unknown): void;
  /** between two looks at what is past its retention, and at deleted tenants */
  oldMs?: number;
  deletedMs?: number;
}

const OLD_MS = 60_000;
const DELETED_MS = 5_000;
/** Jobs that are cancelled at once. */
const AT_ONCE = 4;

export function startRetention({ oldMs, deletedMs, onError, ...deps }: RetentionOptions): Loop {
  const stopped = new AbortController();
  const { signal } = stopped;
  const loops = [
    startLoop({ intervalMs: oldMs ?? OLD_MS, step: () => removeOldJobs(deps, signal), onError }),
    startLoop({ intervalMs: deletedMs ?? DELETED_MS, step: () => clearTenants(deps, signal), onError }),
  ];
  return {
    stop: async () => {
      stopped.abort();
      await Promise.all(loops.map((loop) => loop.stop()));
    },
  };
}

/** One round over all tenants. @returns how many jobs went */
export async function removeOldJobs({ store, log }: RetentionDeps, signal: AbortSignal): Promise<number> {
  let jobs = 0;
  let from: string | undefined;
  do {
    const { removed, next } = await store.removeOld(from);
    jobs += removed;
    from = next;
  } while (from !== undefined && !signal.aborted);
  if (jobs > 0) log.info({ jobs }, 'jobs past the retention of their plans are removed');
  return jobs;
}

/** One round over the deleted tenants. @returns how many jobs went, or were asked to end */
export async function clearTenants(deps: RetentionDeps, signal: AbortSignal): Promise<number> {
  let jobs = 0;
  let page = await deps.store.leaving();
  while (page.length > 0 && !signal.aborted) {
    for (const tenantId of page) jobs += await clearTenant(deps, tenantId, signal);
    page = await deps.store.leaving(page.at(-1));
  }
  return jobs;
}

async function clearTenant(
  { store, cancel, log }: RetentionDeps,
  tenantId: string,
  signal: AbortSignal,
): Promise<number> {
  const cancelled = await untilNone(signal, async () => {
    const open = (await store.openOf(tenantId)).values();
    let asked = 0;
    const work = async (): Promise<void> => {
      for (const ref of open) if (await cancel(ref)) asked++;
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    return asked;
  });
  const removed = await untilNone(signal, () => store.removeOf(tenantId));
  if (cancelled + removed > 0) {
    log.info({ tenant_id: tenantId, cancelled, removed }, 'jobs of a deleted tenant');
  } else await store.markCleared(tenantId);
  return cancelled + removed;
}

async function untilNone(signal: AbortSignal, some: () => Promise<number>): Promise<number> {
  let all = 0;
  for (let n = 1; n > 0 && !signal.aborted; all += n) n = await some();
  return all;
}
