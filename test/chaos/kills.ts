/** kill -9 of the worker at random moments of one job, in as many forms as the tests need. */
import { setTimeout as delay } from 'node:timers/promises';
import { withChance } from '../support/chance';
import {
  expectOneResultEach,
  expectSums,
  numbered,
  succeededOf,
  SUMS,
  uploadNumbered,
} from '../support/job-client';
import type { SupervisedProduct } from '../support/supervisor';

export interface Kills {
  items: number;
  /** of each item */
  ms: number;
  kills: number;
}

/** Results are written every 250 ms and seen right after that; with this, the kill comes anywhere between two writes. */
const BETWEEN_WRITES_MS = 300;

/** One kill somewhere in each equal part of the job but its last. */
export async function expectToSurviveKills(
  { product, supervisor }: SupervisedProduct,
  { items, ms, kills }: Kills,
): Promise<void> {
  await withChance(async (chance) => {
    const { id } = await uploadNumbered(product, { handler: 'tick', reduce: SUMS }, numbered(items, { ms }));
    const part = items / (kills + 1);
    for (let kill = 0; kill < kills; kill++) {
      await succeededOf(product, id, chance.between(kill * part, (kill + 1) * part));
      await delay(chance.between(0, BETWEEN_WRITES_MS));
      await supervisor.kill();
    }
    await expectOneResultEach(product, id, { total: items, limitMs: 300_000 });
    await expectSums(product, id, items);
  });
}
