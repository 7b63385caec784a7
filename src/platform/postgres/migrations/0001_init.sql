-- Up Migration
-- Ids are UUIDv7: they sort by time, so range partitions on a job's id are partitions by age.

create table tenants (
  id uuid primary key,
  name text not null,
  plan text not null,
  created_at timestamptz not null default now()
);

create table api_keys (
  id uuid primary key,
  tenant_id uuid not null references tenants (id),
  name text not null,
  prefix text not null,
  hash bytea not null constraint api_keys_hash_key unique,
  scopes text[] not null,
  expires_at timestamptz,
  revoked_at timestamptz,
  created_at timestamptz not null default now()
);
create index api_keys_by_tenant on api_keys (tenant_id, id desc);

-- One answer per Idempotency-Key. A row without `status` is a request under way, or one that died (locked_until passes).
create table idempotency_keys (
  tenant_id uuid not null,
  key text not null,
  route text not null,
  fingerprint bytea not null,
  status smallint,
  headers jsonb,
  body bytea,
  locked_until timestamptz not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, key)
);
create index idempotency_keys_by_age on idempotency_keys (created_at);

create table jobs (
  id uuid primary key,
  tenant_id uuid not null references tenants (id),
  name text,
  handler text not null,
  params json not null,
  reduce json,
  options json not null,
  metadata json not null,
  status text not null constraint jobs_status_known check (status in ('created', 'queued', 'running', 'paused', 'cancelling',
    'finalizing', 'completed', 'completed_with_errors', 'failed', 'cancelled', 'expired')),
  desired text not null default 'running' constraint jobs_desired_known check (desired in ('running', 'paused', 'cancelled')),
  desired_version integer not null default 0,
  -- What the workflow last acted upon; behind desired_version means a wake-up was lost.
  seen_version integer not null default 0,
  -- The upload whose items count; uploads draw numbers from upload_seq, so that two at once never meet.
  upload integer not null default 0,
  upload_seq integer not null default 0,
  total integer not null default 0,
  chunk_items integer,
  window_chunks integer,
  -- How dispatching ended; decided once, when the job turns to finalizing.
  outcome text,
  -- Written when the job ends; while it runs, the chunks are summed.
  succeeded integer not null default 0,
  failed integer not null default 0,
  cancelled integer not null default 0,
  summary json,
  error json,
  parent_job_id uuid,
  created_at timestamptz not null default now(),
  queued_at timestamptz,
  started_at timestamptz,
  ended_at timestamptz,
  expires_at timestamptz,
  -- When the sweep last made sure of the workflow.
  checked_at timestamptz
);
create index jobs_by_tenant on jobs (tenant_id, id desc);
create index jobs_by_tenant_status on jobs (tenant_id, status, id desc);
create index jobs_driven on jobs (coalesce(checked_at, queued_at))
  where status in ('queued', 'running', 'paused', 'cancelling', 'finalizing');

create table items (
  job_id uuid not null,
  upload integer not null,
  index integer not null,
  -- null: the index as text
  custom_id text,
  input json not null,
  -- Reads cut their pages by it without fetching the text itself.
  bytes integer not null generated always as (octet_length(input::text)) stored,
  primary key (job_id, upload, index)
) partition by range (job_id);
create unique index items_custom_id on items (job_id, upload, custom_id) where custom_id is not null;

-- Insert-only: one row for an item that was attempted and ended. An item without one is pending or, once the job ended, cancelled.
create table results (
  job_id uuid not null,
  index integer not null,
  status text not null constraint results_status_known check (status in ('succeeded', 'failed')),
  -- json keeps the handler's exact text; the check proves that SQL can read every part of it later.
  output json constraint results_output_storable check (output is null or output::jsonb is not null),
  error json,
  attempts smallint not null,
  duration_ms integer not null,
  -- of the output
  bytes integer not null generated always as (coalesce(octet_length(output::text), 0)) stored,
  primary key (job_id, index)
) partition by range (job_id);
create index results_failed on results (job_id, index) where status = 'failed';

-- A contiguous range of items and the fence over it. `held` says that an attempt has it; found held, that attempt was lost.
create table chunks (
  job_id uuid not null references jobs (id) on delete cascade,
  no integer not null,
  epoch integer not null default 0,
  held boolean not null default false,
  done boolean not null default false,
  succeeded integer not null default 0,
  failed integer not null default 0,
  running integer not null default 0,
  lost_attempts smallint not null default 0,
  -- The item that runs right now with the whole process to itself.
  marked_index integer,
  -- The last item whose mark outlived its process, and how often in a row.
  suspect_index integer,
  suspect_crashes smallint not null default 0,
  -- items in a row that ended since an attempt was lost
  clean_items integer not null default 0,
  touched_at timestamptz not null default now(),
  primary key (job_id, no)
) with (fillfactor = 50);

-- Items that failed and are tried again later: waited for by a workflow timer, never in a slot. Gone with the item's result.
create table retries (
  job_id uuid not null references jobs (id) on delete cascade,
  index integer not null,
  -- attempts made
  attempts smallint not null,
  due_at timestamptz not null,
  primary key (job_id, index)
);

-- A lifecycle event's id is derived and carries its subject's time, so lists go by `seq`.
create table events (
  seq bigint generated always as identity,
  id uuid primary key,
  tenant_id uuid not null references tenants (id),
  type text not null,
  subject text not null,
  data text not null,
  created_at timestamptz not null default now()
);
create index events_by_tenant on events (tenant_id, seq desc);
create index events_by_subject on events (tenant_id, subject, seq);

-- Rows that the relay has yet to pass on; it claims by deleting, so a late commit is found like any other.
create table outbox (
  seq bigint generated always as identity primary key,
  event_id uuid not null
);

-- Partitions of items and results, one per week of the job's id.
create function uuid_at(at timestamptz) returns uuid language sql immutable strict as $$
  select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

create function ensure_partitions(from_day timestamptz, weeks integer) returns integer language plpgsql as $$
declare
  start_at timestamptz;
  made integer := 0;
  parent text;
  part text;
begin
  perform pg_advisory_xact_lock(hashtext('millrace.ensure_partitions'));
  for n in 0 .. weeks loop
    start_at := date_trunc('week', from_day at time zone 'UTC') at time zone 'UTC' + make_interval(days => 7 * n);
    foreach parent in array array['items', 'results'] loop
      part := parent || to_char(start_at at time zone 'UTC', '"_"IYYY"w"IW');
      if to_regclass(part) is null then
        execute format('create table %I partition of %I for values from (%L) to (%L)',
          part, parent, uuid_at(start_at), uuid_at(start_at + interval '7 days'));
        made := made + 1;
      end if;
    end loop;
  end loop;
  return made;
end $$;

-- A safety net for rows whose week nobody made in time; the maintenance in the worker keeps it empty.
create table items_default partition of items default;
create table results_default partition of results default;
select ensure_partitions(now() - interval '7 days', 5);
