import type { Handler, HandlerRegistry } from '../../domain/handler/contract';

/** @throws Error where two handlers have one name */
export function createHandlerRegistry(handlers: readonly Handler[]): HandlerRegistry {
  const byName = new Map<string, Handler>();
  for (const handler of handlers) {
    if (byName.has(handler.name)) throw new Error(`Two handlers have the name ${handler.name}.`);
    byName.set(handler.name, handler);
  }
  const sorted = [...byName.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return { get: (name) => byName.get(name), list: () => sorted };
}
