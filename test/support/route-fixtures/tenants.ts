import { randomBytes } from 'node:crypto';
import type { KeyedFixture, RouteFixtures } from './fixture';

const planName = (): string => `plan-${randomBytes(6).toString('hex')}`;

const onOwnTenant = (more: object = {}): KeyedFixture => ({
  asks: 'apiKey',
  ids: { 'path.id': 'tenant' },
  request: ({ tenantId }) => ({ path: { id: tenantId }, ...more }),
});

export const tenantFixtures: RouteFixtures = {
  createTenant: { asks: 'apiKey', request: () => ({ body: { name: 'made', plan: 'free' } }) },
  listTenants: { asks: 'apiKey', request: () => ({}) },
  getTenant: onOwnTenant(),
  updateTenant: onOwnTenant({ body: { name: 'renamed' } }),
  deleteTenant: {
    asks: 'apiKey',
    ids: { 'path.id': 'tenant' },
    // One that an admin of another tenant may take away.
    request: async ({ asAdmin }) => ({
      path: { id: (await asAdmin('POST', '/v1/tenants', { name: 'to go' })).id },
    }),
  },
  putTenantSubscription: {
    asks: 'apiKey',
    ids: { 'path.id': 'tenant' },
    request: ({ tenantId, plan }) => ({ path: { id: tenantId }, body: { plan } }),
  },
  listPlans: { asks: 'apiKey', request: () => ({}) },
  createPlan: { asks: 'apiKey', request: () => ({ body: { name: planName(), items_per_job: 5 } }) },
  getPlan: { asks: 'apiKey', request: () => ({ path: { name: 'free' } }) },
  updatePlan: {
    asks: 'apiKey',
    request: async ({ asAdmin }) => {
      const { name } = await asAdmin('POST', '/v1/plans', { name: planName() });
      return { path: { name }, body: { items_per_job: 5 } };
    },
  },
  getUsage: { asks: 'apiKey', ids: { 'query.tenant_id': 'tenant' }, request: () => ({}) },
};
