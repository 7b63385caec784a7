import { startSupervised, type SupervisedProduct } from '../support/supervisor';
import { expectToSurviveKills } from './kills';

describe('kill -9 of the worker at random moments, at length', () => {
  let supervised: SupervisedProduct;

  beforeAll(async () => {
    supervised = await startSupervised();
  });
  afterAll(() => supervised.close());

  test('ten times in one job of 100,000 items: exactly one result per item, its own, in order, and counts and sums that are right', async () => {
    await expectToSurviveKills(supervised, { items: 100_000, ms: 40, kills: 10 });
  }, 900_000);
});
