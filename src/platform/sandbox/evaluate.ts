/** Inside the thread: expressions are compiled, kept and evaluated, each input on its own. */
import type jsonata from 'jsonata';
import { OUTPUT_BYTES_MAX } from '../../domain/handler/contract';
import type { Evaluation, EvaluationFailure } from '../../domain/handler/expression';
import { outputProblem } from '../../domain/handler/output';
import { NotJson, TooLarge, toExactJson } from './exact-json';
import { createLeastRecent } from './least-recent';

/** Evaluation steps that may wait for each other: about 2,500 calls of a function in itself. More is a stack overflow. */
const STACK_MAX = 10_000;
/** Elements of an array while it is built: 8 MB, less than what V8 can still turn into an orderly out-of-memory. */
const SEQUENCE_MAX = 1_000_000;
const OWNERS_KEPT = 16;
const EXPRESSIONS_KEPT = 64;

type Jsonata = typeof jsonata;

interface Compiled {
  expression: jsonata.Expression;
  options: jsonata.JsonataOptions;
}

/**
 * An expression can change the library's own function objects (`$ ~> |$sum|{"implementation": …}|`, seen with 2.2.2) and
 * reach compiled ones through `**`. So each owner has a copy of the library, and compiled expressions of its own.
 */
interface Realm {
  jsonata: Jsonata;
  compiled: ReturnType<typeof createLeastRecent<Compiled | Refusal>>;
}

/** Why an expression can't be compiled. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
}

/** What a thread does with its inputs. */
export interface Evaluator<C> {
  /** @throws Refusal */
  compile(owner: string, text: string): C;
  evaluate(compiled: C, input: string, timeoutMs: number): Promise<Evaluation>;
}

export function createEvaluator(loadLibrary: () => Jsonata): Evaluator<Compiled> {
  const realms = createLeastRecent<Realm>(OWNERS_KEPT);
  return {
    compile(owner, text) {
      const realm = realms.get(owner, () => ({
        jsonata: loadLibrary(),
        compiled: createLeastRecent<Compiled | Refusal>(EXPRESSIONS_KEPT),
      }));
      const compiled = realm.compiled.get(text, () => tryCompile(realm.jsonata, text));
      if (compiled instanceof Refusal) throw compiled;
      return compiled;
    },
    evaluate: evaluateOne,
  };
}

function tryCompile(library: Jsonata, text: string): Compiled | Refusal {
  const options: jsonata.JsonataOptions = {};
  try {
    return { expression: library(text, options), options };
  } catch (error) {
    return new Refusal(describe(error));
  }
}

async function evaluateOne(compiled: Compiled, input: string, timeoutMs: number): Promise<Evaluation> {
  const startedAt = performance.now();
  // Set each time: an expression can reach its options.
  Object.assign(compiled.options, { timeout: timeoutMs, stack: STACK_MAX, sequence: SEQUENCE_MAX });
  try {
    const result: unknown = await compiled.expression.evaluate(JSON.parse(input));
    const output = toExactJson(result, OUTPUT_BYTES_MAX);
    const problem = outputProblem(output);
    const durationMs = performance.now() - startedAt;
    return problem ? { ok: false, ...problem, durationMs } : { ok: true, output, durationMs };
  } catch (error) {
    return { ok: false, ...toFailure(error, timeoutMs), durationMs: performance.now() - startedAt };
  }
}

function toFailure(error: unknown, timeoutMs: number): { code: EvaluationFailure; message: string } {
  if (error instanceof TooLarge)
    return { code: 'output_too_large', message: 'The output is larger than 1 MB.' };
  if (error instanceof NotJson) return { code: 'expression_failed', message: error.message };
  if (isLibraryTimeout(error)) return { code: 'handler_timeout', message: timeoutMessage(timeoutMs) };
  return { code: 'expression_failed', message: describe(error) };
}

export function timeoutMessage(timeoutMs: number): string {
  return `The expression took longer than ${timeoutMs} ms.`;
}

/** D1012, also where `$eval` has wrapped it. */
function isLibraryTimeout(error: unknown): boolean {
  for (let at = error, depth = 0; isFields(at) && depth < 100; at = at.error, depth++) {
    if (at.code === 'D1012') return true;
  }
  return false;
}

/** The library throws plain objects: `{code, message, position, …}`. */
function describe(error: unknown): string {
  if (!isFields(error)) return String(error);
  const code = typeof error.code === 'string' ? `${error.code}: ` : '';
  const at = typeof error.position === 'number' ? ` (at character ${error.position})` : '';
  return `${code}${typeof error.message === 'string' ? error.message.slice(0, 2_000) : 'failed'}${at}`;
}

function isFields(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
