/** Inside the thread of a host for schemas: they are compiled, kept, and values are held against them. */
import Ajv2020, { type ErrorObject, type ValidateFunction } from 'ajv/dist/2020';
import addFormats from 'ajv-formats';
import type { SchemaFault } from '../../domain/events/schema-fault';
import { type Evaluator, Refusal } from './evaluate';
import { createLeastRecent } from './least-recent';

const SCHEMAS_KEPT = 64;
const FAULTS_MAX = 10;
const DETAIL_LENGTH_MAX = 500;

/** The outcome of a value is the JSON text of its faults (`SchemaFault[]`); none: it fits. */
export function createSchemaEvaluator(): Evaluator<ValidateFunction> {
  const compiled = createLeastRecent<ValidateFunction | Refusal>(SCHEMAS_KEPT);
  return {
    compile(_owner, text) {
      // What is compiled from a text holds nothing of whom it was compiled for.
      const validate = compiled.get(text, () => tryCompile(text));
      if (validate instanceof Refusal) throw validate;
      return validate;
    },
    async evaluate(validate, input) {
      const startedAt = performance.now();
      try {
        const output = JSON.stringify(validate(JSON.parse(input)) ? [] : faultsOf(validate));
        return { ok: true, output, durationMs: performance.now() - startedAt };
      } catch (error) {
        const message = `It cannot be checked: ${messageOf(error)}`;
        return { ok: false, code: 'expression_failed', message, durationMs: performance.now() - startedAt };
      }
    },
  };
}

function tryCompile(text: string): ValidateFunction | Refusal {
  try {
    return compile(text);
  } catch (error) {
    return new Refusal(messageOf(error).slice(0, DETAIL_LENGTH_MAX));
  }
}

/** An unknown keyword or format is refused: it would be a rule that nobody enforces. References lead within the schema only. */
function compile(text: string): ValidateFunction {
  const ajv = new Ajv2020({
    strictSchema: true,
    strictNumbers: true,
    // Rules of style, which plain schemas of others break: a union of types, `required` in a branch of `anyOf`.
    strictTypes: false,
    strictTuples: false,
    strictRequired: false,
    allErrors: true,
    logger: false,
  });
  addFormats(ajv);
  const validate = ajv.compile(JSON.parse(text) as object);
  // An extension of the library's: its answer is a promise, which would pass for "fits".
  if ('$async' in validate) throw new Error('$async is not of JSON Schema');
  return validate;
}

function faultsOf({ errors }: ValidateFunction): SchemaFault[] {
  return (errors ?? []).slice(0, FAULTS_MAX).map((error) => ({
    pointer: error.instancePath,
    detail: describe(error).slice(0, DETAIL_LENGTH_MAX),
  }));
}

function describe({ message = 'is invalid', params, keyword }: ErrorObject): string {
  const { additionalProperty, unevaluatedProperty, allowedValues } = params as Record<string, unknown>;
  const unknown = additionalProperty ?? unevaluatedProperty;
  if (typeof unknown === 'string') return `${message}: ${JSON.stringify(unknown)}`;
  if (keyword === 'enum') return `${message}: ${JSON.stringify(allowedValues)}`;
  return message;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
