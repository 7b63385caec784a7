import { setTimeout as delay } from 'node:timers/promises';
import type { Child } from '../process/child';
import type { ProcessIdentity } from '../process/identity';
import type { StopManner } from '../process/stop';

export type RecordIdentity = (identity: ProcessIdentity) => void;

/** A program that can be started (again and again) and says when it is ready. */
export interface Server {
  readonly name: string;
  readonly stop: StopManner;
  /** For how long a launch that ends at once is repeated; default is not at all. */
  readonly retryMs?: number;
  launch(record: RecordIdentity): Child;
  /** Resolves when the child answers; rejects with a StartFailure when it ends or takes too long. */
  ready(child: Child): Promise<void>;
}

const retryEveryMs = 500;

/** Starts a server and waits until it answers; one that never does is ended again. */
export async function startServer(server: Server, record: RecordIdentity): Promise<Child> {
  const retryUntil = performance.now() + (server.retryMs ?? 0);
  for (;;) {
    const child = server.launch(record);
    try {
      await server.ready(child);
      return child;
    } catch (error) {
      const endedByItself = child.hasExited();
      if (!endedByItself) child.process.kill('SIGKILL');
      await child.exited;
      if (!endedByItself || performance.now() >= retryUntil) throw error;
    }
    await delay(retryEveryMs);
  }
}
