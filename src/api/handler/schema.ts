/** Handlers on the wire. */
import { z } from 'zod';
import { named } from '../schema';

const jsonSchema = z.unknown().meta({
  type: ['object', 'boolean', 'null'],
  description: 'JSON Schema (2020-12); null where anything goes',
});

export const handlerSchema = named(
  'Handler',
  z.object({
    object: z.literal('handler'),
    name: z.string().meta({ example: 'transform' }),
    description: z.string(),
    params_schema: jsonSchema,
    input_schema: jsonSchema,
    output_schema: jsonSchema,
    secret_params: z
      .array(z.string())
      .describe('Params, or fields of params (`name.field`), that are encrypted at rest and never shown'),
    remote: z.boolean().describe('Served by processes of its own, in whatever language'),
  }),
);
