import { z } from 'zod';
import type { Json } from '../../domain/batch/job';
import { AppError } from '../../domain/errors';
import type { Handler } from '../../domain/handler/contract';
import { HANDLER_NAME } from '../../domain/handler/name';
import type { AnyDefinition, Definition } from './definition';
import { runGroups } from './run-groups';

/**
 * Makes a handler of its definition.
 * @throws TypeError where the definition is no definition
 */
export function defineHandler<
  P extends z.ZodType | undefined = undefined,
  I extends z.ZodType | undefined = undefined,
  O extends z.ZodType | undefined = undefined,
>(definition: Definition<P, I, O>): Handler {
  return toHandler(definition);
}

export function toHandler(definition: AnyDefinition): Handler {
  checkDefinition(definition);
  return {
    ...describeHandler(definition),
    async validateParams(params) {
      await parseParams(definition.params, params);
    },
    async runItems(items, batch) {
      const params = await parseParams(definition.params, batch.params);
      await runGroups(items, { batch, definition, params });
    },
  };
}

function checkDefinition(definition: AnyDefinition): void {
  const { name, description } = definition;
  if (typeof name !== 'string' || !HANDLER_NAME.test(name)) {
    throw new TypeError(`A handler's name is lower-case letters, digits, - and _, up to 64: ${String(name)}`);
  }
  if (typeof description !== 'string') throw new TypeError(`Handler ${name} has no description.`);
  if ((typeof definition.run === 'function') === (typeof definition.runMany === 'function'))
    throw new TypeError(`Handler ${name} needs either run or runMany.`);
  for (const part of ['params', 'input', 'output'] as const) {
    const schema = definition[part];
    if (schema !== undefined && typeof schema.safeParseAsync !== 'function') {
      throw new TypeError(`${part} of handler ${name} is no zod schema.`);
    }
  }
  const { secretParams = [] } = definition;
  if (!Array.isArray(secretParams) || secretParams.some((secret) => typeof secret !== 'string')) {
    throw new TypeError(`secretParams of handler ${name} is no list of names.`);
  }
}

/** The part of a handler that `GET /handlers` shows. */
export function describeHandler(
  definition: Pick<AnyDefinition, 'name' | 'description' | 'params' | 'secretParams' | 'input' | 'output'>,
): Pick<Handler, 'name' | 'description' | 'paramsSchema' | 'secretParams' | 'inputSchema' | 'outputSchema'> {
  return {
    name: definition.name,
    description: definition.description,
    paramsSchema: toJsonSchema(definition.params, 'input'),
    secretParams: definition.secretParams,
    inputSchema: toJsonSchema(definition.input, 'input'),
    outputSchema: toJsonSchema(definition.output, 'output'),
  };
}

function toJsonSchema(schema: z.ZodType | undefined, io: 'input' | 'output'): Json {
  return schema === undefined ? null : (z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as Json);
}

/** @throws AppError `invalid_params`, with pointers into the body of the request that creates the job */
export async function parseParams<S extends z.ZodType>(
  schema: S | undefined,
  params: Json,
): Promise<z.output<S>> {
  if (schema === undefined) return params as z.output<S>;
  const parsed = await schema.safeParseAsync(params);
  if (parsed.success) return parsed.data;
  throw new AppError('invalid_params', 'The handler refuses these params.', {
    errors: parsed.error.issues.map((issue) => ({
      pointer: `/params${issue.path.map((part) => `/${escapePointer(String(part))}`).join('')}`,
      detail: issue.message,
    })),
  });
}

/** RFC 6901 §3. */
function escapePointer(part: string): string {
  return part.replaceAll('~', '~0').replaceAll('/', '~1');
}
