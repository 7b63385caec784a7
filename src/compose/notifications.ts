/** The worker's side of notifications: making them of events, and which of them go by themselves. */
import type { ServerConfig } from '../platform/config';
import { createNotificationQueue } from '../platform/postgres/notification-queue';
import { createNotificationStore } from '../platform/postgres/notification-store';
import { startNotificationRetention } from '../workers/notification-retention';
import { type Notifier, startNotifier } from '../workers/notifier';
import type { Common, Setting } from './parts';

export function openNotifications(
  { log, lifecycle }: Setting<ServerConfig>,
  { database, realtime }: Pick<Common, 'database' | 'realtime'>,
): Notifier {
  const notifier = startNotifier({
    queue: createNotificationQueue(database),
    publish: realtime.publish,
    ticks: () => performance.now(),
    log,
  });
  lifecycle.onClose('notifier', () => notifier.stop());
  const retention = startNotificationRetention({
    notifications: createNotificationStore(database),
    log,
    onError: (err) => log.warn({ err }, 'the retention of notifications failed and is tried again'),
  });
  lifecycle.onClose('notification retention', () => retention.stop());
  return notifier;
}
