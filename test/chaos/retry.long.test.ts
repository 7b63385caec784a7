import { setTimeout as delay } from 'node:timers/promises';
import { withChance } from '../support/chance';
import { type JobBody, jobEnded, numbered, resultLines, uploadNumbered } from '../support/job-client';
import { startSupervised, type SupervisedProduct } from '../support/supervisor';

const ITEMS = 100_000;
/** Longer than it takes to copy the items. */
const WITHIN_MS = 3_000;

describe('kill -9 of the worker while a retry takes its items over', () => {
  let supervised: SupervisedProduct;

  beforeAll(async () => {
    supervised = await startSupervised();
  });
  afterAll(() => supervised.close());

  test('the retry has each item once, under its name, and with its parent one success per item', async () => {
    const { product, supervisor } = supervised;
    await withChance(async (chance) => {
      const items = numbered(ITEMS, { ms: 50 }).map((item) => ({ ...item, good_at: item.n === 0 ? 2 : 1 }));
      const body = { handler: 'flaky', options: { tolerated_failure: { count: 0 } } };
      const { id } = await uploadNumbered(product, body, items);
      const parent = await jobEnded(product, id);
      expect(parent).toMatchObject({ status: 'failed', counts: { total: ITEMS, failed: 1 } });

      const child = await product.json<JobBody>('POST', `/v1/jobs/${id}/retry`, {
        options: { retry: { max_attempts: 2 }, tolerated_failure: null },
      });
      for (let kill = 0; kill < 2; kill++) {
        await delay(chance.between(0, WITHIN_MS));
        await supervisor.kill();
      }
      const total = ITEMS - parent.counts.succeeded;
      expect(await jobEnded(product, child.id, 300_000)).toMatchObject({
        status: 'completed',
        counts: { total, succeeded: total, failed: 0, cancelled: 0 },
      });

      const before = (await resultLines(product, id)).filter(({ status }) => status === 'succeeded');
      const retried = await resultLines(product, child.id);
      expect(retried.map(({ index }) => index)).toEqual(numbered(total).map(({ n }) => n));
      const named = [...before, ...retried].map(({ custom_id, output }) => ({
        custom_id,
        n: (output as { n: number }).n,
      }));
      named.sort((a, b) => a.n - b.n);
      expect(named).toEqual(numbered(ITEMS).map(({ n }) => ({ custom_id: String(n), n })));
    });
  }, 600_000);
});
