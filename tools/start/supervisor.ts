import { setTimeout as delay } from 'node:timers/promises';
import type { Child } from '../process/child';
import { identify } from '../process/identity';
import { stopChild } from '../process/stop';
import { type Server, startServer } from '../servers/server';
import type { Role } from './roles';
import type { StateFile } from './state-file';

export interface SupervisorOptions {
  readonly state: StateFile;
  /** One line for a person: something ended, or is back. */
  readonly notify: (line: string) => void;
  /** Called when a child was replaced by another. */
  readonly onReplaced: () => void;
  /** For tests; the default suits people. */
  readonly backOff?: BackOff;
}

export interface BackOff {
  readonly firstMs: number;
  readonly maxMs: number;
  /** A child that ran this long has proven itself: its next end begins the back-off anew. */
  readonly provenMs: number;
}

export interface Supervisor {
  /** Starts a part and from then on restarts it whenever it ends. Rejects when the first start fails. */
  start(role: Role, server: Server): Promise<void>;
  pidOf(role: Role): number | null;
  logFiles(): string[];
  /** Stops everything, users before servers; from then on nothing is started any more. */
  stopAll(hurry: AbortSignal): Promise<void>;
}

interface Part {
  readonly role: Role;
  readonly server: Server;
  child: Child | null;
  /** Start or restart under way. */
  starting: Promise<void>;
  startedAt: number;
  failures: number;
}

const usualBackOff: BackOff = { firstMs: 500, maxMs: 30_000, provenMs: 60_000 };
const stopOrder: readonly (readonly Role[])[] = [['worker', 'api'], ['temporal'], ['redis'], ['postgres']];

export function createSupervisor(options: SupervisorOptions): Supervisor {
  const parts = new Map<Role, Part>();
  const stopping = new AbortController();
  const keeper = createKeeper(options, stopping.signal);
  return {
    start: async (role, server) => {
      stopping.signal.throwIfAborted();
      const part: Part = {
        role,
        server,
        child: null,
        starting: Promise.resolve(),
        startedAt: 0,
        failures: 0,
      };
      parts.set(role, part);
      const launched = keeper.launch(part);
      part.starting = launched.catch(() => undefined);
      await launched;
    },
    pidOf: (role) => parts.get(role)?.child?.pid ?? null,
    logFiles: () => [...parts.values()].flatMap(({ child }) => (child ? [child.logFile] : [])),
    stopAll: async (hurry) => {
      stopping.abort();
      for (const group of stopOrder) {
        await Promise.all(
          group.map(async (role) => {
            const part = parts.get(role);
            if (part) await stopPart(part, options.state, hurry);
          }),
        );
      }
    },
  };
}

async function stopPart(part: Part, state: StateFile, hurry: AbortSignal): Promise<void> {
  if (part.child) await stopChild(part.child, part.server.stop, hurry);
  // A restart that was under way may have launched one more.
  await part.starting;
  if (part.child) await stopChild(part.child, part.server.stop, hurry);
  state.forget(part.role);
}

/** Launches parts and looks after them: after each end comes a restart, later and later while they fail. */
function createKeeper(
  { state, notify, onReplaced, backOff = usualBackOff }: SupervisorOptions,
  stopping: AbortSignal,
): { launch(part: Part): Promise<void> } {
  async function launch(part: Part): Promise<void> {
    const observed: Server = {
      ...part.server,
      launch: (record) => {
        stopping.throwIfAborted();
        part.child = part.server.launch(record);
        return part.child;
      },
    };
    const child = await startServer(observed, (identity) => {
      state.record(part.role, identity);
    });
    // A wrapper on PATH is another program by now than when it was launched.
    const settled = identify(child.pid);
    if (settled) state.record(part.role, settled);
    part.startedAt = performance.now();
    void child.exited.then((how) => {
      if (!stopping.aborted) part.starting = restart(part, how);
    });
  }

  async function restart(part: Part, how: string): Promise<void> {
    if (performance.now() - part.startedAt > backOff.provenMs) part.failures = 0;
    notify(`${part.server.name} ended (${how})`);
    while (!stopping.aborted) {
      const waitMs = Math.min(backOff.firstMs * 2 ** part.failures, backOff.maxMs);
      part.failures += 1;
      if (!(await sleeps(waitMs))) return;
      try {
        await launch(part);
        notify(`${part.server.name} is back (pid ${part.child?.pid}, after ${waitMs / 1000} s)`);
        onReplaced();
        return;
      } catch (error) {
        if (!stopping.aborted) notify(`${part.server.name} does not come back: ${(error as Error).message}`);
      }
    }
  }

  /** False when the wait was cut short by a stop. */
  async function sleeps(durationMs: number): Promise<boolean> {
    return delay(durationMs, true, { signal: stopping }).catch(() => false);
  }

  return { launch };
}
