/**
 * Tenants' JSON Schemas, away from the event loop: a `pattern` may backtrack for ever, `uniqueItems` compares each with each, a
 * `$ref` may lead back to itself. They run where expressions run, in processes of their own.
 */
import { AppError } from '../../domain/errors';
import { SCHEMA_LENGTH_MAX, type SchemaFault } from '../../domain/events/schema-fault';
import type { Evaluation } from '../../domain/handler/expression';
import { Sandbox, type SandboxOptions } from './sandbox';

export interface SchemaSandbox {
  /** @throws AppError `invalid_schema`; `dependency_unavailable` as below */
  check(call: { tenantId: string; schema: string }): Promise<void>;
  /**
   * @param values exact JSON texts
   * @returns of each value what is wrong with it; one that took too long, or too much memory, says so
   * @throws AppError `dependency_unavailable` where closed, where no host can be started, or none had time for it
   */
  faultsOf(call: {
    tenantId: string;
    schema: string;
    values: readonly string[];
  }): Promise<(readonly SchemaFault[])[]>;
  /** Ends every process; calls that are open reject. */
  close(): Promise<void>;
  pids(): number[];
}

/** Somebody waits for the answer: what has not been checked by then counts as not fitting. */
const CALL_MS = 10_000;

/** Each thread compiles a schema anew and then has a value to check: what was let in must not run out of time there. */
const CHECK_SHARE = 0.5;

export function createSchemaSandbox({
  callMs = CALL_MS,
  ...options
}: SandboxOptions & { callMs?: number }): SchemaSandbox {
  const sandbox = new Sandbox(options, 'schemas');
  const timeoutMs = options.expressionTimeoutMs;
  const inTime = () => ({ signal: AbortSignal.timeout(callMs) });
  return {
    async check({ tenantId, schema }) {
      if (schema.length > SCHEMA_LENGTH_MAX) {
        throw new AppError('invalid_schema', `It is longer than ${SCHEMA_LENGTH_MAX} characters.`);
      }
      const checkMs = timeoutMs * CHECK_SHARE;
      const fairnessKey = [tenantId, 'check'] as const;
      // Compiled only: the one input is there to be counted.
      const call = { ...inTime(), expression: schema, inputs: [''], timeoutMs: checkMs, fairnessKey };
      const [verdict] = await sandbox.submit(call, 'check');
      if (!verdict) throw busy();
      if (!verdict.ok) throw new AppError('invalid_schema', describe(verdict, checkMs));
    },
    async faultsOf({ tenantId, schema, values }) {
      const fairnessKey = [tenantId, 'schema'] as const;
      const call = { ...inTime(), expression: schema, inputs: values, timeoutMs, fairnessKey };
      const outcomes = await sandbox.submit(call, 'evaluate');
      // Others were at it all the time; who had a turn is told of what it was not enough for.
      if (outcomes.every((outcome) => outcome === null)) throw busy();
      return outcomes.map((outcome) => {
        if (outcome?.ok === true) return JSON.parse(outcome.output) as SchemaFault[];
        const detail = outcome ? describe(outcome, timeoutMs) : `could not be checked within ${callMs} ms`;
        return [{ pointer: '', detail }];
      });
    },
    close: () => sandbox.close(),
    pids: () => sandbox.pids(),
  };
}

function busy(): AppError {
  return new AppError('dependency_unavailable', 'Too many schemas are being checked.', {
    retryAfterSeconds: 1,
  });
}

function describe({ code, message }: Evaluation & { ok: false }, timeoutMs: number): string {
  if (code === 'handler_timeout') return `takes longer than ${timeoutMs} ms to check`;
  if (code === 'handler_out_of_memory') return 'takes more memory to check than allowed';
  return code === 'handler_crashed' ? 'cannot be checked' : message;
}
