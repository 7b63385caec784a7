import { setTimeout as delay } from 'node:timers/promises';
import { type JobAnswer, type MillraceClient, createMillraceClient } from '../client/millrace';
import { itemOf } from '../contenders/items';
import type { BenchContext } from '../frame/bench';
import { median, quantile } from '../measure/stats';
import { table } from '../measure/table';

export interface Distribution {
  readonly median: number;
  readonly p95: number;
  readonly min: number;
  readonly max: number;
}

export interface Latency {
  readonly samples: number;
  readonly pollEveryMs: number;
  /** From the request that makes the job to its answer. */
  readonly acceptedMs: Distribution;
  /** From the same moment to the answer of `GET results` that has the item's line. */
  readonly firstResultMs: Distribution;
}

const pollEveryMs = 5;
const warmUpSamples = 5;

/** Jobs of one inline item, one after the other: each ends before the next begins. */
export async function measureLatency(
  { facts, signal, say }: BenchContext,
  samples: number,
): Promise<Latency> {
  const client = createMillraceClient(facts);
  say(`\nJobs of one item: ${samples}`);
  const taken: Sample[] = [];
  try {
    for (let n = -warmUpSamples; n < samples; n += 1) {
      signal.throwIfAborted();
      const sample = await takeSample(client, n + warmUpSamples);
      if (n >= 0) taken.push(sample);
    }
  } finally {
    client.close();
  }
  return {
    samples,
    pollEveryMs,
    acceptedMs: distribution(taken.map(({ acceptedMs }) => acceptedMs)),
    firstResultMs: distribution(taken.map(({ firstResultMs }) => firstResultMs)),
  };
}

interface Sample {
  readonly acceptedMs: number;
  readonly firstResultMs: number;
}

async function takeSample(client: MillraceClient, n: number): Promise<Sample> {
  const item = itemOf(n);
  const startedAt = performance.now();
  const { id } = JSON.parse(
    await client.send('POST', '/v1/jobs', { handler: 'echo', items: [item] }),
  ) as JobAnswer;
  const acceptedMs = performance.now() - startedAt;
  let line = '';
  while ((line = await client.send('GET', `/v1/jobs/${id}/results`)) === '') await delay(pollEveryMs);
  const firstResultMs = performance.now() - startedAt;
  const { output } = JSON.parse(line) as { output: unknown };
  if (JSON.stringify(output) !== JSON.stringify(item)) throw new Error(`the result of ${id} is ${line}`);
  await client.ended(id);
  return { acceptedMs, firstResultMs };
}

function distribution(values: readonly number[]): Distribution {
  return {
    median: median(values),
    p95: quantile(values, 0.95),
    min: Math.min(...values),
    max: Math.max(...values),
  };
}

export function latencyLines({ samples, acceptedMs, firstResultMs }: Latency): string[] {
  const row = (name: string, { median: middle, p95, min, max }: Distribution): string[] => [
    name,
    ...[middle, p95, min, max].map((value) => value.toFixed(1)),
  ];
  return table([
    [`ms, ${samples} jobs of one item`, 'median', 'p95', 'min', 'max'],
    row('POST answered', acceptedMs),
    row(`first result (GET results, asked every ${pollEveryMs} ms)`, firstResultMs),
  ]);
}
