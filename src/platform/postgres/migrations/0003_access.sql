-- Up Migration
-- What a tenant may use: null is no limit.
create table plans (
  name text primary key constraint plans_name_shape check (name ~ '^[a-z][a-z0-9_-]{0,62}$'),
  requests_per_minute integer constraint plans_requests_per_minute check (requests_per_minute > 0),
  requests_per_day bigint constraint plans_requests_per_day check (requests_per_day > 0),
  items_per_month bigint constraint plans_items_per_month check (items_per_month >= 0),
  items_per_job integer constraint plans_items_per_job check (items_per_job > 0),
  running_jobs integer constraint plans_running_jobs check (running_jobs > 0),
  concurrency_per_job integer constraint plans_concurrency_per_job check (concurrency_per_job > 0),
  endpoints integer constraint plans_endpoints check (endpoints >= 0),
  realtime_connections integer constraint plans_realtime_connections check (realtime_connections >= 0),
  retention_days integer constraint plans_retention_days check (retention_days between 1 and 36500),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
insert into plans (name, requests_per_minute, requests_per_day, items_per_month, items_per_job, running_jobs,
    concurrency_per_job, endpoints, realtime_connections, retention_days) values
  ('free', 60, 5000, 50000, 10000, 2, 20, 5, 10, 3),
  ('basic', 600, 200000, 5000000, 500000, 10, 100, 50, 100, 30),
  ('premium', 12000, 10000000, 500000000, 10000000, 100, 1000, 1000, 5000, 90),
  ('unlimited', null, null, null, null, null, null, null, null, 90);

-- A tenant's plan over time; the row that began last and has not ended is in force, `free` where there is none.
create table subscriptions (
  tenant_id uuid not null references tenants (id),
  plan text not null references plans (name),
  valid_from timestamptz not null,
  -- null: until the next one begins
  valid_until timestamptz,
  primary key (tenant_id, valid_from),
  constraint subscriptions_last check (valid_until > valid_from)
);
insert into subscriptions (tenant_id, plan, valid_from) select id, plan, created_at from tenants;

alter table tenants drop column plan,
  add column deleted_at timestamptz,
  -- when nothing of a deleted tenant's jobs was left
  add column cleared_at timestamptz;
create index tenants_leaving on tenants (id) where deleted_at is not null and cleared_at is null;
-- Which jobs are past the retention of their tenant's plan.
create index jobs_ended on jobs (tenant_id, ended_at) where ended_at is not null;

-- The plan in force: one row, for `cross join lateral`. A set, so that its query becomes part of the one that asks: called for each
-- row it would cost ten times as much.
create function plan_of(tenant uuid, at timestamptz) returns setof plans language sql stable
begin atomic
  select p.* from plans p where p.name = coalesce((
    select s.plan from subscriptions s
    where s.tenant_id = tenant and s.valid_from <= at and (s.valid_until is null or s.valid_until > at)
    order by s.valid_from desc limit 1
  ), 'free');
end;

create function plan_name_of(tenant uuid, at timestamptz) returns text language sql stable return (
  select p.name from plan_of(tenant, at) p
);

-- Until then the plan in force is the one that it is at `at`, whatever the plan itself becomes; null: from then on for ever.
create function plan_changes_at(tenant uuid, at timestamptz) returns timestamptz language sql stable return (
  select least(
    (select s.valid_from from subscriptions s where s.tenant_id = tenant and s.valid_from > at
     order by s.valid_from limit 1),
    (select s.valid_until from subscriptions s
     where s.tenant_id = tenant and s.valid_from <= at and s.valid_until > at
     order by s.valid_from desc limit 1)
  )
);

alter table api_keys
  add column allowed_cidrs text[] not null default '{}',
  -- tighter than the plan's; null: as the plan has it
  add column requests_per_minute integer constraint api_keys_requests_per_minute check (requests_per_minute > 0),
  add column requests_per_day bigint constraint api_keys_requests_per_day check (requests_per_day > 0),
  add column rotated_at timestamptz,
  -- to the minute, written in bulk
  add column last_used_at timestamptz;

-- A key has one secret, and while it is being rotated also those before it, each with an end.
create table api_key_secrets (
  hash bytea primary key,
  key_id uuid not null references api_keys (id),
  created_at timestamptz not null default now(),
  ends_at timestamptz
);
create index api_key_secrets_by_key on api_key_secrets (key_id);
create index api_key_secrets_ended on api_key_secrets (ends_at) where ends_at is not null;
insert into api_key_secrets (hash, key_id, created_at) select hash, id, created_at from api_keys;
alter table api_keys drop column hash;
-- Whether one is the last that can let others in.
create index api_keys_admin on api_keys (id) where 'admin' = any (scopes) and revoked_at is null;

-- Every change of what a key may do, numbered without holes in the order of the commits: each process follows it and drops
-- what it remembers of the subject. Whoever writes holds the clock's row to the end of the transaction.
create table access_clock (
  one boolean primary key default true constraint access_clock_one check (one),
  seq bigint not null default 0
);
insert into access_clock default values;
create table access_changes (
  seq bigint primary key,
  -- `key_…`, `tnt_…` or `plan/…`
  subject text not null,
  at timestamptz not null default now()
);
create index access_changes_at on access_changes (at);
create function access_changed(subject text) returns bigint language plpgsql as $$
declare
  n bigint;
begin
  -- One that hangs must not hold up all others, nor the connections they wait on.
  perform set_config('lock_timeout', '2s', true), set_config('idle_in_transaction_session_timeout', '5s', true);
  update access_clock set seq = seq + 1 returning seq into n;
  insert into access_changes (seq, subject) values (n, subject);
  return n;
end $$;

-- API processes that live: by their number limits are split while Redis is away.
create table instances (
  id uuid primary key,
  role text not null,
  seen_at timestamptz not null default now(),
  -- number of the last batch of request counts that this process has written
  flushed bigint not null default 0
);
create index instances_seen on instances (role, seen_at);
