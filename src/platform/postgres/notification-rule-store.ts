/** Notification rules. Fulfils `NotificationRuleStore` of src/api/notification/ports.ts. */
import { AppError } from '../../domain/errors';
import { decodeId, encodeId } from '../../domain/ids';
import { RULES_MAX } from '../../domain/notification/notification';
import { type Queryable, statement } from './statement';

interface RuleRow {
  id: string;
  tenant_id: string;
  name: string;
  event_types: string[];
  /** JSON text */
  filter: string | null;
  enabled: boolean;
  created_at: Date;
  updated_at: Date;
}

const COLUMNS = 'id, tenant_id, name, event_types, filter, enabled, created_at, updated_at';

/** So that of two that come at once the second one counts the first. */
export const RULE_LOCK = statement(
  'notification_rule.lock',
  `select pg_advisory_xact_lock(hashtextextended('millrace.notification_rules/' || $1, 0))`,
);

/** No row: the tenant has $8 already. */
export const RULE_INSERT = statement<RuleRow>(
  'notification_rule.insert',
  `insert into notification_rules (id, tenant_id, name, event_types, filter, predicate, enabled)
   select $1, $2, $3, $4, $5, $6::jsonpath, $7
   where (select count(*) from notification_rules where tenant_id = $2) < $8
   returning ${COLUMNS}`,
);

export const RULE_FIND = statement<RuleRow>(
  'notification_rule.find',
  `select ${COLUMNS} from notification_rules where id = $2 and tenant_id = $1`,
);

export const RULE_LIST = statement<RuleRow>(
  'notification_rule.list',
  `select ${COLUMNS} from notification_rules where tenant_id = $1 and ($2::uuid is null or id < $2)
   order by id desc limit $3`,
);

export const RULE_UPDATE = statement<RuleRow>(
  'notification_rule.update',
  `update notification_rules set name = coalesce($3, name), event_types = coalesce($4, event_types),
     filter = case when $5 then $6 else filter end, predicate = case when $5 then $7::jsonpath else predicate end,
     enabled = coalesce($8, enabled), updated_at = now()
   where id = $2 and tenant_id = $1 returning ${COLUMNS}`,
);

export const RULE_DELETE = statement<{ id: string }>(
  'notification_rule.delete',
  'delete from notification_rules where id = $2 and tenant_id = $1 returning id',
);

/** The filter as it was given, and what it was compiled to: null where it passes everything. */
export interface RuleFilter {
  text: string;
  predicate: string | null;
}

/** Ids as the API shows them. */
export type NotificationRuleRecord = RuleRow;

export interface RuleRef {
  tenantId: string;
  ruleId: string;
}

export interface NewRule extends RuleRef {
  name: string;
  eventTypes: readonly string[];
  filter: RuleFilter | null;
  enabled: boolean;
}

/** What is left out stays as it is. */
export interface RuleChange {
  name?: string | undefined;
  eventTypes?: readonly string[] | undefined;
  filter?: RuleFilter | null | undefined;
  enabled?: boolean | undefined;
}

/** @param db for `insert` a transaction */
export function createNotificationRuleStore(db: Queryable) {
  return {
    async insert(rule: NewRule): Promise<NotificationRuleRecord> {
      const [tenant, id] = keyOf(rule);
      await db.run(RULE_LOCK, [tenant]);
      const { name, eventTypes, filter, enabled } = rule;
      const values = [id, tenant, name, eventTypes, filter?.text ?? null, filter?.predicate ?? null, enabled];
      const [row] = await db.run(RULE_INSERT, [...values, RULES_MAX]);
      if (row === undefined) throw new AppError('too_many_rules', `A tenant has at most ${RULES_MAX} rules.`);
      return toRule(row);
    },

    async find(ref: RuleRef): Promise<NotificationRuleRecord> {
      return toRule(existing(await db.run(RULE_FIND, keyOf(ref))));
    },

    async list(page: {
      tenantId: string;
      after?: string | undefined;
      limit: number;
    }): Promise<NotificationRuleRecord[]> {
      const after = page.after === undefined ? null : decodeId('notificationRule', page.after);
      return (await db.run(RULE_LIST, [decodeId('tenant', page.tenantId), after, page.limit])).map(toRule);
    },

    async update(ref: RuleRef, change: RuleChange): Promise<NotificationRuleRecord> {
      const { name = null, eventTypes = null, filter, enabled = null } = change;
      const filters = [filter !== undefined, filter?.text ?? null, filter?.predicate ?? null];
      return toRule(
        existing(await db.run(RULE_UPDATE, [...keyOf(ref), name, eventTypes, ...filters, enabled])),
      );
    },

    async remove(ref: RuleRef): Promise<void> {
      existing(await db.run(RULE_DELETE, keyOf(ref)));
    },
  };
}

function keyOf({ tenantId, ruleId }: RuleRef): [string, string] {
  return [decodeId('tenant', tenantId), decodeId('notificationRule', ruleId)];
}

function existing<Row>([row]: Row[]): Row {
  if (row === undefined) throw new AppError('not_found', 'There is no notification rule with this id.');
  return row;
}

function toRule(row: RuleRow): NotificationRuleRecord {
  return {
    ...row,
    id: encodeId('notificationRule', row.id),
    tenant_id: encodeId('tenant', row.tenant_id),
  };
}
