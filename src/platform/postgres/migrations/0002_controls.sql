-- Up Migration
-- How many chunks run at once follows from the job's limits, which may change while it runs.
alter table jobs drop column window_chunks;

alter table jobs
  -- Time spent paused is no time in which the job could have got on.
  add column paused_at timestamptz,
  add column paused_ms bigint not null default 0;

-- Who of a tenant is next when one of its running jobs has ended.
create index jobs_waiting on jobs (tenant_id, ((options ->> 'priority')::smallint), id)
  where status = 'queued' and desired = 'running';
-- One retry per job: asking again finds it.
create unique index jobs_retry_of on jobs (parent_job_id) where parent_job_id is not null;

-- When the next item of a job with a `max_rps` may begin, by the database's clock: one for all workers.
create table job_rates (
  job_id uuid primary key references jobs (id) on delete cascade,
  next_at timestamptz not null
) with (fillfactor = 50);

-- Jobs that were deleted and whose items and results are still to be removed.
create table job_remains (
  job_id uuid primary key,
  deleted_at timestamptz not null default now()
);
