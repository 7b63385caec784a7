/** Plans: what tenants may use. */
import { z } from 'zod';
import { AppError } from '../../domain/errors';
import { PLAN_NAME } from '../../domain/key/plans';
import { decodeCursor, toPage } from '../paging';
import { created, ok } from '../respond';
import { defineRoute, type Route } from '../route';
import { PAGE_LIMIT_DEFAULT, pageQuery, pageSchema } from '../schema';
import type { PlanStore } from './ports';
import {
  planCreateSchema,
  planNameSchema,
  planSchema,
  planUpdateSchema,
  toLimitsChange,
  toNewPlan,
  toPlanBody,
} from './schema';

export interface PlanRouteDeps {
  plans: Pick<PlanStore, 'list' | 'find'>;
}

export function planRoutes(deps: PlanRouteDeps): Route[] {
  return [listPlans(deps), getPlan(deps), createPlan(), updatePlan()];
}

const LIST = 'plans';
const params = z.strictObject({
  name: planNameSchema.meta({ description: 'Name of the plan', example: 'basic' }),
});

function listPlans({ plans }: PlanRouteDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/plans',
    operationId: 'listPlans',
    summary: 'List plans',
    description: 'By name. `free`, `basic`, `premium` and `unlimited` are there from the start.',
    tags: ['tenants'],
    scopes: [],
    query: z.strictObject(pageQuery),
    responses: { 200: { description: 'A page of plans', schema: pageSchema(planSchema) } },
    errors: ['malformed_cursor'],
    handler: async ({ query }) => {
      const { cursor, limit = PAGE_LIMIT_DEFAULT } = query;
      const after = cursor === undefined ? undefined : nameIn(cursor);
      const rows = await plans.list({ after, limit: limit + 1 });
      const { data, next_cursor } = toPage(LIST, rows, { limit, positionOf: ({ name }) => name });
      return ok({ data: data.map(toPlanBody), next_cursor });
    },
  });
}

function nameIn(cursor: string): string {
  const name = String(decodeCursor(LIST, cursor));
  if (PLAN_NAME.test(name)) return name;
  throw new AppError('malformed_cursor', 'This cursor is not one of this list.');
}

function getPlan({ plans }: PlanRouteDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/plans/{name}',
    operationId: 'getPlan',
    summary: 'Get a plan',
    tags: ['tenants'],
    scopes: [],
    params,
    responses: { 200: { description: 'The plan', schema: planSchema } },
    errors: ['not_found'],
    handler: async ({ params: { name } }) => {
      const plan = await plans.find(name);
      if (plan === undefined) throw new AppError('not_found', 'There is no plan of this name.');
      return ok(toPlanBody(plan));
    },
  });
}

function createPlan(): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/plans',
    operationId: 'createPlan',
    summary: 'Create a plan',
    tags: ['tenants'],
    scopes: ['admin'],
    idempotent: true,
    body: planCreateSchema,
    bodyExample: { name: 'team', requests_per_minute: 1_200, items_per_job: 50_000, retention_days: 14 },
    responses: { 201: { description: 'The plan', schema: planSchema } },
    errors: ['plan_exists'],
    handler: ({ body, transact }) =>
      transact(async (stores) => {
        const plan = await stores.plans.insert(toNewPlan(body));
        return created(`/v1/plans/${plan.name}`, toPlanBody(plan));
      }),
  });
}

function updatePlan(): Route {
  return defineRoute({
    method: 'patch',
    path: '/v1/plans/{name}',
    operationId: 'updatePlan',
    summary: 'Change the limits of a plan',
    description:
      'For all its tenants, within two seconds, jobs that run included. What is over a limit already is not taken back: jobs ' +
      'that run go on, and items that were counted stay counted. A shorter retention takes effect within minutes, and what it ' +
      'removes does not come back.',
    tags: ['tenants'],
    scopes: ['admin'],
    params,
    body: planUpdateSchema,
    bodyExample: { requests_per_minute: 2_400, retention_days: null },
    responses: { 200: { description: 'The plan', schema: planSchema } },
    errors: ['not_found'],
    handler: ({ params: { name }, body, transact }) =>
      transact(async (stores) => ok(toPlanBody(await stores.plans.update(name, toLimitsChange(body))))),
  });
}
