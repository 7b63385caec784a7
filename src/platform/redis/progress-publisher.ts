/**
 * `job.progress` at most 4 times a second per job over all workers, the last one never dropped: three as the job goes on,
 * which leaves room for the last one to go out at once, so that a job's end waits for nothing.
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
  /**
   * Publishes the last progress of a job without waiting for its turn, in place of what this process had yet to publish.
   * Never rejects. Call it before the job's final change.
   */
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
  /** the last progress went out in place of it */
  dropped: boolean;
  running: Promise<void>;
}

const INTERVAL_MS = 334;

export function createProgressPublisher(options: ProgressPublisherOptions): ProgressPublisher {
  const intervalMs = options.intervalMs ?? INTERVAL_MS;
  const keys = realtimeKeys(options.prefix);
  const jobs = new Map<string, Pending>();

  const publish = async (ref: JobRef): Promise<void> => {
    await options.realtime.publish([progressPublication(ref.jobId, await options.read(ref))]);
  };

  const publishInTurn = async (pending: Pending): Promise<void> => {
    const gate = keys.gate(topicFor.job(pending.ref.jobId));
    let left = Number.POSITIVE_INFINITY;
    while (!(await pass(options.redis, gate, intervalMs))) {
      const stillLeft = await leftOf(options.redis, gate, intervalMs);
      // More than before: another process has published meanwhile. Less: our timer was a little early for Redis' clock.
      if (stillLeft > left) return;
      left = stillLeft;
      await pause(left);
      if (pending.dropped) return;
    }
    await publish(pending.ref);
  };

  const run = async (pending: Pending): Promise<void> => {
    do {
      pending.again = false;
      await publishInTurn(pending).catch(options.onLost);
    } while (pending.again && !pending.dropped);
    if (jobs.get(pending.ref.jobId) === pending) jobs.delete(pending.ref.jobId);
  };

  return {
    touch(ref) {
      const known = jobs.get(ref.jobId);
      if (known !== undefined) {
        known.again = true;
        return;
      }
      const pending: Pending = { ref, again: false, dropped: false, running: Promise.resolve() };
      jobs.set(ref.jobId, pending);
      pending.running = run(pending);
    },
    async flush(ref) {
      const known = jobs.get(ref.jobId);
      if (known !== undefined) known.dropped = true;
      await publish(ref).catch(options.onLost);
    },
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
