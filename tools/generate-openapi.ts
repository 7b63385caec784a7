import { buildOpenApi } from '../src/api/openapi';
import { createRoutes, type RouteDeps } from '../src/api/routes';
import { version } from '../package.json';

/** Routes are declared with what they need and use it only when a request comes: here none ever does. */
export function documentedRoutes(): ReturnType<typeof createRoutes> {
  return createRoutes(absent() as RouteDeps);
}

/** docs/openapi.json */
export function openApiJson(): string {
  return `${JSON.stringify(buildOpenApi(documentedRoutes(), version), null, 2)}\n`;
}

/** An object that has every property, each of its kind; to use one is an error. */
function absent(): unknown {
  const refuse = (): never => {
    throw new Error('a route used its dependencies while it was declared');
  };
  return new Proxy(refuse, {
    get: (_target, name) => (name === 'version' ? version : absent()),
    apply: refuse,
  });
}
