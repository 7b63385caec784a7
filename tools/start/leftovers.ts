import { StartFailure } from '../process/failure';
import { type ProcessIdentity, isAlive } from '../process/identity';
import { type StopManner, endOrphan } from '../process/stop';
import { postgresStop } from '../servers/postgres';
import type { Role } from './roles';
import type { StateFile } from './state-file';

/** In the order of a shutdown: those that use a server before the server. */
const order: readonly (readonly Role[])[] = [['api', 'worker'], ['temporal', 'redis'], ['postgres']];
const productStop: StopManner = { signal: 'SIGTERM', graceMs: 20_000 };
const serverStop: StopManner = { signal: 'SIGTERM', graceMs: 10_000 };

/** What an earlier run left behind and still lives. */
export function livingLeftovers(state: StateFile): [Role, ProcessIdentity][] {
  return [...state.leftovers].filter(([, identity]) => isAlive(identity));
}

/** Ends them: an API or worker without its launcher would go on beside the new one, unseen. */
export async function endLeftovers(state: StateFile): Promise<void> {
  for (const group of order) {
    const living = livingLeftovers(state).filter(([role]) => group.includes(role));
    await Promise.all(
      living.map(async ([role, identity]) => {
        if (await endOrphan(identity, mannerOf(role))) return;
        throw new StartFailure(
          `${role} (pid ${identity.pid}) of an earlier run can't be ended; end it by hand`,
        );
      }),
    );
  }
  for (const role of state.leftovers.keys()) state.forget(role);
}

function mannerOf(role: Role): StopManner {
  if (role === 'postgres') return postgresStop;
  return role === 'api' || role === 'worker' ? productStop : serverStop;
}
