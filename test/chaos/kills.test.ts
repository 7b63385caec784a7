import { startSupervised, type SupervisedProduct } from '../support/supervisor';
import { expectToSurviveKills } from './kills';

describe('kill -9 of the worker at random moments', () => {
  let supervised: SupervisedProduct;

  beforeAll(async () => {
    supervised = await startSupervised();
  });
  afterAll(() => supervised.close());

  test('three times in one job: exactly one result per item, its own, in order, and counts and sums that are right', async () => {
    await expectToSurviveKills(supervised, { items: 3_000, ms: 40, kills: 3 });
  }, 300_000);
});
