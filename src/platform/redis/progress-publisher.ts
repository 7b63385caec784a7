/**
 * `job.progress` at most 4 times a second per job over all workers, the last one never dropped.
 *
 * A gate in Redis (one key per job that lives for the interval) is shared by the workers. Who finds it shut tries once more
 * when it opens; shut a second time, somebody opened it after the first try, and what they read includes what we wanted to say.
 */
import type { Redis } from 'ioredis';
import type { Progress } from '../../domain/batch/progress';
import { topicFor } from '../../domain/realtime/event';
import { progressPublication } from '../../domain/realtime/publication';
import { type RealtimeLog, realtimeKeys } from './realtime-log';

interface JobRef {
  tenantId: string;
  jobId: string;
}

export interface ProgressPublisher {
  /** Something of this job moved. Returns at once and never throws. */
  touch(ref: JobRef): void;
  /** Resolves when what has moved so far was published; never rejects. Call it before the job's final change. */
  flush(ref: JobRef): Promise<void>;
  /** Publishes what is pending. */
  close(): Promise<void>;
}

export interface ProgressPublisherOptions {
  redis: Redis;
  prefix: string;
  realtime: Pick<RealtimeLog, 'publish'>;
  read(ref: JobRef): Promise<Progress>;
  /** A progress that is lost costs latency only. */
  onLost: (error: unknown) => void;
  intervalMs?: number;
}

/** One job of this process: `running` publishes until nothing is pending. */
interface Pending {
  ref: JobRef;
  again: boolean;
  running: Promise<void>;
}

const INTERVAL_MS = 250;

export function createProgressPublisher(options: ProgressPublisherOptions): ProgressPublisher {
  const intervalMs = options.intervalMs ?? INTERVAL_MS;
  const keys = realtimeKeys(options.prefix);
  const jobs = new Map<string, Pending>();

  const publishOnce = async (ref: JobRef): Promise<void> => {
    const gate = keys.gate(topicFor.job(ref.jobId));
    if (!(await pass(options.redis, gate, intervalMs))) {
      await pause(await leftOf(options.redis, gate, intervalMs));
      if (!(await pass(options.redis, gate, intervalMs))) return;
    }
    await options.realtime.publish([progressPublication(ref.jobId, await options.read(ref))]);
  };

  const run = async (pending: Pending): Promise<void> => {
    do {
      pending.again = false;
      await publishOnce(pending.ref).catch(options.onLost);
    } while (pending.again);
    jobs.delete(pending.ref.jobId);
  };

  const touch = (ref: JobRef): Promise<void> => {
    const known = jobs.get(ref.jobId);
    if (known !== undefined) {
      known.again = true;
      return known.running;
    }
    const pending: Pending = { ref, again: false, running: Promise.resolve() };
    jobs.set(ref.jobId, pending);
    pending.running = run(pending);
    return pending.running;
  };

  return {
    touch: (ref) => void touch(ref),
    flush: touch,
    async close() {
      await Promise.all([...jobs.values()].map((pending) => pending.running));
    },
  };
}

async function pass(redis: Redis, gate: string, intervalMs: number): Promise<boolean> {
  return (await redis.set(gate, '1', 'PX', intervalMs, 'NX')) === 'OK';
}

async function leftOf(redis: Redis, gate: string, intervalMs: number): Promise<number> {
  // -2: it has just opened; a key without expiry is not ours, and the next try says so.
  const left = await redis.pttl(gate);
  return Math.min(Math.max(left, 0) + 1, intervalMs);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
