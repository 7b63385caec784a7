/** What may become an item's output: JSON, storable, not too large. */
import { outputProblem } from '../../domain/handler/output';
import { failure, type Failure } from './failure';

export type Output = { ok: true; text: string } | { ok: false; failure: Failure };

/** An output that is JSON text already, and would lose digits of its numbers as a value. */
export class ExactJson {
  constructor(readonly text: string) {}
}

/** Exact JSON text of a handler's value; undefined is null. */
export function toOutput(value: unknown): Output {
  if (value === undefined) return { ok: true, text: 'null' };
  if (value instanceof ExactJson) return checkOutput(value.text);
  let text: string;
  try {
    text = JSON.stringify(value, refuseFunctions);
  } catch (error) {
    const why = error instanceof Error ? (error.message.split('\n')[0] as string) : String(error);
    return { ok: false, failure: failure('output_not_storable', `The output is not JSON: ${why}`) };
  }
  // A toJSON of the handler's may answer undefined.
  return checkOutput(text ?? 'null');
}

export function checkOutput(text: string): Output {
  const problem = outputProblem(text);
  return problem ? { ok: false, failure: failure(problem.code, problem.message) } : { ok: true, text };
}

/** `JSON.stringify` leaves them out without a word. */
function refuseFunctions(_key: string, value: unknown): unknown {
  if (typeof value === 'function' || typeof value === 'symbol')
    throw new TypeError(`a ${typeof value} has no JSON form`);
  return value;
}
