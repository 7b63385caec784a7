import Router from '@koa/router';
import { routeMatching } from '../../src/api/middleware/match-route';
import type { Route } from '../../src/api/route';
import type { ApiContext } from '../../src/api/state';
import { documentedRoutes } from '../../tools/generate-openapi';

const routes = documentedRoutes();
const { match } = routeMatching(routes);

interface Found {
  path: string | undefined;
  params: unknown;
}

async function found(method: string, path: string): Promise<Found> {
  const state: { path: string; route?: Route; rawParams?: unknown } = { path };
  let went = false;
  await match({ method, state } as unknown as ApiContext, async () => {
    went = true;
  });
  expect(went).toBe(true);
  return { path: state.route?.path, params: state.rawParams };
}

/** The router by itself, asked for each route there is; of those that match, the one with the fewest parameters counts. */
function expected(method: string, path: string): Found {
  const matching = routes
    .map((route) => {
      const router = new Router({ sensitive: true });
      router.register(route.path.replace(/\{(\w+)\}/g, ':$1'), [route.method.toUpperCase()], () => undefined);
      const [layer] = router.match(path, method).pathAndMethod;
      return { route, layer };
    })
    .filter(({ layer }) => layer !== undefined)
    .sort((a, b) => a.route.path.split('{').length - b.route.path.split('{').length);
  const [first] = matching;
  return {
    path: first?.route.path,
    params: first?.layer?.params(path, first.layer.captures(path), {}),
  };
}

const paths = new Set(
  routes.flatMap(({ path }) =>
    ['x', 'job_1', 'a%20b', 'a.b', '', 'items', 'results'].flatMap((value) => {
      const filled = path.replace(/\{\w+\}/g, value);
      return [filled, `${filled}/`, `${filled}//`, `/${filled}`, filled.toUpperCase(), `${filled}/x`];
    }),
  ),
);

// The router takes it for `/` with a slash at its end.
paths.delete('//');

test.each(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'])(
  '%s finds the very route that the router finds, or none, whatever is in the path',
  async (method) => {
    const differing = [];
    for (const path of paths) {
      const [ours, theirs] = [await found(method, path), expected(method, path)];
      if (JSON.stringify(ours) !== JSON.stringify(theirs)) differing.push({ path, ours, theirs });
    }
    expect(differing).toEqual([]);
    expect(paths.size).toBeGreaterThan(200);
  },
);
