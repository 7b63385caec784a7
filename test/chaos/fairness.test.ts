import { expectFairness, expectNoFairness, type Race, startRace } from './fairness';

describe('fairness between tenants', () => {
  let race: Race | undefined;
  afterEach(() => race?.close());

  const sizes = { jobs: 20, itemsPerJob: 1_000, few: 20, ms: 300 };

  test('a tenant with 20 items ends before one with 20,000, who was first, has done a tenth', async () => {
    race = await startRace(true, sizes);
    await expectFairness(race);
  }, 120_000);

  test('with fairness switched off in Temporal it does not: what the test above shows is no accident', async () => {
    race = await startRace(false, sizes);
    await expectNoFairness(race);
  }, 120_000);
});
