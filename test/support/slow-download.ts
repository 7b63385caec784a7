/** An API of its own, from which downloads are taken slowly while its memory is watched. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createDatabase } from '../../src/platform/postgres/pool';
import { fillWithResults } from './bulky-job';
import { startProduct } from './product';

export const MB = 1_000_000;

export interface Taken {
  bytes: number;
  /** the API's resident set at its largest, in bytes */
  rssMax: number;
}

export interface SlowDownloads {
  /** An ended job of so many results of 1 MB each. */
  jobOf(results: number): Promise<string>;
  take(jobId: string, how: { format: string; accept: string }): Promise<Taken>;
  close(): Promise<void>;
}

/** So slow that whatever were read ahead of the client would pile up. */
const PAUSE_MS = 5;
const PAUSE_BYTES = 2 * MB;

export async function startSlowDownloads(): Promise<SlowDownloads> {
  const product = await startProduct();
  const api = await product.startApi();
  const database = createDatabase({
    url: product.databaseUrl,
    max: 1,
    applicationName: 'test',
    statementTimeoutMs: 0,
    onIdleError: () => undefined,
  });
  return {
    async jobOf(results) {
      const { id } = await product.json<{ id: string }>('POST', '/v1/jobs', { handler: 'echo' });
      await fillWithResults(database, id, { total: results, pieces: MB / 1_000, kind: 'long' });
      return id;
    },
    async take(jobId, { format, accept }) {
      const response = await fetch(`${api.url}/v1/jobs/${jobId}/results?format=${format}`, {
        headers: { authorization: `Bearer ${product.key}`, 'accept-encoding': accept },
      });
      if (!response.ok) throw new Error(await response.text());
      return takeSlowly(response, () => rssOf(api.pid));
    },
    async close() {
      await database.close();
      await product.close();
    },
  };
}

async function takeSlowly(response: Response, rss: () => number): Promise<Taken> {
  const taken = { bytes: 0, rssMax: 0 };
  let paused = 0;
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    taken.bytes += chunk.length;
    if (taken.bytes - paused < PAUSE_BYTES) continue;
    paused = taken.bytes;
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    taken.rssMax = Math.max(taken.rssMax, rss());
  }
  return { ...taken, rssMax: Math.max(taken.rssMax, rss()) };
}

function rssOf(pid: number): number {
  const file = `/proc/${pid}/status`;
  const kilobytes = existsSync(file)
    ? /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(file, 'utf8'))?.[1]
    : execFileSync('ps', ['-o', 'rss=', '-p', String(pid)]).toString();
  return Number(kilobytes) * 1024;
}
