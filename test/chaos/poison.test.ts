import { createJob, expectCrashed } from '../support/job-client';
import { startSupervised, type SupervisedProduct } from '../support/supervisor';

describe('an item that ends the process, or never yields, costs nobody but itself', () => {
  let supervised: SupervisedProduct;

  beforeAll(async () => {
    supervised = await startSupervised({ env: { MILLRACE_FROZEN_LIMIT_MS: '5000' } });
  });
  afterAll(() => supervised.close());

  test('an item that ends the process fails alone as handler_crashed; all others succeed', async () => {
    const { product } = supervised;
    const items = Array.from({ length: 400 }, (_, n) => ({ n, crash: n === 137 }));
    const { id } = await createJob(product, { handler: 'crash', items });
    await expectCrashed(product, id, { of: 400, index: 137 });
  }, 300_000);

  test('an item that never yields fails alone as handler_crashed; all others succeed', async () => {
    const { product, supervisor } = supervised;
    const items = Array.from({ length: 20 }, (_, n) => ({ n, spin: n === 3 }));
    const { id } = await createJob(product, { handler: 'spin', items });
    await expectCrashed(product, id, { of: 20, index: 3 });
    expect(supervisor.logs()).toMatch(/"level":"fatal".*the event loop stood still for 5000 ms/);
  }, 300_000);
});
