import { type ChildProcess, type Serializable, fork } from 'node:child_process';
import path from 'node:path';
import { StartFailure } from '../../tools/process/failure';

/** A part of a bench in a process of its own. */
export interface Remote<Request, Answer> {
  readonly pid: number;
  /** One question at a time. Rejects with what went wrong there, or when it ends instead of answering. */
  ask(request: Request): Promise<Answer>;
  close(): void;
}

/** What goes back over the channel. */
export type RemoteAnswer<Answer> =
  | { readonly type: 'answered'; readonly answer: Answer }
  | { readonly type: 'failed'; readonly reason: string };

/** Starts `file`, which calls `serveRemote`; an abort of `signal` kills it. */
export function openRemote<Request extends Serializable, Answer>(
  file: string,
  signal: AbortSignal,
): Remote<Request, Answer> {
  signal.throwIfAborted();
  const child = fork(file, {
    execArgv: ['--disable-warning=ExperimentalWarning', '--enable-source-maps'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const close = (): void => {
    signal.removeEventListener('abort', close);
    child.kill('SIGKILL');
  };
  signal.addEventListener('abort', close);
  const name = path.basename(file, '.js');
  return { pid: child.pid ?? -1, ask: (request) => ask<Answer>(child, name, request), close };
}

async function ask<Answer>(child: ChildProcess, name: string, request: Serializable): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null, how: string | null): void => {
      reject(new StartFailure(`${name} ended (${how ?? `exit code ${code}`})`));
    };
    child.once('exit', onExit);
    child.once('message', (message: RemoteAnswer<Answer>) => {
      child.off('exit', onExit);
      if (message.type === 'failed') reject(new StartFailure(`${name}: ${message.reason}`));
      else resolve(message.answer);
    });
    child.send(request);
  });
}
