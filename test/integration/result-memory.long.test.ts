import { MB, type SlowDownloads, startSlowDownloads } from '../support/slow-download';

const RESULTS = 1_500;
/** A fourth of what goes out, and the bound that one process of the product has. */
const RSS_MAX = 400 * MB;

let downloads: SlowDownloads;
let jobId: string;

beforeAll(async () => {
  downloads = await startSlowDownloads();
  jobId = await downloads.jobOf(RESULTS);
}, 120_000);

afterAll(() => downloads.close());

test.each([
  ['ndjson', 'identity'],
  ['ndjson', 'gzip'],
  ['csv', 'identity'],
  ['parquet', 'identity'],
])(
  '1.5 GB as %s (%s) go out with the API below 400 MB',
  async (format, accept) => {
    const { rssMax } = await downloads.take(jobId, { format, accept });
    expect(rssMax).toBeLessThan(RSS_MAX);
  },
  300_000,
);
