/** The list of notifications. Fulfils `NotificationStore` of src/api/notification/ports.ts. */
import { AppError } from '../../domain/errors';
import { decodeId, encodeId } from '../../domain/ids';
import type { Notification } from '../../domain/notification/notification';
import { type Queryable, statement } from './statement';

/** As it stands in the table: ids are UUIDs. */
export type NotificationRow = Notification;

export const NOTIFICATION_COLUMNS =
  'id, tenant_id, rule_id, rule_name, event_id, event_type, subject, created_at, read_at';

export const NOTIFICATION_LIST = statement<NotificationRow>(
  'notification.list',
  `select ${NOTIFICATION_COLUMNS} from notifications where tenant_id = $1 and ($2::uuid is null or id < $2)
   order by id desc limit $3`,
);

export const NOTIFICATION_LIST_READ = statement<NotificationRow>(
  'notification.list_read',
  `select ${NOTIFICATION_COLUMNS} from notifications
   where tenant_id = $1 and read_at is not null and ($2::uuid is null or id < $2) order by id desc limit $3`,
);

export const NOTIFICATION_LIST_UNREAD = statement<NotificationRow>(
  'notification.list_unread',
  `select ${NOTIFICATION_COLUMNS} from notifications
   where tenant_id = $1 and read_at is null and ($2::uuid is null or id < $2) order by id desc limit $3`,
);

/** Counted up to $2. */
export const NOTIFICATION_UNREAD = statement<{ unread: number }>(
  'notification.unread',
  `select count(*)::int as unread
   from (select from notifications where tenant_id = $1 and read_at is null limit $2) n`,
);

export const NOTIFICATION_FIND = statement<NotificationRow>(
  'notification.find',
  `select ${NOTIFICATION_COLUMNS} from notifications where id = $2 and tenant_id = $1`,
);

/** What was read stays read at its first time. */
export const NOTIFICATION_READ = statement<NotificationRow>(
  'notification.read',
  `update notifications set read_at = coalesce(read_at, now()) where id = $2 and tenant_id = $1
   returning ${NOTIFICATION_COLUMNS}`,
);

/** The oldest $3 up to $2. Locked in one order, so that two at once never wait for each other. */
export const NOTIFICATION_READ_ALL = statement<{ read: number }>(
  'notification.read_all',
  `with due as (
     select id from notifications where tenant_id = $1 and read_at is null and ($2::uuid is null or id <= $2)
     order by id limit $3 for no key update
   ), done as (
     update notifications n set read_at = now() from due where n.id = due.id and n.read_at is null returning 1
   )
   select count(*)::int as read from done`,
);

/**
 * One batch of what is past the retention of its tenant's plan, or of a deleted tenant, whose rules go too, and where to go on.
 * Over all tenants, since it acts for none.
 */
export const NOTIFICATION_PRUNE = statement<{ last: string | null; removed: number }>(
  'notification.prune',
  `with page as materialized (
     select id, deleted_at from tenants where id > $1 order by id limit $2
   ), due as materialized (
     select old.id from page cross join lateral plan_of(page.id, now()) p cross join lateral (
       select n.id from notifications n
       where n.tenant_id = page.id and n.id < uuid_at(
         case when page.deleted_at is null then now() - make_interval(days => p.retention_days) else now() end)
       order by n.id limit $3 for update skip locked
     ) old limit $3
   ), gone as (
     delete from notifications n using due where n.id = due.id returning 1
   ), unruled as (
     delete from notification_rules where tenant_id = any (array(select id from page where deleted_at is not null))
   )
   select (select id from page order by id desc limit 1) as last, (select count(*)::int from gone) as removed`,
);

export const UNREAD_COUNTED_MAX = 1_000;
const READ_AT_ONCE = 50_000;
const TENANTS_PER_ROUND = 1_000;
const PRUNED_AT_ONCE = 2_000;
const FIRST = '00000000-0000-0000-0000-000000000000';

export interface NotificationRef {
  tenantId: string;
  notificationId: string;
}

export interface NotificationPage {
  tenantId: string;
  /** only those that were read, or only those that were not */
  read?: boolean | undefined;
  /** id of the last one of the page before */
  after?: string | undefined;
  limit: number;
}

export function createNotificationStore(db: Queryable) {
  return {
    async list({ tenantId, read, after, limit }: NotificationPage): Promise<Notification[]> {
      const values = [decodeId('tenant', tenantId), uuidOr(after), limit];
      return (await db.run(listFor(read), values)).map(toNotification);
    },

    /** Up to 1,000: that many or more. */
    async unread(tenantId: string): Promise<number> {
      const [row] = await db.run(NOTIFICATION_UNREAD, [decodeId('tenant', tenantId), UNREAD_COUNTED_MAX]);
      return row?.unread ?? 0;
    },

    async find(ref: NotificationRef): Promise<Notification> {
      return toNotification(existing(await db.run(NOTIFICATION_FIND, keyOf(ref))));
    },

    async read(ref: NotificationRef): Promise<Notification> {
      return toNotification(existing(await db.run(NOTIFICATION_READ, keyOf(ref))));
    },

    /**
     * @param upTo id of the newest one that is meant; left out, all
     * @returns how many were marked: 50,000 at most, the oldest ones
     */
    async readAll(tenantId: string, upTo?: string): Promise<number> {
      const values = [decodeId('tenant', tenantId), uuidOr(upTo), READ_AT_ONCE];
      return (await db.run(NOTIFICATION_READ_ALL, values))[0]?.read ?? 0;
    },

    /**
     * One batch of what is past its retention.
     * @param from what an earlier call answered as `next`; left out: from the first tenant
     * @returns `next` undefined: that was the last one
     */
    async prune(from = FIRST): Promise<{ removed: number; next: string | undefined }> {
      const [row] = await db.run(NOTIFICATION_PRUNE, [from, TENANTS_PER_ROUND, PRUNED_AT_ONCE]);
      const { last = null, removed = 0 } = row ?? {};
      return { removed, next: removed === PRUNED_AT_ONCE ? from : (last ?? undefined) };
    },
  };
}

export type NotificationStore = ReturnType<typeof createNotificationStore>;

function listFor(read: boolean | undefined) {
  if (read === undefined) return NOTIFICATION_LIST;
  return read ? NOTIFICATION_LIST_READ : NOTIFICATION_LIST_UNREAD;
}

function uuidOr(id: string | undefined): string | null {
  return id === undefined ? null : decodeId('notification', id);
}

function keyOf({ tenantId, notificationId }: NotificationRef): [string, string] {
  return [decodeId('tenant', tenantId), decodeId('notification', notificationId)];
}

function existing<Row>([row]: Row[]): Row {
  if (row === undefined) throw new AppError('not_found', 'There is no notification with this id.');
  return row;
}

export function toNotification(row: NotificationRow): Notification {
  return {
    ...row,
    id: encodeId('notification', row.id),
    tenant_id: encodeId('tenant', row.tenant_id),
    rule_id: encodeId('notificationRule', row.rule_id),
    event_id: encodeId('event', row.event_id),
  };
}
