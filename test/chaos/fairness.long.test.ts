import { expectFairness, expectNoFairness, type Race, startRace } from './fairness';

describe('fairness between tenants, at length', () => {
  let race: Race | undefined;
  afterEach(() => race?.close());

  const sizes = { jobs: 20, itemsPerJob: 10_000, few: 100, ms: 60 };

  test('a tenant with 100 items ends before one with 200,000, who was first, has done a tenth', async () => {
    race = await startRace(true, sizes);
    await expectFairness(race);
  }, 300_000);

  test('with fairness switched off in Temporal it does not', async () => {
    race = await startRace(false, sizes);
    await expectNoFairness(race);
  }, 300_000);
});
