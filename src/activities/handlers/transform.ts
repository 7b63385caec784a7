import { z } from 'zod';
import type { Handler, HandlerItem, ItemOutcome, RunBatch } from '../../domain/handler/contract';
import { type Evaluation, EXPRESSION_LENGTH_MAX } from '../../domain/handler/expression';
import { toErrorMessage } from '../../domain/handler/error-message';
import { describeHandler, parseParams } from './define-handler';
import type { ExpressionEvaluator } from './ports';
import { runLanes } from './run-lanes';

const PARAMS = z.strictObject({
  expression: z
    .string()
    .min(1)
    .max(EXPRESSION_LENGTH_MAX)
    .describe('A JSONata expression over the input of each item; undefined becomes null.'),
});

/** Items per call of the sandbox; it evaluates one after the other, so a call is one item in flight. */
const GROUP = 500;
/** Calls at once: enough to keep each of its threads busy. */
const CALLS_MAX = 8;

/** JSONata over each item's input, in the sandbox. Its deadlines are the sandbox's; a failed expression is not retried. */
export function createTransform(evaluator: ExpressionEvaluator): Handler {
  return {
    ...describeHandler({
      name: 'transform',
      description: 'Evaluates a JSONata expression over each input.',
      params: PARAMS,
    }),
    async validateParams(params) {
      const { expression } = await parseParams(PARAMS, params);
      await evaluator.check(expression);
    },
    async runItems(items, batch) {
      const { expression } = await parseParams(PARAMS, batch.params);
      const groupSize = (): number => (batch.oneByOne ? 1 : GROUP);
      const lanes = (): number => (batch.oneByOne ? 1 : Math.min(CALLS_MAX, batch.concurrency.now()));
      await runLanes(items, { batch, groupSize, lanes }, (group) =>
        transform(group, { evaluator, expression, batch }),
      );
    },
  };
}

interface Transformation {
  evaluator: ExpressionEvaluator;
  expression: string;
  batch: RunBatch;
}

async function transform(
  group: HandlerItem[],
  { evaluator, expression, batch }: Transformation,
): Promise<void> {
  for (const item of group) batch.onStart(item);
  await evaluator.evaluateMany({
    expression,
    inputs: group.map((item) => item.inputText),
    timeoutMs: batch.options.item_timeout_ms,
    signal: batch.signal,
    fairnessKey: [batch.tenantId, batch.jobId],
    mayStart: () => batch.mayStart(),
    onEvaluation: (i, evaluation) => batch.onOutcome(toOutcome((group[i] as HandlerItem).index, evaluation)),
  });
}

function toOutcome(index: number, evaluation: Evaluation): ItemOutcome {
  const durationMs = Math.round(evaluation.durationMs);
  if (evaluation.ok) {
    return { index, status: 'succeeded', output: evaluation.output, error: null, attempts: 1, durationMs };
  }
  const error = { code: evaluation.code, message: toErrorMessage(evaluation.message) };
  return { index, status: 'failed', output: null, error, attempts: 1, durationMs };
}
