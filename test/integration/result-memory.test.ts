import { MB, type SlowDownloads, startSlowDownloads } from '../support/slow-download';

let downloads: SlowDownloads;

beforeAll(async () => {
  downloads = await startSlowDownloads();
});

afterAll(() => downloads.close());

test.each([
  ['ndjson', 100, 500],
  ['parquet', 60, 300],
])('as %s, results of %i MB and of %i MB go out in the same memory', async (format, few, many) => {
  const short = await downloads.take(await downloads.jobOf(few), { format, accept: 'identity' });
  const long = await downloads.take(await downloads.jobOf(many), { format, accept: 'identity' });
  if (format === 'ndjson') expect(long.bytes).toBeGreaterThan(many * MB);
  // What grows with a download would grow by five times that.
  expect(long.rssMax - short.rssMax).toBeLessThan(((many - few) / 5) * MB);
});
