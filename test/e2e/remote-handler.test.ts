import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ApplicationFailure } from '@temporalio/common';
import { NativeConnection, Worker } from '@temporalio/worker';
import type { Loan } from '../../src/workflows/batch/ports';
import {
  control,
  createJob,
  expectOneResultEach,
  jobEnded,
  jobThat,
  numbered,
  readJob,
  resultLines,
  uploadNumbered,
} from '../support/job-client';
import { type Product, startProduct } from '../support/product';
import { installQuietRuntime } from '../support/runtime';
import { testServers } from '../support/servers';

const DECLARATION = { name: 'far', description: 'Elsewhere.', remote: true };

type Work = (loan: Loan) => Promise<unknown>;

/** What docs/remote-handlers.md asks of a worker, in its least form: each item's output is its input. */
async function echo(loan: Loan): Promise<unknown> {
  const headers = { authorization: `Bearer ${loan.token}`, 'content-type': 'application/x-ndjson' };
  const claim = (await (await fetch(loan.claim_url, { method: 'POST', headers })).json()) as {
    epoch: number | null;
    stop: string | null;
  };
  if (claim.epoch === null) return { stop: claim.stop };
  const held = { ...headers, 'millrace-epoch': String(claim.epoch) };
  for (let after = ''; ; ) {
    const page = await fetch(loan.items_url + after, { headers: held });
    const lines = (await page.text()).split('\n').filter((line) => line !== '');
    const items = lines.map((line) => JSON.parse(line) as { index: number; input: unknown });
    const body = items.map(({ index, input }) => JSON.stringify({ index, output: input })).join('\n');
    await fetch(loan.results_url, { method: 'POST', headers: held, body });
    const next = page.headers.get('millrace-next');
    if (next === null) return { epoch: claim.epoch };
    after = `?after=${next}`;
  }
}

describe('a handler served by another process', () => {
  let product: Product;
  let connection: NativeConnection;
  const loans: Loan[] = [];

  /** Runs while a worker serves `far` as `work` says, the n-th loan with the n-th. */
  async function served<T>(work: readonly Work[], during: () => Promise<T>): Promise<T> {
    let n = 0;
    const worker = await Worker.create({
      connection,
      namespace: product.namespace,
      taskQueue: 'handler.far',
      activities: {
        process_items: (loan: Loan) => {
          loans.push(loan);
          return (work[n++] ?? work.at(-1) ?? echo)(loan);
        },
      },
    });
    return worker.runUntil(during);
  }

  beforeAll(async () => {
    installQuietRuntime();
    const folder = mkdtempSync(path.join(tmpdir(), 'millrace-handlers-'));
    writeFileSync(path.join(folder, 'far.handler.json'), JSON.stringify(DECLARATION));
    product = await startProduct({ env: { MILLRACE_HANDLERS_DIR: folder } });
    // A slash at its end must not double.
    await product.startWorker({ MILLRACE_PUBLIC_URL: `${product.url}/` });
    connection = await NativeConnection.connect({ address: testServers().temporalAddress });
  });
  beforeEach(() => {
    loans.length = 0;
  });
  afterAll(async () => {
    await connection.close();
    await product.close();
  });

  test('every chunk is lent, and Temporal sees ids, addresses and a token, but neither items nor params', async () => {
    const { id } = await uploadNumbered(
      product,
      { handler: 'far', params: { secret: 'hunter2' } },
      numbered(4_000, { text: 'hunter2' }),
    );
    await served([echo], () => expectOneResultEach(product, id, { total: 4_000 }));
    expect(new Set(loans.map(({ chunk }) => chunk)).size).toBe(16);
    for (const loan of loans) {
      expect(JSON.stringify(loan)).not.toContain('hunter2');
      expect(JSON.stringify(loan).length).toBeLessThan(1_000);
      expect(loan).toMatchObject({ contract: 1, job_id: id, handler: 'far' });
    }
  });

  test('a worker that does nothing, fails for good or answers nonsense costs some seconds, not the job', async () => {
    const { id } = await createJob(product, { handler: 'far', items: numbered(40) });
    const nothing: Work = async () => undefined;
    const failing: Work = async () => {
      throw ApplicationFailure.nonRetryable('no');
    };
    const nonsense: Work = async () => ({ epoch: 'x', stop: 12, wait_ms: -1, items: 'x'.repeat(10_000) });
    await served([nothing, failing, nonsense, echo], () => expectOneResultEach(product, id, { total: 40 }));
    expect(loans).toHaveLength(4);
  });

  test('a worker that comes back after another has taken its chunk changes nothing', async () => {
    const { id } = await createJob(product, { handler: 'far', items: numbered(40) });
    const answers: number[] = [];
    const twice: Work = async (loan) => {
      const headers = { authorization: `Bearer ${loan.token}`, 'content-type': 'application/x-ndjson' };
      const { epoch } = (await (await fetch(loan.claim_url, { method: 'POST', headers })).json()) as {
        epoch: number;
      };
      const end = await echo(loan);
      const late = await fetch(loan.results_url, {
        method: 'POST',
        headers: { ...headers, 'millrace-epoch': String(epoch) },
        body: '{"index":0,"output":{"n":"late"}}',
      });
      answers.push(late.status);
      return end;
    };
    await served([twice], () => expectOneResultEach(product, id, { total: 40 }));
    expect(answers).toEqual([409]);
  });

  test('without a worker a job waits, is paused, resumed and cancelled at once, and one that comes later serves it', async () => {
    const waiting = await createJob(product, { handler: 'far', items: numbered(40) });
    const unwanted = await createJob(product, { handler: 'far', items: numbered(40) });
    for (const { id } of [waiting, unwanted]) {
      await jobThat(product, id, { what: 'the start', fits: ({ status }) => status === 'running' });
      await control(product, id, 'pause');
      expect(await readJob(product, id)).toMatchObject({ status: 'paused' });
      await control(product, id, 'resume');
    }
    await control(product, unwanted.id, 'cancel');
    expect(await jobEnded(product, unwanted.id, 10_000)).toMatchObject({
      status: 'cancelled',
      counts: { cancelled: 40 },
    });
    await served([echo], () => expectOneResultEach(product, waiting.id, { total: 40 }));
  });

  test('items that another loan is to try again wait outside of it', async () => {
    const failing: Work = async (loan) => {
      const headers = { authorization: `Bearer ${loan.token}`, 'content-type': 'application/x-ndjson' };
      const { epoch } = (await (await fetch(loan.claim_url, { method: 'POST', headers })).json()) as {
        epoch: number;
      };
      const error = { code: 'busy', message: 'later', retry_after_ms: 2_500 };
      const body = numbered(40).map(({ n }) => JSON.stringify({ index: n, attempt: 1, error }));
      await fetch(loan.results_url, {
        method: 'POST',
        headers: { ...headers, 'millrace-epoch': String(epoch) },
        body: body.join('\n'),
      });
      return { epoch };
    };
    const { id } = await createJob(product, {
      handler: 'far',
      items: numbered(40),
      options: { retry: { max_attempts: 2, initial_interval_ms: 1 } },
    });
    await served([failing, echo], () => expectOneResultEach(product, id, { total: 40 }));
    expect(loans).toHaveLength(2);
    for (const line of await resultLines(product, id)) expect(line.attempts).toBe(2);
  });

  test('a worker of the engine refuses to start where nobody could find the API', async () => {
    const worker = product.startWorker();
    await expect(worker).rejects.toThrow(/exited with 78[^]*MILLRACE_PUBLIC_URL is needed: far/);
  });
});
