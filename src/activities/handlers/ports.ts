/** What the handlers need of others. */
import type { EvaluateMany, Evaluation } from '../../domain/handler/expression';

/** Tenants' expressions, run where they harm nobody. */
export interface ExpressionEvaluator {
  /** @throws AppError `invalid_expression` */
  check(expression: string): Promise<void>;
  /**
   * In the order of `inputs`; null for an input that was not evaluated (`signal`, `mayStart`).
   * @throws AppError `dependency_unavailable` where the sandbox is closed or cannot be started; never for an input.
   */
  evaluateMany(call: EvaluateMany): Promise<(Evaluation | null)[]>;
}
