import type { KeyedFixture, RouteFixtures } from './fixture';
import type { Owner } from './world';

const ofAJob = { asks: 'apiKey', ids: { 'path.id': 'job' } } as const;

const openJob = async (owner: Owner): Promise<string> =>
  (await owner.make('POST', '/v1/jobs', { handler: 'echo' })).id;

const filledJob = async (owner: Owner): Promise<string> => {
  const id = await openJob(owner);
  await owner.upload(`/v1/jobs/${id}/items`, '1\n2\n');
  return id;
};

const startedJob = async (owner: Owner): Promise<string> =>
  (await owner.make('POST', '/v1/jobs', { handler: 'echo', items: [1, 2] })).id;

const cancelledJob = async (owner: Owner): Promise<string> => {
  const id = await filledJob(owner);
  await owner.make('POST', `/v1/jobs/${id}/cancel`);
  return id;
};

const onJob = (make: (owner: Owner) => Promise<string>, more: object = {}): KeyedFixture => ({
  ...ofAJob,
  request: async (owner) => ({ path: { id: await make(owner) }, ...more }),
});

export const jobFixtures: RouteFixtures = {
  createJob: { asks: 'apiKey', request: () => ({ body: { handler: 'echo', items: [1, 2] } }) },
  listJobs: {
    asks: 'apiKey',
    request: async (owner) => {
      await Promise.all([openJob(owner), openJob(owner)]);
      return {};
    },
  },
  getJob: onJob(openJob),
  updateJob: onJob(openJob, { body: { name: 'renamed' } }),
  deleteJob: onJob(openJob),
  putJobItems: onJob(openJob, { body: '1\n2\n', contentType: 'application/x-ndjson' }),
  listJobItems: {
    ...onJob(filledJob),
    noIds: { 'query.custom_id': 'a name that the tenant gave, looked for within the job alone' },
  },
  startJob: onJob(filledJob),
  pauseJob: onJob(startedJob),
  resumeJob: onJob(startedJob),
  cancelJob: onJob(startedJob),
  retryJob: onJob(cancelledJob),
  getJobProgress: onJob(filledJob),
  getJobResults: onJob(filledJob),
  getJobSummary: onJob(filledJob),
  streamJobEvents: {
    ...onJob(openJob),
    noIds: { 'query.last_event_id': 'a place in the log of the job in the path' },
  },
  streamEvents: {
    asks: 'apiKey',
    noIds: { 'query.last_event_id': "a place in the log of the asker's own tenant" },
    request: () => ({}),
  },
  listHandlers: { asks: 'apiKey', request: () => ({}) },
  getHandler: { asks: 'apiKey', request: () => ({ path: { name: 'echo' } }) },
};
