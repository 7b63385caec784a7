import { randomUUID } from 'node:crypto';
import type { RouteFixtures } from './fixture';
import type { Owner } from './world';

const NO_PUBLIC_ID = "the publisher's own name for it";

const someEvent = async (owner: Owner): Promise<string> =>
  (await owner.make('POST', '/v1/events', { type: 'order.paid', data: { n: 1 } })).id;

const someType = async (owner: Owner): Promise<string> => {
  const { name } = await owner.make('PUT', `/v1/event-types/order.t-${randomUUID()}`, {
    schema: { type: 'object' },
  });
  return name;
};

const someBroadcast = async ({ asAdmin }: Owner): Promise<string> =>
  (await asAdmin('POST', '/v1/broadcasts', { type: 'system.note', data: {} })).id;

export const eventFixtures: RouteFixtures = {
  openRealtime: { asks: 'apiKey', request: () => ({}) },
  publishEvents: {
    asks: 'apiKey',
    noIds: { 'body.event_id': NO_PUBLIC_ID },
    request: () => ({
      body: {
        events: [
          { type: 'order.paid', data: { n: 1 }, event_id: randomUUID() },
          { type: 'order.sent', data: 2 },
        ],
      },
    }),
  },
  listEvents: {
    asks: 'apiKey',
    request: async (owner) => {
      await Promise.all([someEvent(owner), someEvent(owner)]);
      return {};
    },
  },
  getEvent: {
    asks: 'apiKey',
    ids: { 'path.id': 'event' },
    request: async (owner) => ({ path: { id: await someEvent(owner) } }),
  },
  listEventTypes: { asks: 'apiKey', request: () => ({}) },
  getEventType: { asks: 'apiKey', request: async (owner) => ({ path: { name: await someType(owner) } }) },
  putEventType: {
    asks: 'apiKey',
    request: () => ({
      path: { name: `order.t-${randomUUID()}` },
      body: { schema: { type: 'object' }, strict: true },
    }),
  },
  deleteEventType: { asks: 'apiKey', request: async (owner) => ({ path: { name: await someType(owner) } }) },
  createBroadcast: {
    asks: 'apiKey',
    request: () => ({ body: { type: 'system.note', data: { text: 'of a test' } } }),
  },
  listBroadcasts: {
    asks: 'apiKey',
    request: async (owner) => {
      await Promise.all([someBroadcast(owner), someBroadcast(owner)]);
      return {};
    },
  },
  getBroadcast: {
    asks: 'apiKey',
    noIds: { 'path.id': 'a broadcast is of no tenant, and for admins only' },
    request: async (owner) => ({ path: { id: await someBroadcast(owner) } }),
  },
};
