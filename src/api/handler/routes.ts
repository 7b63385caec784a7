/** `GET /v1/handlers`: what a job may name, and what that takes and gives. */
import { z } from 'zod';
import { AppError } from '../../domain/errors';
import type { Handler } from '../../domain/handler/contract';
import { ok } from '../respond';
import { defineRoute, type Route } from '../route';
import { pageSchema } from '../schema';
import { handlerSchema } from './schema';

type Described = Pick<
  Handler,
  'name' | 'description' | 'paramsSchema' | 'inputSchema' | 'outputSchema' | 'secretParams' | 'remote'
>;

export interface HandlerRouteDeps {
  handlers: {
    get(name: string): Described | undefined;
    /** in order of name */
    list(): readonly Described[];
  };
}

export function handlerRoutes(deps: HandlerRouteDeps): Route[] {
  return [listHandlers(deps), getHandler(deps)];
}

function listHandlers({ handlers }: HandlerRouteDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/handlers',
    operationId: 'listHandlers',
    summary: 'List handlers',
    description:
      'All there are, in order of name: those that Millrace brings, and those of this installation.',
    tags: ['handlers'],
    scopes: ['jobs:read'],
    responses: { 200: { description: 'The handlers', schema: pageSchema(handlerSchema) } },
    handler: async () => ok({ data: handlers.list().map(toHandlerBody), next_cursor: null }),
  });
}

function getHandler({ handlers }: HandlerRouteDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/handlers/{name}',
    operationId: 'getHandler',
    summary: 'Get a handler',
    tags: ['handlers'],
    scopes: ['jobs:read'],
    params: z.strictObject({ name: z.string().min(1).max(100).meta({ example: 'transform' }) }),
    responses: { 200: { description: 'The handler', schema: handlerSchema } },
    errors: ['not_found'],
    handler: async ({ params: { name } }) => {
      const handler = handlers.get(name);
      if (handler === undefined) throw new AppError('not_found', 'There is no handler of this name.');
      return ok(toHandlerBody(handler));
    },
  });
}

function toHandlerBody(handler: Described) {
  return {
    object: 'handler',
    name: handler.name,
    description: handler.description,
    params_schema: handler.paramsSchema,
    input_schema: handler.inputSchema,
    output_schema: handler.outputSchema,
    secret_params: handler.secretParams ?? [],
    remote: handler.remote === true,
  };
}
