/** JSON Schema (draft 2020-12) for what comes from and goes to handlers in other languages. */
import Ajv2020, { type ErrorObject, type ValidateFunction } from 'ajv/dist/2020';
import addFormats from 'ajv-formats';
import type { Json } from '../../domain/batch/job';

export interface Fault {
  /** RFC 6901, into the value */
  pointer: string;
  detail: string;
}

/** @returns what is wrong with a value; none: nothing */
export type SchemaCheck = (value: unknown) => readonly Fault[];

const FAULTS_MAX = 5;

/**
 * An unknown keyword or format is refused: it would be a rule that nobody enforces. References lead within the schema only.
 * @throws Error that says what is wrong with the schema
 */
export function compileSchema(schema: Json | undefined): SchemaCheck | undefined {
  if (schema === undefined) return undefined;
  const ajv = new Ajv2020({
    strictSchema: true,
    strictNumbers: true,
    // Rules of style, which plain schemas of others break: a union of types, `required` in a branch of `anyOf`.
    strictTypes: false,
    strictTuples: false,
    strictRequired: false,
    allErrors: false,
    logger: false,
  });
  addFormats(ajv);
  const validate = ajv.compile(schema as object);
  // An extension of the library's: its answer is a promise, which would pass for "fine".
  if ('$async' in validate) throw new Error('$async is not of JSON Schema');
  return (value) => (validate(value) ? [] : faultsOf(validate));
}

function faultsOf({ errors }: ValidateFunction): Fault[] {
  return (errors ?? []).slice(0, FAULTS_MAX).map((error) => ({
    pointer: error.instancePath,
    detail: describe(error),
  }));
}

function describe({ message = 'is invalid', params, keyword }: ErrorObject): string {
  const { additionalProperty, unevaluatedProperty, allowedValues } = params as Record<string, unknown>;
  const unknown = additionalProperty ?? unevaluatedProperty;
  if (typeof unknown === 'string') return `${message}: ${JSON.stringify(unknown)}`;
  if (keyword === 'enum') return `${message}: ${JSON.stringify(allowedValues)}`;
  return message;
}
