/**
 * Tenants' expressions, away from every event loop that matters: a pool of child processes with one evaluating thread each.
 * Calls are cut into slices of about a tenth of a second; tenants, and within them jobs, take turns by slice.
 */
import { AppError } from '../../domain/errors';
import { type EvaluateMany, type Evaluation, EXPRESSION_LENGTH_MAX } from '../../domain/handler/expression';
import { Call, type Portion } from './call';
import { HostPool } from './host-pool';
import type { HostProcess, SliceResult } from './host-process';
import type { Slice, Work } from './protocol';
import { createTurns } from './turns';

export interface SandboxOptions {
  /** evaluations at once; each has a process (50 MB at rest, 150 MB at work) that is started when first needed */
  threads: number;
  /** heap of one evaluation */
  memoryMb: number;
  /** longest that one input may take */
  expressionTimeoutMs: number;
  log: { warn(fields: object, message: string): void };
}

export interface ExpressionSandbox {
  /** @throws AppError `invalid_expression`; `dependency_unavailable` where no host can be started */
  check(expression: string): Promise<void>;
  /** @throws AppError `dependency_unavailable` where closed, or where no host can be started */
  evaluateMany(call: EvaluateMany): Promise<(Evaluation | null)[]>;
  /** Ends every process; calls that are open reject. */
  close(): Promise<void>;
  /** of the processes that are up, for metrics and tests */
  pids(): number[];
}

export function createExpressionSandbox(options: SandboxOptions): ExpressionSandbox {
  const sandbox = new Sandbox(options, 'expressions');
  return {
    async check(expression) {
      if (expression.length > EXPRESSION_LENGTH_MAX) {
        throw new AppError('invalid_expression', `It is longer than ${EXPRESSION_LENGTH_MAX} characters.`);
      }
      const [verdict] = await sandbox.submit(checkOf(expression, options.expressionTimeoutMs), 'check');
      if (verdict && !verdict.ok) throw new AppError('invalid_expression', verdict.message);
    },
    evaluateMany: (call) => sandbox.submit(call, 'evaluate'),
    close: () => sandbox.close(),
    pids: () => sandbox.pids(),
  };
}

/** Parsed only: the one input is there to be counted. */
function checkOf(expression: string, timeoutMs: number): EvaluateMany {
  const { signal } = new AbortController();
  return { expression, inputs: [''], timeoutMs, signal, fairnessKey: ['', 'check'] };
}

const SLICE = { inputs: 200, characters: 500_000 };
const SLICE_MS = 100;

/** A call that has not been answered. */
interface Waiting {
  call: Call;
  settle(error?: AppError): void;
  /** the slices that are out, each with its host */
  out: Map<number, HostProcess>;
}

/** The pool behind it, whatever its hosts are for. */
export class Sandbox {
  readonly #options: SandboxOptions;
  readonly #pool: HostPool;
  readonly #turns = createTurns<Waiting>();
  readonly #waiting = new Set<Waiting>();
  #sliceId = 0;
  #closed = false;

  constructor(options: SandboxOptions, work: Work) {
    this.#options = options;
    this.#pool = new HostPool({
      hostsMax: options.threads,
      limits: { memoryMb: options.memoryMb, work },
      log: options.log,
      onChange: () => this.#pump(),
      onUnavailable: (cause) => this.#rejectAll(unavailable('The sandbox cannot be started.', cause)),
    });
  }

  async submit(request: EvaluateMany, mode: Call['mode']): Promise<(Evaluation | null)[]> {
    if (this.#closed) throw unavailable('The sandbox is closed.');
    const call = new Call(request, mode);
    if (!call.hasOpen() || request.signal.aborted) return call.result();
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => this.#abandon(waiting).settle();
      const settle = (error?: AppError): void => {
        request.signal.removeEventListener('abort', onAbort);
        this.#waiting.delete(waiting);
        if (error) reject(error);
        else resolve();
      };
      const waiting: Waiting = { call, settle, out: new Map() };
      request.signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(waiting);
      this.#turns.add(request.fairnessKey, waiting);
      this.#pump();
    });
    return call.result();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#rejectAll(unavailable('The sandbox is closed.'));
    await this.#pool.close();
  }

  pids(): number[] {
    return this.#pool.pids();
  }

  /** Nothing more of it is begun. */
  #abandon(waiting: Waiting): Waiting {
    waiting.call.abandon();
    for (const [sliceId, host] of waiting.out) host.stop(sliceId);
    return waiting;
  }

  #rejectAll(error: AppError): void {
    for (const waiting of [...this.#waiting]) this.#abandon(waiting).settle(error);
  }

  /** Gives slices to hosts as long as there are both. */
  #pump(): void {
    while (this.#turns.size > 0 && !this.#closed) {
      const host = this.#pool.acquire();
      if (!host) return;
      const waiting = this.#next();
      if (!waiting) return this.#pool.release(host);
      const portion = waiting.call.take(SLICE);
      if (waiting.call.hasOpen()) this.#turns.add(waiting.call.request.fairnessKey, waiting);
      void this.#run(host, waiting, portion);
    }
  }

  /** The call whose turn it is and that may go on. */
  #next(): Waiting | undefined {
    for (let next = this.#turns.take(); next; next = this.#turns.take()) {
      if (!next.call.hasOpen()) continue;
      if (next.call.request.mayStart?.() ?? true) return next;
      if (this.#abandon(next).call.isOver()) next.settle();
    }
    return undefined;
  }

  async #run(host: HostProcess, waiting: Waiting, portion: Portion): Promise<void> {
    const { call } = waiting;
    const slice = this.#toSlice(call, portion);
    waiting.out.set(slice.id, host);
    const result = await host.run(slice, (outcomes) => call.record(portion, outcomes));
    waiting.out.delete(slice.id);
    const isQueued = call.hasOpen();
    if (result.kind === 'lost') call.lost(portion, result.cause);
    else call.giveBack(portion, result.end.culprit);
    if (call.isOver()) waiting.settle();
    else if (call.hasOpen() && !isQueued) this.#turns.add(call.request.fairnessKey, waiting);
    await this.#putBack(host, result);
    this.#pump();
  }

  async #putBack(host: HostProcess, result: SliceResult): Promise<void> {
    if (result.kind === 'lost') return;
    if (result.end.spent) await this.#pool.retire(host);
    else this.#pool.release(host);
  }

  #toSlice(call: Call, portion: Portion): Slice {
    const { request, mode } = call;
    return {
      kind: 'slice',
      id: ++this.#sliceId,
      mode,
      owner: JSON.stringify(request.fairnessKey),
      expression: request.expression,
      inputs: portion.indices.map((index) => request.inputs[index] as string),
      timeoutMs: Math.min(request.timeoutMs, this.#options.expressionTimeoutMs),
      sliceMs: SLICE_MS,
    };
  }
}

function unavailable(detail: string, cause?: unknown): AppError {
  return new AppError('dependency_unavailable', detail, { cause });
}
