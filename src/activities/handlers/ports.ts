/** What the handlers need of others. */

/** What came of one input. `output` is exact JSON text. */
export type Evaluation =
  | { ok: true; output: string; durationMs: number }
  | {
      ok: false;
      code: 'expression_failed' | 'handler_timeout' | 'handler_out_of_memory' | 'output_too_large';
      message: string;
      durationMs: number;
    };

export interface EvaluateMany {
  expression: string;
  /** exact JSON texts */
  inputs: readonly string[];
  /** per input; the sandbox has a limit of its own, the smaller counts */
  timeoutMs: number;
  signal: AbortSignal;
  /** Calls of one key take turns with those of others: the job. */
  fairnessKey: string;
  /** Asked again and again while the call is worked at; false: inputs not begun come back as null. */
  mayStart?(): boolean;
}

/** Tenants' expressions, run where they harm nobody. */
export interface ExpressionEvaluator {
  /** @throws AppError `invalid_expression` */
  check(expression: string): Promise<void>;
  /** In the order of `inputs`; null for an input that was not evaluated (signal, mayStart). Rejects only when closed. */
  evaluateMany(call: EvaluateMany): Promise<(Evaluation | null)[]>;
}
