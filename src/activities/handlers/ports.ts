/** What the handlers need of others. */
import type { EvaluateMany, Evaluation } from '../../domain/handler/expression';
import type { OutboundFailure, OutboundRequest, OutboundResult } from '../../domain/outbound/exchange';

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

/** The way out to servers that tenants name; it calls nothing that is not public. */
export interface HttpClient {
  /** Why a URL can't be called whatever DNS says of it; undefined: nothing is known against it. */
  refusal(url: string): OutboundFailure | undefined;
  /** Never rejects for what the network or the other side does. */
  exchange(request: OutboundRequest): Promise<OutboundResult>;
}
