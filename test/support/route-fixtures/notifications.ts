import type { KeyedFixture, RouteFixtures } from './fixture';
import type { Owner } from './world';

const RULE = { name: 'failed jobs', event_types: ['job.failed'] };

const someRule = async (owner: Owner): Promise<string> =>
  (await owner.make('POST', '/v1/notification-rules', RULE)).id;

const onRule = (more: object = {}): KeyedFixture => ({
  asks: 'apiKey',
  ids: { 'path.id': 'notificationRule' },
  request: async (owner) => ({ path: { id: await someRule(owner) }, ...more }),
});

const onNotification: KeyedFixture = {
  asks: 'apiKey',
  ids: { 'path.id': 'notification' },
  request: async (owner) => ({ path: { id: await owner.notify() } }),
};

export const notificationFixtures: RouteFixtures = {
  createNotificationRule: { asks: 'apiKey', request: () => ({ body: RULE }) },
  listNotificationRules: {
    asks: 'apiKey',
    request: async (owner) => {
      await Promise.all([someRule(owner), someRule(owner)]);
      return {};
    },
  },
  getNotificationRule: onRule(),
  updateNotificationRule: onRule({ body: { enabled: false } }),
  deleteNotificationRule: onRule(),
  listNotifications: {
    asks: 'apiKey',
    request: async (owner) => {
      await Promise.all([owner.notify(), owner.notify()]);
      return {};
    },
  },
  getNotification: onNotification,
  readNotification: onNotification,
  readAllNotifications: {
    asks: 'apiKey',
    ids: { 'body.up_to_id': 'notification' },
    request: async (owner) => ({ body: { up_to_id: await owner.notify() } }),
  },
};
