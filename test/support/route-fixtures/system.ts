import type { RouteFixtures } from './fixture';

export const systemFixtures: RouteFixtures = {
  getHealth: { asks: 'nothing', because: 'a supervisor asks, and learns that the process lives' },
  getReadiness: { asks: 'nothing', because: 'a load balancer asks, and learns what is up' },
  getMetrics: { asks: 'nothing', because: 'Prometheus asks from the inside; numbers without tenants' },
  getOpenApi: { asks: 'nothing', because: 'the same for everybody' },
};
