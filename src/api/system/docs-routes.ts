/** The OpenAPI document and Swagger UI over it, all served from here: a page without a request to anywhere else. */
import { createReadStream } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { AppError } from '../../domain/errors';
import { buildOpenApi } from '../openapi';
import { ok, stream, text } from '../respond';
import { defineRoute, type Route } from '../route';

const ASSETS: Readonly<Record<string, string>> = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'favicon-32x32.png': 'image/png',
};

const INIT_SCRIPT = `window.onload = () => {
  window.ui = SwaggerUIBundle({
    url: '/openapi.json', dom_id: '#swagger-ui', deepLinking: true, validatorUrl: null,
    presets: [SwaggerUIBundle.presets.apis], layout: 'BaseLayout', displayOperationId: true,
  });
};
`;

const DOCS_PAGE = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Millrace API</title><meta name="viewport" content="width=device-width">
<link rel="stylesheet" href="/docs/assets/swagger-ui.css"><link rel="icon" href="/docs/assets/favicon-32x32.png"></head>
<body><div id="swagger-ui"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script><script src="/docs/init.js"></script></body>
</html>
`;

/** Swagger UI writes style attributes and shows its icons from data: URLs. */
const DOCS_HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
};

export interface DocsDeps {
  version: string;
  /** all routes, once they are known */
  routes(): readonly Route[];
}

export function docsRoutes(deps: DocsDeps): Route[] {
  return [openApiDocument(deps), docsPage(), docsInit(), docsAsset(), home()];
}

function openApiDocument(deps: DocsDeps): Route {
  let document: string | undefined;
  return defineRoute({
    method: 'get',
    path: '/openapi.json',
    operationId: 'getOpenApi',
    summary: 'This document',
    tags: ['system'],
    scopes: 'public',
    responses: { 200: { description: 'OpenAPI 3.1', contentType: 'application/json' } },
    handler: async () => {
      document ??= JSON.stringify(buildOpenApi(deps.routes(), deps.version));
      return { ...ok(undefined), jsonText: document };
    },
  });
}

function docsPage(): Route {
  return page('/docs', 'getDocs', async () => text('text/html; charset=utf-8', DOCS_PAGE, DOCS_HEADERS));
}

function docsInit(): Route {
  return page('/docs/init.js', 'getDocsScript', async () =>
    text('text/javascript; charset=utf-8', INIT_SCRIPT),
  );
}

function docsAsset(): Route {
  return defineRoute({
    method: 'get',
    path: '/docs/assets/{file}',
    operationId: 'getDocsAsset',
    summary: 'Part of the documentation page',
    tags: ['system'],
    scopes: 'public',
    hidden: true,
    params: z.object({ file: z.string() }),
    responses: { 200: { description: 'A file' } },
    handler: async ({ params: { file } }) => {
      const type = Object.hasOwn(ASSETS, file) ? ASSETS[file] : undefined;
      if (type === undefined) throw new AppError('not_found', 'There is nothing at this address.');
      const folder = path.dirname(require.resolve('swagger-ui-dist/package.json'));
      const headers = { 'Cache-Control': 'public, max-age=3600' };
      return stream(type, createReadStream(path.join(folder, file)), headers);
    },
  });
}

function home(): Route {
  return page('/', 'getHome', async () => ({ ...ok(undefined, { Location: '/docs' }), status: 302 }));
}

function page(at: string, operationId: string, handler: Route['handler']): Route {
  return defineRoute({
    method: 'get',
    path: at,
    operationId,
    summary: 'For people',
    tags: ['system'],
    scopes: 'public',
    hidden: true,
    responses: { 200: { description: 'A page' } },
    handler,
  });
}
