import { z } from 'zod';
import { errorsOf } from '../../src/api/openapi';
import { noContent } from '../../src/api/respond';
import { defineRoute, takesJson } from '../../src/api/route';
import { ENGINE_CODES, ERROR_ADVICE, ITEM_CODES, JOB_CODES } from '../../src/api/system/error-advice';
import { ERROR_CATALOG } from '../../src/domain/errors';
import { SCOPES } from '../../src/domain/key/scopes';
import { generated, stale } from '../../tools/generate';
import { documentedRoutes, openApiJson } from '../../tools/generate-openapi';

const routes = documentedRoutes();
const document = JSON.parse(openApiJson());

interface Documented {
  paths: Record<
    string,
    Record<string, { responses: Record<string, { content?: Record<string, { schema: unknown }> }> }>
  >;
}
const root = `${__dirname}/../..`;

describe('the table of routes', () => {
  test('names every operation once', () => {
    const ids = routes.map((route) => route.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    const places = routes.map((route) => `${route.method} ${route.path}`);
    expect(new Set(places).size).toBe(places.length);
  });

  test.each(routes.map((route) => [route.operationId, route] as const))(
    '%s declares what it needs',
    (_id, route) => {
      if (route.path.startsWith('/v1/')) expect(route.scopes).not.toBe('public');
      if (route.scopes !== 'public') expect(SCOPES).toEqual(expect.arrayContaining([...route.scopes]));
      const declared = Object.keys(route.params?.shape ?? {}).sort();
      const inPath = [...route.path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort();
      expect(declared).toEqual(inPath);
    },
  );

  test('is open to everybody where that is known of, and to every key likewise', () => {
    const named = (fits: (scopes: (typeof routes)[number]['scopes']) => boolean): string[] =>
      routes.filter(({ scopes }) => fits(scopes)).map((route) => route.operationId);
    const open = ['getHealth', 'getReadiness', 'getMetrics', 'getOpenApi'];
    const pages = ['listProblems', 'getProblem', 'getDocs', 'getDocsScript', 'getDocsAsset', 'getHome'];
    // They ask for the token of the chunk themselves.
    const lent = ['claimChunk', 'releaseChunk', 'getChunkItems', 'postChunkResults'];
    expect(named((scopes) => scopes === 'public').sort()).toEqual([...open, ...pages, ...lent].sort());
    const own = ['getMe', 'listPlans', 'getPlan', 'getTenant', 'getUsage', 'openRealtime'];
    // A ticket has no more than its key, whatever that has.
    own.push('createStreamTicket', 'endStreamTicket');
    expect(named((scopes) => scopes.length === 0).sort()).toEqual(own.sort());
  });

  test('documents only errors of the catalogue, and none that never reach a client', () => {
    const never = new Set<string>([...ITEM_CODES, ...JOB_CODES, ...ENGINE_CODES]);
    for (const code of routes.flatMap(errorsOf)) {
      expect(ERROR_CATALOG).toHaveProperty(code);
      expect(never.has(code)).toBe(false);
    }
  });

  test('every POST that creates or triggers takes an Idempotency-Key', () => {
    const bare = routes.filter((route) => route.method === 'post' && route.idempotent !== true);
    // Those of lent chunks are safe to repeat by their fence.
    expect(bare.filter((route) => route.bearer === undefined).map((route) => route.operationId)).toEqual([]);
  });

  test('what takes a token of its own stands apart, so that it can be kept from the outside', () => {
    const apart = routes.filter((route) => route.path.startsWith('/remote/'));
    expect(apart.length).toBeGreaterThan(0);
    expect(routes.filter((route) => route.bearer !== undefined)).toEqual(apart);
    for (const route of apart) {
      expect(document.paths[route.path][route.method].security).toEqual([{ chunkToken: [] }]);
    }
  });
});

describe('the route helper', () => {
  const base = { operationId: 'x', summary: '', tags: [], scopes: 'public', responses: {} } as const;
  const handler = async () => noContent();

  test('takes no route that does not say who may ask: it does not compile, and is refused all the same', () => {
    const { scopes: _, ...silent } = base;
    // @ts-expect-error -- no scopes
    expect(() => defineRoute({ ...silent, method: 'get', path: '/x', handler })).toThrow(/scopes/);
    const unknown = { ...silent, scopes: ['jobs:rewrite'], method: 'get', path: '/x', handler } as const;
    // @ts-expect-error -- a scope that there is not
    expect(() => defineRoute(unknown)).toThrow(/scopes/);
  });

  test('refuses an Idempotency-Key on anything but POST', () => {
    expect(() => defineRoute({ ...base, method: 'put', path: '/x', idempotent: true, handler })).toThrow(
      /POST/,
    );
  });

  test('refuses a body that is both validated and raw', () => {
    const both = { body: z.object({}), rawBody: ['text/csv'] };
    expect(() => defineRoute({ ...base, ...both, method: 'post', path: '/x', handler })).toThrow(/raw/);
  });
});

describe('the OpenAPI document', () => {
  test('shows every route that is not a page, with its scopes', () => {
    for (const route of routes) {
      const operation = document.paths[route.path]?.[route.method];
      expect(operation !== undefined).toBe(route.hidden !== true);
      if (operation === undefined || route.scopes === 'public') continue;
      expect(operation['x-required-scopes']).toEqual(route.scopes);
      const ticket = route.takesTicket === true ? [{ streamTicket: [] }] : [];
      expect(operation.security).toEqual([{ apiKey: [] }, ...ticket]);
      for (const scope of route.scopes) expect(operation.description).toContain(scope);
    }
  });

  test('shows what a body that cannot be read is answered wherever one is read, also where none is declared', () => {
    const bare = routes.filter((route) => route.method === 'post' && route.body === undefined);
    expect(bare.map((route) => route.operationId)).toContain('startJob');
    for (const route of routes.filter(takesJson)) {
      const { responses } = document.paths[route.path][route.method];
      expect(Object.keys(responses)).toEqual(expect.arrayContaining(['400', '408', '413', '415', '422']));
      expect(responses['400'].description).toContain('malformed_json');
    }
  });

  test('refers to nothing that it does not hold', () => {
    const refs = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)];
    expect(refs.length).toBeGreaterThan(0);
    for (const [, name] of refs) expect(document.components.schemas).toHaveProperty(name ?? '');
  });

  test('has the same problem behind every error', () => {
    const documented = document as Documented;
    for (const operations of Object.values(documented.paths)) {
      for (const { responses } of Object.values(operations)) {
        for (const [status, response] of Object.entries(responses)) {
          const problem = response.content?.['application/problem+json'];
          if (Number(status) < 400 || problem === undefined) continue;
          expect(problem.schema).toEqual({ $ref: '#/components/schemas/Problem' });
        }
      }
    }
  });
});

describe('generated files', () => {
  test('are fresh (npm run generate)', () => {
    expect(stale(root)).toEqual([]);
  });

  test('docs/errors.md and the catalogue have the same codes, each with what to do', () => {
    const documented = [...(generated()['docs/errors.md'] ?? '').matchAll(/^\| `(\w+)` \|/gm)].map(
      (m) => m[1],
    );
    expect(documented.sort()).toEqual(Object.keys(ERROR_CATALOG).sort());
    expect(Object.keys(ERROR_ADVICE).sort()).toEqual(Object.keys(ERROR_CATALOG).sort());
  });
});
