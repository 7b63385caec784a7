/** The pages that the `type` of a problem leads to. */
import { z } from 'zod';
import { AppError, ERROR_CATALOG, type ErrorCode } from '../../domain/errors';
import { text } from '../respond';
import { defineRoute, type Route } from '../route';
import { ERROR_ADVICE, ITEM_CODES, JOB_CODES } from './error-advice';
import { HTML, htmlPage, PAGE_HEADERS } from './html-page';

export function problemPageRoutes(): Route[] {
  return [problemList(), problemPage()];
}

function problemList(): Route {
  return defineRoute({
    method: 'get',
    path: '/problems',
    operationId: 'listProblems',
    summary: 'The error catalogue, for people',
    tags: ['system'],
    scopes: 'public',
    hidden: true,
    responses: { 200: { description: 'HTML', contentType: 'text/html' } },
    handler: async () => text(HTML, htmlPage('Errors', listHtml()), PAGE_HEADERS),
  });
}

function problemPage(): Route {
  return defineRoute({
    method: 'get',
    path: '/problems/{code}',
    operationId: 'getProblem',
    summary: 'One error, for people',
    tags: ['system'],
    scopes: 'public',
    hidden: true,
    params: z.object({ code: z.string() }),
    responses: { 200: { description: 'HTML', contentType: 'text/html' } },
    handler: async ({ params: { code } }) => {
      if (!isErrorCode(code)) throw new AppError('not_found', 'The catalogue has no such code.');
      return text(HTML, htmlPage(code, pageHtml(code)), PAGE_HEADERS);
    },
  });
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERROR_CATALOG, code);
}

function listHtml(): string {
  const codes = Object.keys(ERROR_CATALOG) as ErrorCode[];
  const rows = codes.map((code) => {
    const { status, title } = ERROR_CATALOG[code];
    return `<tr><td><a href="/problems/${code}">${code}</a></td><td>${where(code, status)}</td><td>${title}</td></tr>`;
  });
  return `<h1>Errors</h1><table><tr><th>code</th><th>where</th><th>meaning</th></tr>${rows.join('')}</table>`;
}

function pageHtml(code: ErrorCode): string {
  const { status, title, retryable } = ERROR_CATALOG[code];
  const again = retryable ? 'The same request may succeed later.' : 'The same request will fail again.';
  const advice = (ERROR_ADVICE[code] ?? '').replace(/`([^`]+)`/g, '<code>$1</code>');
  return `<h1><code>${code}</code></h1><p><b>${title}.</b> (${where(code, status)})</p><p>${advice}</p>
<p>${again}</p><p><a href="/problems">All errors</a> · <a href="/docs">API</a></p>`;
}

function where(code: ErrorCode, status: number): string {
  if (ITEM_CODES.includes(code)) return 'in a result line';
  if (JOB_CODES.includes(code)) return 'in a job';
  return `HTTP ${status}`;
}
