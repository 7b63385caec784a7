import { type ChildProcess, fork } from 'node:child_process';
import path from 'node:path';
import { StartFailure } from '../../tools/process/failure';
import type { ContenderAnswer, ContenderRequest, Measured, Place } from './contender';

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
  signal.throwIfAborted();
  const child = fork(path.join(__dirname, `${entry}.js`), {
    execArgv: ['--disable-warning=ExperimentalWarning', '--enable-source-maps'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const close = (): void => {
    child.kill('SIGKILL');
  };
  signal.addEventListener('abort', close);
  const ask = asker(entry, child);
  try {
    await ask({ type: 'open', place });
  } catch (error) {
    close();
    throw error;
  }
  return {
    run: async (itemCount) => {
      const answer = await ask({ type: 'run', itemCount });
      if (answer.type !== 'ran') throw new Error(`${entry} answered ${answer.type}`);
      return answer.measured;
    },
    close,
  };
}

/** One question at a time; a process that ends instead of answering has failed. */
function asker(
  entry: string,
  child: ChildProcess,
): (request: ContenderRequest) => Promise<Exclude<ContenderAnswer, { type: 'failed' }>> {
  return async (request) =>
    new Promise((resolve, reject) => {
      const onExit = (code: number | null, how: string | null): void => {
        reject(new StartFailure(`${entry} ended (${how ?? `exit code ${code}`})`));
      };
      child.once('exit', onExit);
      child.once('message', (answer: ContenderAnswer) => {
        child.off('exit', onExit);
        if (answer.type === 'failed') reject(new StartFailure(`${entry}: ${answer.reason}`));
        else resolve(answer);
      });
      child.send(request);
    });
}
