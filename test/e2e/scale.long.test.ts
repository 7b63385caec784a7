import { readFileSync } from 'node:fs';
import { createApiClient } from '../support/api-client';
import { startProduct } from '../support/product';
import { jobEnded, uploadJob } from '../support/job-client';

const ITEMS = 1_000_000;
const LINES_AT_ONCE = 10_000;
const RSS_MAX_MB = 400;

/** About 100 bytes each. */
function lines(): ReadableStream<Uint8Array> {
  let n = 0;
  return new ReadableStream({
    pull(controller) {
      if (n === ITEMS) return controller.close();
      let text = '';
      for (const end = n + LINES_AT_ONCE; n < end; n++) {
        text += `{"id":${n},"name":"item number ${n}","text":"some payload of about one hundred bytes","n":${n % 97}}\n`;
      }
      controller.enqueue(Buffer.from(text));
    },
  });
}

/** The most that a process has had in memory, by Linux' own account. */
function peakMb(pid: number): number {
  const [, kb = '0'] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kb) / 1_024;
}

/** Bytes and lines, with nothing kept. */
async function measure(body: ReadableStream<Uint8Array>): Promise<{ lines: number }> {
  let count = 0;
  for await (const part of body) for (const byte of part) if (byte === 10) count++;
  return { lines: count };
}

describe('a job of a million items', () => {
  test('works from upload to download with API and worker each below 400 MB', async () => {
    const product = await startProduct();
    try {
      const api = await product.startApi();
      const worker = await product.startWorker();
      const client = createApiClient({ url: api.url, key: product.key });
      const upload = { body: { handler: 'echo' }, contentType: 'application/x-ndjson', items: lines() };
      const { id } = await uploadJob(client, upload);
      const job = await jobEnded(client, id, 600_000);
      expect(job).toMatchObject({ status: 'completed', counts: { total: ITEMS, succeeded: ITEMS } });
      const results = await client.call('GET', `/v1/jobs/${id}/results`);
      expect(await measure(results.body as ReadableStream<Uint8Array>)).toEqual({ lines: ITEMS });
      expect(peakMb(api.pid)).toBeLessThan(RSS_MAX_MB);
      expect(peakMb(worker.pid)).toBeLessThan(RSS_MAX_MB);
    } finally {
      await product.close();
    }
  }, 900_000);
});
