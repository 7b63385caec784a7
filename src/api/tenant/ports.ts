/** What the tenant routes need of the house below. Deleted tenants are not there. */

/** A stretch of time in which a tenant has a plan. */
export interface Subscription {
  plan: string;
  valid_from: Date;
  /** null: until another one begins */
  valid_until: Date | null;
}

export interface Tenant {
  id: string;
  name: string;
  /** in force right now */
  plan: string;
  created_at: Date;
  /** in force right now; null: none, and the plan is that of tenants without one */
  subscription: Subscription | null;
  /** those that are to begin later, the next one first */
  scheduled: Subscription[];
}

export interface TenantStore {
  /** Subscribed from now on. @throws AppError `unknown_plan` */
  insert(tenant: { id: string; name: string; plan: string }): Promise<Tenant>;
  /** undefined where there is none */
  find(tenantId: string): Promise<Tenant | undefined>;
  /** Newest first. @param page `after`: id of the last tenant of the page before */
  list(page: { after?: string | undefined; limit: number }): Promise<Tenant[]>;
  /** In a transaction. @throws AppError `not_found` */
  rename(tenantId: string, name: string): Promise<Tenant>;
  /**
   * Its keys stop with it. In a transaction.
   * @param asker by whose key; it must still be good at the end of the transaction, so that of two admins who delete each
   *   other's tenant one is left
   * @throws AppError `not_found`, `key_revoked`, `last_admin_key`
   */
  remove(tenantId: string, asker: { keyId: string }): Promise<void>;
}

export interface NewSubscription {
  plan: string;
  /** left out: now */
  validFrom?: Date | undefined;
  validUntil?: Date | undefined;
}

export interface SubscriptionStore {
  /**
   * Replaces all that was planned for `validFrom` and later; what is in force then ends. In a transaction.
   * @throws AppError `not_found`, `unknown_plan`; `validation_failed` where `validUntil` is not after `validFrom`
   */
  replace(tenantId: string, subscription: NewSubscription): Promise<void>;
}
