import type { Handler } from '../../domain/handler/contract';
import { createEcho } from './echo';
import type { ExpressionEvaluator } from './ports';
import { createTransform } from './transform';

export interface BuiltInDependencies {
  evaluator: ExpressionEvaluator;
}

/** The handlers that Millrace brings. */
export function builtInHandlers({ evaluator }: BuiltInDependencies): Handler[] {
  return [createEcho(), createTransform(evaluator)];
}
