/** Writes outcomes; those that the database refuses for their data are halved until the bad one is found, which then fails. */
import { isAppError } from '../errors';
import type { ItemOutcome } from '../handler/contract';

export async function writeHalving(
  outcomes: readonly ItemOutcome[],
  write: (some: readonly ItemOutcome[]) => Promise<void>,
): Promise<void> {
  try {
    await write(outcomes);
  } catch (error) {
    const [first] = outcomes;
    if (!isAppError(error) || error.code !== 'output_not_storable' || first === undefined) throw error;
    if (outcomes.length === 1) return write([unstorable(first, error.detail)]);
    const middle = outcomes.length >> 1;
    await writeHalving(outcomes.slice(0, middle), write);
    await writeHalving(outcomes.slice(middle), write);
  }
}

function unstorable(outcome: ItemOutcome, message: string): ItemOutcome {
  const error = { code: 'output_not_storable', message };
  return { ...outcome, status: 'failed', output: null, error };
}
