import { chunkFixtures } from './chunks';
import { eventFixtures } from './events';
import type { ChunkFixture, KeyedFixture, RouteFixture, RouteFixtures } from './fixture';
import { jobFixtures } from './jobs';
import { keyFixtures } from './keys';
import { notificationFixtures } from './notifications';
import { systemFixtures } from './system';
import { tenantFixtures } from './tenants';
import { ticketFixtures } from './tickets';

export const FIXTURES: RouteFixtures = {
  ...jobFixtures,
  ...chunkFixtures,
  ...keyFixtures,
  ...eventFixtures,
  ...notificationFixtures,
  ...tenantFixtures,
  ...ticketFixtures,
  ...systemFixtures,
};

/** @throws Error where the route has none, or one that asks for something else */
export function fixtureOf(operationId: string, asks: 'apiKey'): KeyedFixture;
export function fixtureOf(operationId: string, asks: 'chunkToken'): ChunkFixture;
export function fixtureOf(operationId: string, asks: RouteFixture['asks']): RouteFixture {
  const fixture = FIXTURES[operationId];
  if (fixture?.asks === asks) return fixture;
  throw new Error(`${operationId} has no fixture in test/support/route-fixtures that asks for ${asks}`);
}
