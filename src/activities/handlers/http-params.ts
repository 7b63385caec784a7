/** The params of the `http` handler, and everything that can be said against them before an item is seen. */
import { z } from 'zod';
import type { Json } from '../../domain/batch/job';
import { parseTemplate, type TemplatePart } from '../../domain/handler/template';
import { toUrlTemplate } from './http-url';

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;
const URL_MAX = 8_192;
const HEADER_VALUE_MAX = 8_192;
const BODY_MAX = 262_144;
const HEADERS_MAX = 50;

/** RFC 9110 §5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$/;
/** What a header may hold, in what HTTP/1.1 sends. */
export const HEADER_TEXT = /^[\t\x20-\x7e\x80-\xff]*$/;

/** They are about the connection or the framing, which is the client's business. */
const CLIENTS_OWN = new Set([
  ...['host', 'content-length', 'transfer-encoding', 'connection', 'keep-alive', 'te', 'trailer', 'upgrade'],
  ...['expect', 'accept-encoding', 'proxy-connection', 'proxy-authorization', 'http2-settings'],
]);

/** Plain headers that are kept like secret ones, since that is what they hold. */
export const SECRET_NAMES = [
  'authorization',
  'cookie',
  'x-api-key',
  'api-key',
  'x-auth-token',
  'x-access-token',
];

export const HTTP_SECRETS = ['secret_headers', ...SECRET_NAMES.map((name) => `headers.${name}`)];

const template = (lengthMax: number) =>
  z
    .string()
    .max(lengthMax)
    .superRefine((text, ctx) => void partsOrIssue(text, ctx));

const headerName = z
  .string()
  .regex(TOKEN, { error: 'expected the name of a header' })
  .refine((name) => !CLIENTS_OWN.has(name.toLowerCase()), { error: 'is set by the client itself' });

const headers = (value: z.ZodString) =>
  z
    .record(headerName, value.regex(HEADER_TEXT, { error: 'holds characters that a header cannot' }))
    .refine((all) => Object.keys(all).length <= HEADERS_MAX, { error: `expected at most ${HEADERS_MAX}` });

const status = z.int().min(200).max(599);

export const HTTP_PARAMS = z
  .strictObject({
    url: template(URL_MAX)
      .superRefine(checkUrl)
      .describe(
        'Absolute, http or https. Placeholders in path and query are percent-encoded; `{{input.url}}` may be all of it.',
      ),
    method: z.enum(METHODS).optional().describe('GET where not given, POST with a body'),
    headers: headers(z.string().max(HEADER_VALUE_MAX))
      .superRefine((all, ctx) => {
        for (const [name, text] of Object.entries(all)) partsOrIssue(text, ctx, [name]);
      })
      .optional()
      .describe(
        `Templates. ${SECRET_NAMES.slice(0, 3).join(', ')} and the like are kept as secret_headers are.`,
      ),
    secret_headers: headers(z.string().max(HEADER_VALUE_MAX))
      .optional()
      .describe('Sent as they are; encrypted at rest and never shown.')
      .meta({ writeOnly: true }),
    body: z
      .unknown()
      .optional()
      .superRefine(checkBody)
      .describe(
        'JSON. A string that is one placeholder becomes the value itself; within other strings values are text.',
      ),
    body_form: z
      .record(z.string().max(1_000), template(BODY_MAX))
      .optional()
      .describe('Fields of an application/x-www-form-urlencoded body; templates'),
    body_text: template(BODY_MAX)
      .optional()
      .describe('A body as text; a template, values are put in as they are'),
    success_statuses: z.array(status).min(1).max(100).optional().describe('In place of 200 to 299'),
    response: z
      .enum(['full', 'body'])
      .default('full')
      .describe('The output: `{status, headers, body}` or the body alone'),
    response_headers: z
      .array(z.string().regex(TOKEN, { error: 'expected the name of a header' }))
      .max(20)
      .optional()
      .describe('Headers of the answer that the output holds, in place of the usual few'),
  })
  .superRefine(checkTogether);

export type HttpParams = z.output<typeof HTTP_PARAMS>;

type Refinement = z.core.$RefinementCtx;

function partsOrIssue(text: string, ctx: Refinement, path: PropertyKey[] = []): TemplatePart[] | undefined {
  const parsed = parseTemplate(text);
  if (!('fault' in parsed)) return parsed.parts;
  ctx.addIssue({ code: 'custom', message: parsed.fault, path });
  return undefined;
}

function checkUrl(text: string, ctx: Refinement): void {
  const parsed = parseTemplate(text);
  if ('fault' in parsed) return;
  const url = toUrlTemplate(parsed.parts);
  if ('fault' in url) ctx.addIssue({ code: 'custom', message: url.fault });
}

function checkBody(body: unknown, ctx: Refinement): void {
  if (body === undefined) return;
  if (JSON.stringify(body).length > BODY_MAX) {
    ctx.addIssue({ code: 'custom', message: `expected at most ${BODY_MAX} characters of JSON` });
    return;
  }
  checkStrings(body as Json, [], ctx);
}

function checkStrings(value: Json, path: PropertyKey[], ctx: Refinement): void {
  if (typeof value === 'string') partsOrIssue(value, ctx, path);
  if (typeof value !== 'object' || value === null) return;
  for (const [name, inner] of Object.entries(value)) {
    if (!Array.isArray(value) && name.includes('{{')) {
      ctx.addIssue({ code: 'custom', message: 'a name is no template', path: [...path, name] });
    }
    checkStrings(inner, [...path, name], ctx);
  }
}

interface Whole {
  method?: string | undefined;
  headers?: Record<string, string> | undefined;
  secret_headers?: Record<string, string> | undefined;
  body?: unknown;
  body_form?: unknown;
  body_text?: unknown;
}

function checkTogether(params: Whole, ctx: Refinement): void {
  const bodies = (['body', 'body_form', 'body_text'] as const).filter((name) => params[name] !== undefined);
  for (const name of bodies.slice(1)) {
    ctx.addIssue({ code: 'custom', message: 'a request has one body', path: [name] });
  }
  if (bodies[0] !== undefined && (params.method === 'GET' || params.method === 'HEAD')) {
    ctx.addIssue({ code: 'custom', message: `a ${params.method} has no body`, path: [bodies[0]] });
  }
  const seen = new Set<string>();
  for (const part of ['headers', 'secret_headers'] as const) {
    for (const name of Object.keys(params[part] ?? {})) {
      const lower = name.toLowerCase();
      if (seen.has(lower)) ctx.addIssue({ code: 'custom', message: 'is given twice', path: [part, name] });
      seen.add(lower);
    }
  }
}
