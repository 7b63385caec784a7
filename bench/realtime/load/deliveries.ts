import { clockMicros, markBytes, markStart, readMark } from '../mark';

/** Events that came, from their publication to the moment at which their bytes were read here. */
export interface Delivered {
  readonly count: number;
  readonly latencyMs: Readonly<Record<'p50' | 'p95' | 'p99' | 'max', number>>;
}

/** One subscriber. */
export interface Follower {
  readonly topic: number;
  /** number of the event that must come next */
  next: number;
}

export interface Deliveries {
  /** Counts each event whose mark is whole in these bytes. Throws for one that is missing, out of order or here twice. */
  take(follower: Follower, bytes: Buffer): void;
  /** Begins anew. */
  reset(): void;
  result(): Delivered;
}

const startSize = 1 << 16;

export function createDeliveries(): Deliveries {
  let latencies = new Float64Array(startSize);
  let count = 0;
  const add = (micros: number): void => {
    if (count === latencies.length) {
      const more = new Float64Array(2 * count);
      more.set(latencies);
      latencies = more;
    }
    latencies[count] = micros;
    count += 1;
  };
  return {
    take: (follower, bytes) => {
      const now = clockMicros();
      for (let at = bytes.indexOf(markStart); at >= 0; at = bytes.indexOf(markStart, at + markBytes)) {
        if (at + markBytes > bytes.length) return;
        const { number, micros } = readMark(bytes, at);
        if (number !== follower.next) {
          throw new Error(`a subscriber got event ${number} of its topic where ${follower.next} was due`);
        }
        follower.next += 1;
        add(now - micros);
      }
    },
    reset: () => {
      count = 0;
    },
    result: () => summary(latencies.slice(0, count).sort()),
  };
}

function summary(sortedMicros: Float64Array): Delivered {
  const count = sortedMicros.length;
  const quantileMs = (share: number): number =>
    (sortedMicros[Math.max(0, Math.ceil(share * count) - 1)] ?? Number.NaN) / 1_000;
  const latencyMs = {
    p50: quantileMs(0.5),
    p95: quantileMs(0.95),
    p99: quantileMs(0.99),
    max: quantileMs(1),
  };
  return { count, latencyMs };
}
