import type { Counts } from '../../src/domain/batch/job';
import type { Product, RawBody } from './product';
import { until } from './wait';

export interface JobBody {
  id: string;
  status: string;
  counts: Counts;
}

export interface ResultLine {
  index: number;
  custom_id: string;
  status: 'succeeded' | 'failed' | 'cancelled';
  output: unknown;
  error: { code: string; message: string } | null;
  attempts: number;
}

const FINAL = ['completed', 'completed_with_errors', 'failed', 'cancelled', 'expired'];

/** A job with inline items, which starts at once. */
export function createJob(product: Product, body: object): Promise<JobBody> {
  return product.json<JobBody>('POST', '/v1/jobs', body);
}

/** A job whose items come by upload; it is started after that. */
export async function uploadJob(
  product: Product,
  job: { body: object; contentType: string; items: RawBody },
): Promise<JobBody> {
  const { id } = await createJob(product, job.body);
  const put = await product.call('PUT', `/v1/jobs/${id}/items`, job.items, {
    'content-type': job.contentType,
  });
  if (!put.ok) throw new Error(`upload: ${put.status} ${await put.text()}`);
  return product.json<JobBody>('POST', `/v1/jobs/${id}/start`);
}

export function jobEnded(product: Product, id: string, limitMs = 120_000): Promise<JobBody> {
  return until(
    `the end of ${id}`,
    async () => {
      const job = await product.json<JobBody>('GET', `/v1/jobs/${id}`);
      return FINAL.includes(job.status) && job;
    },
    limitMs,
  );
}

/** All result lines of a job. */
export async function resultLines(product: Product, id: string): Promise<ResultLine[]> {
  const response = await product.call('GET', `/v1/jobs/${id}/results`);
  const text = await response.text();
  return text === ''
    ? []
    : text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as ResultLine);
}
