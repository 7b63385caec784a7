import type { Duration } from '@temporalio/common';
import { sleep } from '@temporalio/workflow';

/** Sleeps and answers how long that took by the workflow's own clock. */
export async function sleeper(duration: Duration): Promise<number> {
  const startedAt = Date.now();
  await sleep(duration);
  return Date.now() - startedAt;
}
