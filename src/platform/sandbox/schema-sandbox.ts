/**
 * Tenants' JSON Schemas, away from the event loop: a `pattern` may backtrack for ever, `uniqueItems` compares each with each, a
 * `$ref` may lead back to itself. They run where expressions run, in processes of their own.
 */
import { AppError } from '../../domain/errors';
import { SCHEMA_LENGTH_MAX, type SchemaFault } from '../../domain/events/schema-fault';
import type { Evaluation } from '../../domain/handler/expression';
import { checkOf, Sandbox, type SandboxOptions } from './sandbox';

export interface SchemaSandbox {
  /** @throws AppError `invalid_schema`; `dependency_unavailable` where no host can be started */
  check(schema: string): Promise<void>;
  /**
   * @param values exact JSON texts
   * @returns of each value what is wrong with it; one that took too long, or too much memory, says so
   * @throws AppError `dependency_unavailable` where closed, or where no host can be started
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
const NOT_REACHED = `could not be checked within ${CALL_MS} ms`;

export function createSchemaSandbox(options: SandboxOptions): SchemaSandbox {
  const sandbox = new Sandbox(options, 'schemas');
  const timeoutMs = options.expressionTimeoutMs;
  return {
    async check(schema) {
      if (schema.length > SCHEMA_LENGTH_MAX) {
        throw new AppError('invalid_schema', `It is longer than ${SCHEMA_LENGTH_MAX} characters.`);
      }
      const [verdict] = await sandbox.submit(checkOf(schema, timeoutMs), 'check');
      if (verdict && !verdict.ok) throw new AppError('invalid_schema', describe(verdict, timeoutMs));
    },
    async faultsOf({ tenantId, schema, values }) {
      const signal = AbortSignal.timeout(CALL_MS);
      const outcomes = await sandbox.submit(
        { expression: schema, inputs: values, timeoutMs, signal, fairnessKey: [tenantId, 'schema'] },
        'evaluate',
      );
      return outcomes.map((outcome) => {
        if (outcome?.ok === true) return JSON.parse(outcome.output) as SchemaFault[];
        return [{ pointer: '', detail: outcome ? describe(outcome, timeoutMs) : NOT_REACHED }];
      });
    },
    close: () => sandbox.close(),
    pids: () => sandbox.pids(),
  };
}

function describe({ code, message }: Evaluation & { ok: false }, timeoutMs: number): string {
  if (code === 'handler_timeout') return `takes longer than ${timeoutMs} ms to check`;
  if (code === 'handler_out_of_memory') return 'takes more memory to check than allowed';
  return code === 'handler_crashed' ? 'cannot be checked' : message;
}
