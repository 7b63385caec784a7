import { type ApiClient, createTenantWith } from '../support/api-client';
import { createExecutionLog } from '../support/execution-log';
import {
  control,
  createJob,
  expectOneResultEach,
  type JobBody,
  jobEnded,
  jobThat,
  numbered,
  readJob,
  resultLines,
} from '../support/job-client';
import { HANDLERS_DIR, type Product, startProduct } from '../support/product';
import { isCopying, itemCount, refuseEnds } from '../support/rows';
import { until } from '../support/wait';

/** The guarantee is 2 s; five times that tells it from an item's 30 s on any machine. */
const EFFECT_MS = 10_000;
const QUICK = 10;
/** A few that end at once, then some that outlive every test. */
const slowItems = Array.from({ length: 60 }, (_, n) => ({ n, ms: n < QUICK ? 0 : 30_000 }));
const slow = { handler: 'tick', items: slowItems };
const patient = { item_timeout_ms: 60_000 };

describe('controls, whatever the job is at', () => {
  let product: Product;

  beforeAll(async () => {
    product = await startProduct({ env: { MILLRACE_HANDLERS_DIR: HANDLERS_DIR } });
    await product.startWorker();
  });
  afterAll(() => product.close());

  /** Once the quick ones have ended and slow ones are in flight. */
  const underWay = (client: ApiClient, id: string): Promise<JobBody> =>
    jobThat(client, id, {
      what: 'items in flight',
      fits: ({ counts }) => counts.succeeded === QUICK && counts.running > 0,
    });

  test('pause and resume take effect though items in flight take 30 s, and don’t touch those', async () => {
    const log = createExecutionLog();
    const long = 4;
    const items = numbered(300).map(({ n }) => ({ n, ms: n < long ? 30_000 : 300, log: log.file }));
    const options = { ...patient, max_concurrency: long + 1 };
    const { id } = await createJob(product, { handler: 'clocked', items, options });
    await until('a stream of short ones beside the long ones', () => log.begins().length > long + 3);
    await control(product, id, 'pause');
    const atRest = async (): Promise<number | false> => {
      const begun = log.begins().length;
      // In this time three more would begin.
      const other = await createJob(product, { handler: 'tick', items: [{ n: 0, ms: 1_000 }] });
      await jobEnded(product, other.id);
      return log.begins().length === begun && begun;
    };
    const begun = await until('a rest', atRest, EFFECT_MS);
    await control(product, id, 'resume');
    await until('the stream to go on', () => log.begins().length > begun + 3, EFFECT_MS);
    expect(log.steps().filter(({ what, n }) => what === 'end' && n < long)).toEqual([]);
    await control(product, id, 'cancel');
    await jobEnded(product, id);
  });

  describe('cancel', () => {
    test('during an upload the job ends at once; the upload is refused and leaves nothing behind', async () => {
      const { id } = await createJob(product, { handler: 'echo' });
      const { body, send, end } = openBody();
      const upload = product.call('PUT', `/v1/jobs/${id}/items`, body, {
        'content-type': 'application/x-ndjson',
      });
      send('1\n'.repeat(50_000));
      await until('rows on their way', () => isCopying(product));
      expect(await control(product, id, 'cancel')).toMatchObject({
        status: 'cancelled',
        counts: { total: 0 },
      });
      send('2\n');
      end();
      const answer = await upload;
      expect(answer.status).toBe(409);
      expect(await answer.json()).toMatchObject({ code: 'job_not_open' });
      await until('nothing left of the upload', async () => (await itemCount(product.databaseUrl, id)) === 0);
      expect(await readJob(product, id)).toMatchObject({ status: 'cancelled', counts: { total: 0 } });
    });

    test('while finalizing it is too late: 409, as for pause and new limits, and the job ends as it would have', async () => {
      const accept = await refuseEnds(product.databaseUrl);
      const { id } = await createJob(product, { handler: 'tick', items: numbered(100) });
      await jobThat(product, id, { what: 'finalizing', fits: ({ status }) => status === 'finalizing' });
      for (const [method, route, body] of [
        ['POST', `/v1/jobs/${id}/cancel`, undefined],
        ['POST', `/v1/jobs/${id}/pause`, undefined],
        ['POST', `/v1/jobs/${id}/resume`, undefined],
        ['PATCH', `/v1/jobs/${id}`, { options: { max_concurrency: 1 } }],
      ] as const) {
        const answer = await product.call(method, route, body);
        expect(answer.status).toBe(409);
        expect(await answer.json()).toMatchObject({ code: 'job_already_ended' });
      }
      expect((await readJob(product, id)).status).toBe('finalizing');
      await accept();
      await expectOneResultEach(product, id, { total: 100 });
    });

    test('while paused: what was done stays, the rest is cancelled', async () => {
      const { id } = await createJob(product, { ...slow, options: { ...patient, max_concurrency: 5 } });
      await underWay(product, id);
      await control(product, id, 'pause');
      await control(product, id, 'cancel');
      expect(await jobEnded(product, id, EFFECT_MS)).toMatchObject({
        status: 'cancelled',
        counts: { total: 60, succeeded: QUICK, failed: 0, cancelled: 50 },
      });
    });
  });

  describe('expiry', () => {
    const expires = { ...patient, expires_in_seconds: 3 };
    const expectExpired = async (client: ApiClient, id: string, succeeded: number): Promise<void> => {
      const job = await jobEnded(client, id, 3_000 + EFFECT_MS);
      expect(job).toMatchObject({
        status: 'expired',
        error: { code: 'expired' },
        counts: { total: 60, succeeded, failed: 0, cancelled: 60 - succeeded, pending: 0, running: 0 },
      });
      expect(Date.parse(job.ended_at ?? '')).toBeGreaterThanOrEqual(Date.parse(job.expires_at ?? ''));
      const lines = await resultLines(client, id);
      expect(lines.filter(({ status }) => status === 'succeeded').map(({ index }) => index)).toEqual(
        numbered(succeeded).map(({ n }) => n),
      );
      expect(lines).toHaveLength(60);
    };

    test('a running job ends in time, also when its items take 30 s; its results stay', async () => {
      const { id } = await createJob(product, { ...slow, options: expires });
      await underWay(product, id);
      await expectExpired(product, id, QUICK);
    });

    test('a paused job ends in time; its results stay', async () => {
      const { id } = await createJob(product, { ...slow, options: { ...expires, max_concurrency: 5 } });
      await underWay(product, id);
      await control(product, id, 'pause');
      await expectExpired(product, id, QUICK);
    });

    test('a job that waits for a seat of its plan ends in time, without having begun', async () => {
      const tenant = await createTenantWith(product, { running_jobs: 2 });
      const seated = await Promise.all([1, 2].map(() => createJob(tenant, { ...slow, options: patient })));
      for (const { id } of seated) await underWay(tenant, id);
      const { id } = await createJob(tenant, { ...slow, options: expires });
      await expectExpired(tenant, id, 0);
      expect((await readJob(tenant, id)).started_at).toBeNull();
      for (const job of seated) {
        await control(tenant, job.id, 'cancel');
        await jobEnded(tenant, job.id, EFFECT_MS);
      }
    });
  });
});

interface OpenBody {
  body: ReadableStream;
  send(text: string): void;
  end(): void;
}

/** A request's body that is written as the test goes on. */
function openBody(): OpenBody {
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  const body = new ReadableStream<Uint8Array>({
    start: (given) => {
      controller = given;
    },
  });
  return { body, send: (text) => controller.enqueue(Buffer.from(text)), end: () => controller.close() };
}
