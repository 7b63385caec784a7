-- Up Migration
-- Usage is appended, in the transaction of what is counted, and folded into days a little later: no two writers meet in a row.
create table usage_deltas (
  -- the transaction that appended it: what commits late is known by it (docs/adr/0029-usage-deltas.md)
  xid xid8 not null default pg_current_xact_id(),
  seq bigint generated always as identity,
  tenant_id uuid not null,
  key_id uuid,
  -- UTC
  day date not null,
  -- requests | refused | items
  metric text not null,
  -- what refused it; else empty
  policy text not null default '',
  amount bigint not null,
  primary key (xid, seq)
);
create index usage_deltas_by_tenant on usage_deltas (tenant_id);

create table usage_days (
  tenant_id uuid not null,
  day date not null,
  key_id uuid,
  metric text not null,
  policy text not null,
  amount bigint not null,
  constraint usage_days_key unique nulls not distinct (tenant_id, day, key_id, metric, policy)
);
create index usage_days_by_key on usage_days (key_id, day);

-- The same of all keys together: a tenant's year is not read key by key.
create table usage_tenant_days (
  tenant_id uuid not null,
  day date not null,
  metric text not null,
  policy text not null,
  amount bigint not null,
  primary key (tenant_id, day, metric, policy)
);

-- Items that a tenant's jobs have reserved in a month (UTC), less what was never attempted.
create table quota_months (
  tenant_id uuid not null references tenants (id),
  month date not null,
  items bigint not null default 0,
  primary key (tenant_id, month)
);

alter table jobs
  -- the key that made the job; null for jobs from before keys were noted
  add column key_id uuid,
  -- what sealing it has reserved, and of which month
  add column quota_month date,
  add column quota_items integer;
