/** From what a worker says of an item to what the engine makes of it: the same rules as for handlers of our own. */
import type { AttemptsMade } from '../../domain/batch/loan';
import type { ItemError, JobOptions } from '../../domain/batch/job';
import type { ItemOutcome } from '../../domain/handler/contract';
import { toErrorMessage } from '../../domain/handler/error-message';
import { outputProblem } from '../../domain/handler/output';
import type { RemoteHandler } from '../../domain/handler/remote';
import { mayTryAgain, retryDelayMs } from '../../domain/handler/retry';
import type { ResultLine } from './result-lines';

export interface Judged {
  handler: RemoteHandler;
  options: Pick<JobOptions, 'retry'>;
  /** by the workflow's clock */
  now: Date;
  /** from 0 to 1 */
  chance(): number;
}

/** Undefined: a line that came before, or one about an item that has ended. */
export function toOutcome(
  line: ResultLine,
  made: AttemptsMade | undefined,
  judged: Judged,
): ItemOutcome | undefined {
  const before = made?.attempts ?? 0;
  if (made?.ended === true || (line.attempt !== undefined && line.attempt <= before)) return undefined;
  const attempts = before + 1;
  return line.error === undefined
    ? withOutput(line, line.output ?? 'null', { attempts, judged })
    : withError(line, line.error, { attempts, judged });
}

interface Attempted {
  /** this one included */
  attempts: number;
  judged: Judged;
}

function withOutput(line: ResultLine, output: string, { attempts, judged }: Attempted): ItemOutcome {
  const problem = outputProblem(output) ?? promised(judged.handler.outputFault(output));
  if (problem !== undefined) return failed(line, problem, attempts);
  const { index, durationMs } = line;
  return { index, status: 'succeeded', output, error: null, attempts, durationMs };
}

function promised(fault: string | undefined): ItemError | undefined {
  if (fault === undefined) return undefined;
  return { code: 'output_invalid', message: `The output is not what the handler promises: ${fault}` };
}

function withError(
  line: ResultLine,
  error: NonNullable<ResultLine['error']>,
  { attempts, judged }: Attempted,
): ItemOutcome {
  const outcome = failed(line, error, attempts);
  const { retry } = judged.options;
  if (!error.retryable || !mayTryAgain(retry, attempts)) return outcome;
  const delayMs = Math.max(error.retry_after_ms, retryDelayMs(retry, attempts, judged.chance()));
  return { ...outcome, status: 'deferred', delayMs, dueAt: new Date(judged.now.getTime() + delayMs) };
}

function failed(
  { index, durationMs }: ResultLine,
  { code, message }: ItemError,
  attempts: number,
): ItemOutcome {
  const error = { code, message: toErrorMessage(message) };
  return { index, status: 'failed', output: null, error, attempts, durationMs };
}
