/** Inside the thread of a host for schemas: they are compiled, kept, and values are held against them. */
import Ajv2020, { type ErrorObject, type ValidateFunction } from 'ajv/dist/2020';
import addFormats from 'ajv-formats';
import type { SchemaFault } from '../../domain/events/schema-fault';
import { type Evaluator, Refusal } from './evaluate';
import { createLeastRecent } from './least-recent';

const SCHEMAS_KEPT = 64;
/** Of those that are kept. What a schema is compiled to has up to 60 bytes for each of its characters. */
const CHARACTERS_KEPT = 512 * 1024;
const DIALECT = 'https://json-schema.org/draft/2020-12/schema';
const FAULTS_MAX = 10;
const DETAIL_LENGTH_MAX = 500;
const POINTER_LENGTH_MAX = 1_000;

/** The outcome of a value is the JSON text of its faults (`SchemaFault[]`); none: it fits. */
export function createSchemaEvaluator(): Evaluator<ValidateFunction> {
  const compiled = createLeastRecent<ValidateFunction | Refusal>(SCHEMAS_KEPT, CHARACTERS_KEPT);
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
    // Else what a few references name is written out for each of them, and for each reference within it again.
    inlineRefs: false,
    logger: false,
  });
  addFormats(ajv);
  const schema = JSON.parse(text) as object | boolean;
  refuseOtherDialects(schema);
  const validate = ajv.compile(schema);
  // An extension of the library's: its answer is a promise, which would pass for "fits".
  if ('$async' in validate) throw new Error('$async is not of JSON Schema');
  return validate;
}

/** A part of the dialect's own schema, named as the whole, would let through what the rest of it refuses. */
function refuseOtherDialects(schema: object | boolean): void {
  const { $schema: dialect = DIALECT } = schema as { $schema?: unknown };
  if (dialect !== DIALECT && dialect !== `${DIALECT}#`) throw new Error(`$schema is not ${DIALECT}`);
}

function faultsOf({ errors }: ValidateFunction): SchemaFault[] {
  return (errors ?? []).slice(0, FAULTS_MAX).map((error) => ({
    pointer: shortened(error.instancePath),
    detail: describe(error).slice(0, DETAIL_LENGTH_MAX),
  }));
}

/** To what surrounds the place, where names of fields are so long that the place would be more than anybody wants to read. */
function shortened(pointer: string): string {
  if (pointer.length <= POINTER_LENGTH_MAX) return pointer;
  return pointer.slice(0, pointer.lastIndexOf('/', POINTER_LENGTH_MAX));
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
