import path from 'node:path';
import { openRemote } from '../frame/remote';
import type { ContenderRequest, Measured, Place } from './contender';

/** A contender in a process of its own. */
export interface RemoteContender {
  run(itemCount: number): Promise<Measured>;
  close(): void;
}

/** Starts the process of `<entry>.ts` beside this file; an abort of `signal` kills it. */
export async function openContender(
  entry: string,
  place: Place,
  signal: AbortSignal,
): Promise<RemoteContender> {
  const remote = openRemote<ContenderRequest, Measured | null>(path.join(__dirname, `${entry}.js`), signal);
  try {
    await remote.ask({ type: 'open', place });
  } catch (error) {
    remote.close();
    throw error;
  }
  return {
    run: async (itemCount) => {
      const measured = await remote.ask({ type: 'run', itemCount });
      if (measured === null) throw new Error(`${entry} measured nothing`);
      return measured;
    },
    close: remote.close,
  };
}
