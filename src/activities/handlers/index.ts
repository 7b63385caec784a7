import type { Handler } from '../../domain/handler/contract';
import { createEcho } from './echo';
import { createHttp } from './http';
import type { ExpressionEvaluator, HttpClient } from './ports';
import { createTransform } from './transform';

export interface BuiltInDependencies {
  evaluator: ExpressionEvaluator;
  http: HttpClient;
}

/** The handlers that Millrace brings. */
export function builtInHandlers({ evaluator, http }: BuiltInDependencies): Handler[] {
  return [createEcho(), createHttp(http), createTransform(evaluator)];
}
