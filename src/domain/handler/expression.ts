/** Words between those who have tenants' expressions evaluated and the sandbox that does it.  */

/** UTF-16 code units of an expression. */
export const EXPRESSION_LENGTH_MAX = 16_384;

export type EvaluationFailure =
  | 'expression_failed'
  | 'handler_timeout'
  | 'handler_out_of_memory'
  | 'handler_crashed'
  | 'output_too_large'
  | 'output_not_storable';

/** What came of one input. `output` is exact, storable JSON text of at most `OUTPUT_BYTES_MAX`. */
export type Evaluation =
  | { ok: true; output: string; durationMs: number }
  | { ok: false; code: EvaluationFailure; message: string; durationMs: number };

export interface EvaluateMany {
  expression: string;
  /** exact JSON texts */
  inputs: readonly string[];
  /** per input; the sandbox has a limit of its own, the smaller counts */
  timeoutMs: number;
  /** Abort: the call ends at once with what is known. */
  signal: AbortSignal;
  /** Whose turn it is, outer before inner: tenants take turns, and within a tenant its jobs do. */
  fairnessKey: readonly [tenantId: string, jobId: string];
  /** Asked about every tenth of a second while the call is worked at; false: what has not begun comes back as null. */
  mayStart?: (() => boolean) | undefined;
  /** Called as soon as an input's outcome is known, in any order, not after an abort. Must not throw. */
  onEvaluation?: ((input: number, evaluation: Evaluation) => void) | undefined;
}
