/** Schemas that many routes share. */
import { zodToOpenAPIRegistry } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import { ID_PREFIXES, type IdKind, isId } from '../domain/ids';

/** The schema under a name of its own in the OpenAPI document; elsewhere it is referred to. */
export function named<T extends z.ZodType>(name: string, schema: T): T {
  const copy = schema.meta(schema.meta() ?? {});
  zodToOpenAPIRegistry.add(copy, { _internal: { refId: name } });
  return copy;
}

/** A public id in an answer. */
export function idText(kind: IdKind) {
  return z.string().meta({ example: `${ID_PREFIXES[kind]}_01k6z7q0v8e2m9x4t5c3b1a0n7` });
}

/** A public id in a path; one that can't exist is a 404 like one that doesn't. */
export function idParam(kind: IdKind) {
  return z
    .string()
    .refine((id) => isId(kind, id), { error: `no id of a ${kind}` })
    .meta({ description: `Id of the ${kind}`, example: `${ID_PREFIXES[kind]}_01k6z7q0v8e2m9x4t5c3b1a0n7` });
}

/** A whole number in a query, where everything is text. */
export function intQuery(limits: { min: number; max: number }) {
  return z
    .string()
    .regex(/^-?\d{1,15}$/, { error: 'expected a whole number' })
    .transform(Number)
    .pipe(z.number().min(limits.min).max(limits.max))
    .meta({ type: 'integer', minimum: limits.min, maximum: limits.max });
}

export const PAGE_LIMIT_DEFAULT = 50;
const PAGE_LIMIT_MAX = 1000;

/** `limit` and `cursor` of every list. Spread it into the query's strict object. */
export const pageQuery = {
  limit: intQuery({ min: 1, max: PAGE_LIMIT_MAX }).optional().describe('Entries per page, default 50'),
  cursor: z.string().min(1).max(1024).optional().describe('`next_cursor` of the page before'),
};

/** `{data, next_cursor}`; `next_cursor` is null on the last page, and only there. */
export function pageSchema<T extends z.ZodType>(entry: T) {
  return z.object({ data: z.array(entry), next_cursor: z.string().nullable() });
}

/** RFC 3339 with any offset; in UTC its year has four digits as well. */
export const timeInput = z.iso
  .datetime({ offset: true })
  .refine((text) => isFourDigitYear(text), { error: 'lies outside of the years 0000 to 9999 in UTC' });

/** What is no time at all is another finding. */
function isFourDigitYear(text: string): boolean {
  const time = new Date(text);
  return Number.isNaN(time.getTime()) || /^\d{4}-/.test(time.toISOString());
}

/** RFC 3339 in UTC, as JSON shows a Date. */
export const timestampSchema = z.string().meta({ format: 'date-time', example: '2026-03-01T12:00:00.000Z' });

/** The body of every error (RFC 9457). */
export const problemSchema = named(
  'Problem',
  z.object({
    type: z
      .string()
      .describe('Address of a page about this code, or a name that others have given to it')
      .meta({ example: '/problems/validation_failed' }),
    title: z.string(),
    status: z.int(),
    detail: z.string().describe('What happened this time'),
    instance: z.string().describe('Path of the request'),
    code: z.string().describe('A code of the error catalogue').meta({ example: 'validation_failed' }),
    request_id: z.string().describe('Finds the request in the log'),
    errors: z
      .array(
        z.object({
          pointer: z.string().optional().describe('JSON pointer into the body'),
          parameter: z.string().optional().describe('Name of a query parameter'),
          line: z.int().optional().describe('Physical line of an upload, from 1'),
          detail: z.string(),
        }),
      )
      .optional(),
    'violated-policies': z
      .array(z.string())
      .optional()
      .describe('Names of the limits or quotas that refused the request'),
  }),
);
