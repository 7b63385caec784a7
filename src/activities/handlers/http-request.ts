/** From the params of the `http` handler and an item to the request. */
import type { Json } from '../../domain/batch/job';
import type { TemplateItem } from '../../domain/handler/template';
import type { OutboundRequest } from '../../domain/outbound/exchange';
import { HEADER_TEXT, type HttpParams, SECRET_NAMES } from './http-params';
import {
  asText,
  jsonOf,
  jsonPieces,
  partsOf,
  type Piece,
  render,
  templateFailed,
  textPieces,
  unfit,
} from './http-render';
import { hasDotSegment, toUrlTemplate, type UrlTemplate } from './http-url';

export type BuiltRequest = Pick<OutboundRequest, 'method' | 'url' | 'headers' | 'body'>;

export interface RequestTemplate {
  /** The URL with something in its placeholders; undefined where an item names all of it. */
  sampleUrl: string | undefined;
  /** @throws ItemFailure `template_failed` */
  build(item: TemplateItem): BuiltRequest;
  /** what the secret headers of a request hold */
  secretsOf(request: BuiltRequest): readonly string[];
}

const URL_MAX = 16_384;
const HEADER_MAX = 16_384;
/** An item may have 1 MB, and the template may put more around it. */
const BODY_MAX = 2_097_152;

/** @param params checked */
export function toRequestTemplate(params: HttpParams): RequestTemplate {
  const url = toUrlTemplate(partsOf(params.url));
  if ('fault' in url) throw new TypeError(url.fault);
  const body = toBody(params);
  const headers = Object.entries(params.headers ?? {}).map(([name, text]) => ({
    name,
    pieces: textPieces(partsOf(text)),
  }));
  const secretHeaders = params.secret_headers ?? {};
  const given = [...Object.keys(params.headers ?? {}), ...Object.keys(secretHeaders)].map((name) =>
    name.toLowerCase(),
  );
  const isSecret = (name: string): boolean =>
    Object.hasOwn(secretHeaders, name) || SECRET_NAMES.includes(name.toLowerCase());
  const method = params.method ?? (body === undefined ? 'GET' : 'POST');
  return {
    sampleUrl: url.kind === 'whole' ? undefined : url.sample,
    secretsOf: ({ headers: sent }) =>
      Object.entries(sent).flatMap(([name, value]) => (isSecret(name) ? [value] : [])),
    build: (item) => ({
      method,
      url: toUrl(url, item),
      headers: {
        ...(body !== undefined && !given.includes('content-type') && { 'Content-Type': body.contentType }),
        ...(!given.includes('idempotency-key') && { 'Idempotency-Key': item.idempotencyKey }),
        ...Object.fromEntries(headers.map(({ name, pieces }) => [name, toHeader(name, pieces, item)])),
        ...secretHeaders,
      },
      body: body === undefined ? undefined : render(body.pieces, item, BODY_MAX),
    }),
  };
}

function toUrl(template: UrlTemplate, item: TemplateItem): string {
  if (template.kind === 'parts') {
    const url = render(template.pieces, item, URL_MAX);
    if (hasDotSegment(url)) throw templateFailed('With this item the URL has a path with . or .. in it.');
    return url;
  }
  const { placeholder } = template;
  const json = jsonOf(placeholder, item);
  const url: unknown = JSON.parse(json);
  if (typeof url !== 'string' || url.length > URL_MAX || !URL.canParse(url)) {
    throw unfit(placeholder.shown, 'is no URL');
  }
  return url;
}

function toHeader(name: string, pieces: readonly Piece[], item: TemplateItem): string {
  const value = render(pieces, item, HEADER_MAX);
  if (!HEADER_TEXT.test(value)) {
    throw templateFailed(`With this item the header ${name} holds characters that a header cannot.`);
  }
  return value;
}

interface BodyTemplate {
  pieces: readonly Piece[];
  contentType: string;
}

function toBody({ body, body_form, body_text }: HttpParams): BodyTemplate | undefined {
  if (body !== undefined) return { pieces: jsonPieces(body as Json), contentType: 'application/json' };
  if (body_form !== undefined) {
    return { pieces: formPieces(body_form), contentType: 'application/x-www-form-urlencoded' };
  }
  if (body_text === undefined) return undefined;
  return { pieces: textPieces(partsOf(body_text)), contentType: 'text/plain; charset=utf-8' };
}

function formPieces(form: Record<string, string>): Piece[] {
  return Object.entries(form).flatMap(([name, value], i) => [
    `${i === 0 ? '' : '&'}${toFormText(name)}=`,
    ...partsOf(value).map((part) => (typeof part === 'string' ? toFormText(part) : asText(part, toFormText))),
  ]);
}

function toFormText(text: string): string {
  return new URLSearchParams([['', text]]).toString().slice(1);
}
