/**
 * Entry of a sandbox's child process: holds one evaluating thread and the clock over it. It is a process of its own because
 * `resourceLimits` of a thread don't hold for one large allocation: V8 then aborts the whole process. See docs/adr/0010-expressions-in-processes.md.
 *
 *   idle -> (slice) -> busy -> the thread posts `end` -> idle
 *                        busy -> deadline, out of memory, thread died -> culprit named, new thread -> idle
 *                        busy -> process beyond its memory -> culprit named, `spent` -> ended by the parent
 */
import { Worker } from 'node:worker_threads';
import { timeoutMessage } from './evaluate';
import {
  type Culprit,
  type FromHost,
  type FromThread,
  type HostLimits,
  MARK,
  MARK_COUNT,
  type Slice,
  type ToHost,
} from './protocol';
import { compiledScript } from './script';

const WATCH_EVERY_MS = 20;
/** The library's own guard is given this long to end an item before the thread is ended. */
const GUARD_GRACE_MS = 100;
const MB = 1024 * 1024;
/** What a healthy host may grow by, beyond twice its thread's heap: buffers, code, messages on their way. */
const MARGIN_BYTES = 96 * MB;
const YOUNG_MB = 48;
const OUT_OF_MEMORY = 'The expression used more memory than allowed.';

interface Verdict {
  /** the input, as `MARK.counter` had it */
  counter: number;
  code: Culprit['code'];
  message: string;
  spent: boolean;
}

interface Busy {
  slice: Slice;
  watch: NodeJS.Timeout;
  counter: number;
  /** when `counter` was first seen */
  since: number;
  verdict?: Verdict;
}

function send(message: FromHost): void {
  process.send?.(message);
}

function endProcess(code: number): void {
  // eslint-disable-next-line no-restricted-properties -- an entry: its process has nothing to close, and a thread may be in a loop
  process.exit(code);
}

class Host {
  readonly #limits: HostLimits;
  readonly #marks = new Int32Array(new SharedArrayBuffer(MARK_COUNT * 4));
  #thread: Worker;
  #busy: Busy | undefined;
  /** of a host that has done nothing yet; unknown until then */
  #baselineBytes: number | undefined;

  constructor(limits: HostLimits) {
    this.#limits = limits;
    this.#thread = this.#startThread();
  }

  receive(message: ToHost): void {
    if (message.kind === 'stop') {
      Atomics.store(this.#marks, MARK.stop, message.id);
      return;
    }
    this.#busy = {
      slice: message,
      watch: setInterval(() => this.#watch(), WATCH_EVERY_MS),
      counter: Atomics.load(this.#marks, MARK.counter),
      since: performance.now(),
    };
    this.#thread.postMessage(message);
  }

  #startThread(): Worker {
    Atomics.store(this.#marks, MARK.index, -1);
    const thread = new Worker(compiledScript('thread'), {
      workerData: { work: this.#limits.work, marks: this.#marks.buffer },
      env: {},
      // A polluted intrinsic would be seen by every later item.
      execArgv: ['--frozen-intrinsics', '--no-warnings'],
      resourceLimits: {
        maxOldGenerationSizeMb: this.#limits.memoryMb,
        maxYoungGenerationSizeMb: YOUNG_MB,
        stackSizeMb: 4,
      },
    });
    let failure: NodeJS.ErrnoException | undefined;
    let isUp = false;
    thread.on('message', (message: FromThread) => {
      isUp = true;
      this.#hear(message);
    });
    thread.on('error', (error: NodeJS.ErrnoException) => {
      failure = error;
    });
    // One that can't even start would be started for ever: the parent counts such ends and tells.
    thread.on('exit', () => (isUp || this.#busy?.verdict ? this.#replaceThread(failure) : endProcess(1)));
    return thread;
  }

  #hear(message: FromThread): void {
    if (message.kind === 'end') this.#rest();
    if (message.kind !== 'ready') send(message);
    else if (this.#baselineBytes === undefined) {
      this.#baselineBytes = process.memoryUsage.rss();
      send(message);
    }
  }

  #rest(): Busy | undefined {
    const ended = this.#busy;
    clearInterval(ended?.watch);
    this.#busy = undefined;
    return ended;
  }

  #replaceThread(failure: NodeJS.ErrnoException | undefined): void {
    const ended = this.#rest();
    const culprit = ended && this.#findCulprit(ended, failure);
    this.#thread = this.#startThread();
    if (ended) send({ kind: 'end', id: ended.slice.id, culprit, spent: ended.verdict?.spent });
  }

  #watch(): void {
    const busy = this.#busy;
    if (!busy || busy.verdict) return;
    const counter = Atomics.load(this.#marks, MARK.counter);
    const now = performance.now();
    if (counter !== busy.counter) Object.assign(busy, { counter, since: now });
    const { timeoutMs } = busy.slice;
    const isLate = now - busy.since > timeoutMs + GUARD_GRACE_MS;
    const spent = this.#isSpent();
    if (!isLate && !spent) return;
    busy.verdict = spent
      ? { counter, spent, code: 'handler_out_of_memory', message: OUT_OF_MEMORY }
      : { counter, spent, code: 'handler_timeout', message: timeoutMessage(timeoutMs) };
    void this.#thread.terminate();
  }

  /** Memory outside the heap, such as of large strings that `$base64encode` makes, is not under `resourceLimits`. */
  #isSpent(): boolean {
    const baseline = this.#baselineBytes ?? Number.POSITIVE_INFINITY;
    return process.memoryUsage.rss() > baseline + 2 * this.#limits.memoryMb * MB + MARGIN_BYTES;
  }

  /** The input that the thread died of; none where it had gone on to another before the verdict reached it. */
  #findCulprit(
    { verdict, since, slice }: Busy,
    failure: NodeJS.ErrnoException | undefined,
  ): Culprit | undefined {
    const index = Atomics.load(this.#marks, MARK.index);
    if (index < 0) return undefined;
    const durationMs = performance.now() - since;
    if (failure?.code === 'ERR_WORKER_OUT_OF_MEMORY') {
      return { index, code: 'handler_out_of_memory', message: OUT_OF_MEMORY, durationMs };
    }
    if (verdict) {
      if (verdict.counter !== Atomics.load(this.#marks, MARK.counter)) return undefined;
      const { code, message } = verdict;
      return { index, code, message, durationMs: Math.min(durationMs, slice.timeoutMs) };
    }
    const message = failure?.message ?? 'The evaluating thread ended.';
    return { index, code: 'handler_crashed', message, durationMs };
  }
}

function main(): void {
  // Ctrl-C reaches the whole process group; the parent decides when a host ends.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => {});
  process.on('disconnect', () => endProcess(0));
  const host = new Host(JSON.parse(process.argv[2] ?? '{}') as HostLimits);
  process.on('message', (message: ToHost) => host.receive(message));
}

if (require.main === module) main();
