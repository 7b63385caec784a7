/** The parent's side of one host: start it, give it one slice after the other, notice its end. */
import { type ChildProcess, fork } from 'node:child_process';
import type { FromHost, HostLimits, Outcomes, Slice, SliceEnd, ToHost } from './protocol';
import { compiledScript } from './script';

/**
 * How a slice ended. lost: the host ended first;
 * `aborted`: by V8, as it does when memory runs out in one stroke · `killed`: from outside, or for being stuck.
 */
export type SliceResult = { kind: 'end'; end: SliceEnd } | { kind: 'lost'; cause: 'aborted' | 'killed' };

export interface HostProcess {
  /** One at a time. `onOutcomes` is called while it runs. */
  run(slice: Slice, onOutcomes: (outcomes: Outcomes) => void): Promise<SliceResult>;
  /** Begin nothing more of this slice. */
  stop(sliceId: number): void;
  /** Resolves when the process is gone. */
  kill(): Promise<void>;
  readonly pid: number | undefined;
}

/** A host answers within the slice's time and one item's; one that takes this much longer is stuck. */
const STUCK_AFTER_MS = 10_000;
const SECOND_LOOK_MS = 1_000;
const START_WITHIN_MS = 30_000;

/** Of V8, for the thread too. A schema becomes code before values are held against it. */
const NO_CODE_FROM_TEXT = '--disallow-code-generation-from-strings';

interface Running {
  slice: Slice;
  onOutcomes(outcomes: Outcomes): void;
  resolve(result: SliceResult): void;
  timer: NodeJS.Timeout;
}

/** @throws Error where the process ends before it is ready. `onExit` is called once it has been ready. */
export async function startHost(limits: HostLimits, onExit: () => void): Promise<HostProcess> {
  const child = fork(compiledScript('host'), [JSON.stringify(limits)], {
    env: {},
    execArgv: limits.work === 'schemas' ? ['--no-warnings'] : [NO_CODE_FROM_TEXT, '--no-warnings'],
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  await untilReady(child);
  return attach(child, gone, onExit);
}

function untilReady(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error): void => {
      clearTimeout(timer);
      child.off('message', onReady).off('error', settle).off('exit', onExit);
      if (error === undefined) resolve();
      else reject(error);
    };
    const onReady = (): void => settle();
    const onExit = (code: number | null, signal: string | null): void =>
      settle(new Error(`A sandbox process ended while it started (${signal ?? code}).`));
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      settle(new Error(`A sandbox process was not ready within ${START_WITHIN_MS} ms.`));
    }, START_WITHIN_MS);
    child.on('message', onReady).on('error', settle).on('exit', onExit);
  });
}

function attach(child: ChildProcess, gone: Promise<void>, onExit: () => void): HostProcess {
  let running: Running | undefined;
  const settle = (result: SliceResult): void => {
    const ended = running;
    running = undefined;
    clearTimeout(ended?.timer);
    idle(child);
    ended?.resolve(result);
  };
  const send = (message: ToHost): void => {
    // A failure to send is followed by the exit, which settles the slice.
    if (child.connected) child.send(message, () => {});
  };
  child.on('message', (message: FromHost) => {
    if (message.kind === 'ready' || message.id !== running?.slice.id) return;
    if (message.kind === 'outcomes') running.onOutcomes(message);
    else settle({ kind: 'end', end: message });
  });
  child.on('error', () => child.kill('SIGKILL'));
  child.on('exit', (code, signal) => {
    settle({ kind: 'lost', cause: signal === 'SIGABRT' || code === 134 ? 'aborted' : 'killed' });
    onExit();
  });
  idle(child);
  return {
    pid: child.pid,
    run: (slice, onOutcomes) =>
      new Promise((resolve) => {
        const patienceMs = slice.sliceMs + slice.timeoutMs + STUCK_AFTER_MS;
        const current: Running = { slice, onOutcomes, resolve, timer: setTimeout(onLate, patienceMs) };
        // Where this process itself stood still, the answer is here already and is read before the second look.
        function onLate(): void {
          current.timer = setTimeout(() => child.kill('SIGKILL'), SECOND_LOOK_MS);
        }
        running = current;
        child.ref();
        child.channel?.ref();
        send(slice);
      }),
    stop: (id) => send({ kind: 'stop', id }),
    async kill() {
      child.ref();
      child.kill('SIGKILL');
      await gone;
    },
  };
}

/** A host with nothing to do does not keep the process alive. */
function idle(child: ChildProcess): void {
  child.unref();
  child.channel?.unref();
}
