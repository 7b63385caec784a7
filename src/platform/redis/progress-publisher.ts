/**
 * `job.progress` at most 4 times a second per job over all workers, the last one never dropped: three as the job goes on,
 * which leaves room for the last one to go out at once, so that a job's end waits for nothing.
 *
 * A gate in Redis (one key per job) is shared by the workers. It has the turn of whoever reads the state, and then, from the
 * very publication on, is shut for the interval; that step looks whose turn it is, so however long reading takes, two
 * publications are never closer. A turn is only given after the one before, and its holder reads after that: who finds another
 * turn than at first knows that what they wanted to say is said in it. The last progress takes the turn from whoever has it.
 */
import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Progress } from '../../domain/batch/progress';
import { topicFor } from '../../domain/realtime/event';
import { progressPublication } from '../../domain/realtime/publication';
import { type RealtimeLog, realtimeKeys, type Turn } from './realtime-log';
import { claimTurnScript } from './realtime-scripts';

interface JobRef {
  tenantId: string;
  jobId: string;
}

export interface ProgressPublisher {
  /** Something of this job moved. Returns at once and never throws. */
  touch(ref: JobRef): void;
  /**
   * Publishes the last progress of a job without waiting for its turn, in place of what any process had yet to publish.
   * Never rejects. Call it before the job's final change.
   */
  flush(ref: JobRef): Promise<void>;
  /** Publishes what is pending. */
  close(): Promise<void>;
}

export interface ProgressPublisherOptions {
  redis: Redis;
  prefix: string;
  realtime: Pick<RealtimeLog, 'publishInTurn'>;
  read(ref: JobRef): Promise<Progress>;
  /** A progress that is lost costs latency only. */
  onLost: (error: unknown) => void;
  intervalMs?: number;
  /** A turn is over after that, with nothing said: who had it has died, or reads what is old by now. */
  turnMs?: number;
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
const TURN_MS = 10_000;

export function createProgressPublisher(options: ProgressPublisherOptions): ProgressPublisher {
  const jobs = new Map<string, Pending>();
  const turns = createTurns(options);

  const publish = async (pending: Pending): Promise<void> => {
    const turn = await turns.wait(pending);
    if (turn === undefined) return;
    // What moved up to here is read now.
    pending.again = false;
    await turns.use(turn, pending.ref);
  };

  const run = async (pending: Pending): Promise<void> => {
    do {
      pending.again = false;
      await publish(pending).catch(options.onLost);
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
      const last = turns.take(ref).then((turn) => turns.use(turn, ref));
      await last.catch(options.onLost);
    },
    async close() {
      await Promise.all([...jobs.values()].map((pending) => pending.running));
    },
  };
}

function createTurns(options: ProgressPublisherOptions) {
  const { redis, realtime, intervalMs = INTERVAL_MS, turnMs = TURN_MS } = options;
  const keys = realtimeKeys(options.prefix);
  const turnFor = ({ jobId }: JobRef): Turn => ({
    gate: keys.gate(topicFor.job(jobId)),
    id: randomUUID(),
    shutMs: intervalMs,
  });
  return {
    /** undefined: others said it, or will */
    wait: async (pending: Pending): Promise<Turn | undefined> => {
      const turn = turnFor(pending.ref);
      let first: string | undefined;
      while (!pending.dropped) {
        const [holder, leftMs] = await claimTurnScript(redis, [turn.gate], [turn.id, turnMs]);
        if (holder === turn.id) return turn;
        first ??= holder;
        if (holder !== first) return undefined;
        await pause(Math.min(Math.max(leftMs, 0) + 1, intervalMs));
      }
      return undefined;
    },
    /** From whoever has it. */
    take: async (ref: JobRef): Promise<Turn> => {
      const turn = turnFor(ref);
      await redis.set(turn.gate, turn.id, 'PX', turnMs);
      return turn;
    },
    use: async (turn: Turn, ref: JobRef): Promise<void> => {
      try {
        await realtime.publishInTurn([progressPublication(ref.jobId, await options.read(ref))], turn);
      } catch (error) {
        // Else nobody could say anything until it is over.
        await realtime.publishInTurn([], turn).catch(() => undefined);
        throw error;
      }
    },
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
