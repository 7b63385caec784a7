/** Subscribers' view of running jobs: published by whichever process writes results. */
import type { JobRef } from '../domain/batch/job';
import { foretellJob, type Progress } from '../domain/batch/progress';
import { systemClock } from '../platform/clock';
import type { ServerConfig } from '../platform/config';
import { createStores } from '../platform/postgres/stores';
import { createProgressPublisher, type ProgressPublisher } from '../platform/redis/progress-publisher';
import type { Common, Setting } from './parts';

export function openProgress(
  { config, log, lifecycle }: Setting<ServerConfig>,
  common: Common,
): ProgressPublisher {
  const progress = createProgressPublisher({
    redis: common.redis,
    prefix: config.redisPrefix,
    realtime: common.realtime,
    read: (ref) => readProgress(common, ref),
    onLost: (err) => log.debug({ err }, 'a progress was not published'),
  });
  lifecycle.onClose('progress', () => progress.close());
  return progress;
}

async function readProgress({ database }: Common, ref: JobRef): Promise<Progress> {
  const job = await createStores(database).jobs.find(ref);
  return { counts: job.counts, ...foretellJob(job, job.counts, systemClock.now()) };
}
