/** What the routes of notifications need of the house below. */
import type { Notification } from '../../domain/notification/notification';

export interface NotificationRule {
  id: string;
  tenant_id: string;
  name: string;
  event_types: string[];
  /** exact JSON text, as it was given; null: none */
  filter: string | null;
  enabled: boolean;
  created_at: Date;
  updated_at: Date;
}

export interface RuleRef {
  tenantId: string;
  ruleId: string;
}

export interface RuleFilter {
  text: string;
  /** what `compileFilter` made of it */
  predicate: string | null;
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

export interface NotificationRuleStore {
  /** In a transaction. @throws AppError `too_many_rules` */
  insert(rule: NewRule): Promise<NotificationRule>;
  /** @throws AppError `not_found` */
  find(ref: RuleRef): Promise<NotificationRule>;
  /** Newest first. @param page `after`: id of the last rule of the page before */
  list(page: { tenantId: string; after?: string | undefined; limit: number }): Promise<NotificationRule[]>;
  /** @throws AppError `not_found` */
  update(ref: RuleRef, change: RuleChange): Promise<NotificationRule>;
  /** What it has told stays. @throws AppError `not_found` */
  remove(ref: RuleRef): Promise<void>;
}

export interface NotificationRef {
  tenantId: string;
  notificationId: string;
}

export interface NotificationStore {
  /** Newest first. */
  list(page: {
    tenantId: string;
    read?: boolean | undefined;
    after?: string | undefined;
    limit: number;
  }): Promise<Notification[]>;
  /** Up to 1,000: that many or more. */
  unread(tenantId: string): Promise<number>;
  /** @throws AppError `not_found` */
  find(ref: NotificationRef): Promise<Notification>;
  /** Again changes nothing. @throws AppError `not_found` */
  read(ref: NotificationRef): Promise<Notification>;
  /** @returns how many were marked: 50,000 at most, the oldest ones */
  readAll(tenantId: string, upTo?: string): Promise<number>;
}
