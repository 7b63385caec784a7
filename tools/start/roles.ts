/** Everything `npm start` may start, in the order of need. */
export const roles = ['postgres', 'redis', 'temporal', 'api', 'worker'] as const;
export type Role = (typeof roles)[number];
