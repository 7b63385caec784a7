import type { Redis } from 'ioredis';

/** What is told of a topic: progress of a job, with a mark. */
export interface Told {
  readonly counts: Readonly<Record<string, number>>;
  readonly rate_per_second: number;
  readonly eta_seconds: number;
  readonly mark: string;
}

/** How one entrant is told of something by another process. */
export interface Publisher {
  /** Resolves when it can't be lost any more, as far as that is promised. */
  publish(topic: string, told: Told): Promise<unknown>;
}

export type OpenPublisher = (redis: Redis) => Publisher;

export function toldOf(number: number, mark: string): Told {
  const [total, running, failed] = [1_000_000, 100, number % 7];
  const succeeded = number * 100;
  const counts = {
    total,
    pending: total - running - failed - succeeded,
    running,
    succeeded,
    failed,
    cancelled: 0,
  };
  return { counts, rate_per_second: 1_234.5, eta_seconds: 678, mark };
}
