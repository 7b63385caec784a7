/** Removes notifications that are past the retention of their tenant's plan, and all of deleted tenants; several workers share it. */
import { type Loop, startLoop } from './loop';

export interface NotificationRetentionDeps {
  /** See src/platform/postgres/notification-store.ts. */
  notifications: { prune(from?: string): Promise<{ removed: number; next: string | undefined }> };
  log: { info(fields: object, message: string): void };
}

export interface NotificationRetentionOptions extends NotificationRetentionDeps {
  onError(error: unknown): void;
}

const INTERVAL_MS = 60_000;

export function startNotificationRetention({ onError, ...deps }: NotificationRetentionOptions): Loop {
  const step = (signal: AbortSignal): Promise<unknown> => removeOldNotifications(deps, signal);
  return startLoop({ intervalMs: INTERVAL_MS, step, onError });
}

/** One round over all tenants. @returns how many went */
export async function removeOldNotifications(
  { notifications, log }: NotificationRetentionDeps,
  signal: AbortSignal,
): Promise<number> {
  let count = 0;
  let from: string | undefined;
  do {
    const { removed, next } = await notifications.prune(from);
    count += removed;
    from = next;
  } while (from !== undefined && !signal.aborted);
  if (count > 0) log.info({ notifications: count }, 'notifications past their retention are removed');
  return count;
}
