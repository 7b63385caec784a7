/** A handler that other processes serve: what is declared of it in `<name>.handler.json`. */
import { z } from 'zod';
import type { Json } from '../../domain/batch/job';
import { AppError } from '../../domain/errors';
import { HANDLER_NAME } from '../../domain/handler/name';
import type { RemoteHandler } from '../../domain/handler/remote';
import { compileSchema, type Fault, type SchemaCheck } from './remote-schema';

const schemaSchema = z.union([z.boolean(), z.record(z.string(), z.unknown())], {
  error: 'expected a JSON Schema',
});

const declarationSchema = z.strictObject({
  $schema: z.string().optional(),
  name: z.string().regex(HANDLER_NAME, { error: 'expected lower-case letters, digits, - and _, up to 64' }),
  description: z.string().min(1),
  remote: z.literal(true, { error: 'expected true' }),
  params: schemaSchema.optional(),
  secret_params: z
    .array(
      z.string().regex(/^[^.]+(\.[^.A-Z]+)?$/, { error: 'expected `name`, or `name.field` in lower case' }),
    )
    .optional(),
  input: schemaSchema.optional(),
  output: schemaSchema.optional(),
});

/** @throws Error that says what is wrong with the declaration */
export function toRemoteHandler(declaration: unknown): RemoteHandler {
  const parsed = declarationSchema.safeParse(declaration);
  if (!parsed.success) throw new Error(z.prettifyError(parsed.error));
  const { name, description, params, secret_params: secretParams, input, output } = parsed.data;
  const checks = {
    params: compile('params', params),
    input: compile('input', input),
    output: compile('output', output),
  };
  return {
    name,
    description,
    remote: true,
    paramsSchema: toShown(params),
    secretParams,
    inputSchema: toShown(input),
    outputSchema: toShown(output),
    async validateParams(value) {
      const faults = checks.params?.(value) ?? [];
      if (faults.length > 0) throw invalidParams(faults);
    },
    inputFault: (text) => faultOf(checks.input, text),
    outputFault: (text) => faultOf(checks.output, text),
    async runItems() {
      throw new AppError(
        'internal',
        `Handler ${name} is served by other processes: nothing of it runs here.`,
      );
    },
  };
}

function toShown(schema: boolean | object | undefined): Json {
  return schema === undefined ? null : (schema as Json);
}

function compile(part: string, schema: boolean | object | undefined): SchemaCheck | undefined {
  try {
    return compileSchema(schema as Json | undefined);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`the schema of ${part} is refused: ${why}`, { cause });
  }
}

/** Pointers are into the body of the request that creates the job. */
function invalidParams(faults: readonly Fault[]): AppError {
  return new AppError('invalid_params', 'The handler refuses these params.', {
    errors: faults.map(({ pointer, detail }) => ({ pointer: `/params${pointer}`, detail })),
  });
}

function faultOf(check: SchemaCheck | undefined, text: string): string | undefined {
  if (check === undefined) return undefined;
  const [fault] = check(JSON.parse(text));
  if (fault === undefined) return undefined;
  return fault.pointer === '' ? fault.detail : `${fault.pointer}: ${fault.detail}`;
}
