-- Up Migration
-- Lists go by time; `seq` tells apart what one transaction wrote.
drop index events_by_tenant;
drop index events_by_subject;
alter table events
  -- types below a word are a range of an index
  alter column type type text collate "C",
  -- the publisher's own name for it
  add column event_id text,
  add column channels text[] not null default '{}';
create index events_by_time on events (tenant_id, created_at, seq);
create index events_by_type on events (tenant_id, type, created_at, seq);
create index events_by_subject on events (tenant_id, subject, created_at, seq) where subject <> '';

-- The transaction that wrote it: what commits late is known by it, however long ago its number was drawn (docs/adr/0034-publishing.md).
alter table outbox add column xid xid8 not null default pg_current_xact_id();
create index outbox_by_transaction on outbox (xid, seq);

-- Publishers' own ids, remembered for 7 days, also where the event itself is gone sooner.
create table event_keys (
  tenant_id uuid not null references tenants (id),
  event_id text not null,
  -- SHA-256 of what was published
  fingerprint bytea not null,
  -- the event
  id uuid not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, event_id)
);
create index event_keys_at on event_keys (created_at);

-- Within the statement that publishes: all of it is undone.
create function event_id_used(event_id text) returns text language plpgsql as $$
begin
  raise exception using errcode = 'MR409', message = 'the event_id was used with another event', detail = event_id;
end $$;

create table event_types (
  tenant_id uuid not null references tenants (id),
  name text collate "C" not null,
  description text not null default '',
  -- JSON Schema of `data`, exact text
  schema text,
  -- whether a publication that does not fit is refused
  strict boolean not null default false,
  -- another one with each change: by it a publisher says what it has checked
  version uuid not null default gen_random_uuid(),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, name)
);

-- An event of an operator to all tenants; a worker writes it tenant by tenant.
create table broadcasts (
  id uuid primary key,
  type text not null,
  data text not null,
  created_at timestamptz not null default now(),
  -- the last tenant that has it
  reached uuid not null default '00000000-0000-0000-0000-000000000000',
  tenants integer not null default 0,
  ended_at timestamptz
);
create index broadcasts_open on broadcasts (id) where ended_at is null;

-- All patterns that a type fits: itself, `job.*` for each of its beginnings, and `*`.
create function type_patterns(type text) returns text[] language sql immutable strict parallel safe as $$
  select array['*', type] || array(
    select array_to_string(words[1:n], '.') || '.*'
    from string_to_array(type, '.') words, generate_series(1, cardinality(words) - 1) n
  )
$$;

-- What filters look at (src/domain/events/filter.ts); null where jsonb cannot hold it, and then no filter passes it.
-- Not within a parallel worker, where no subtransaction can begin.
create function event_document(e events) returns jsonb language plpgsql stable parallel unsafe as $$
begin
  return jsonb_build_object(
    'type', e.type,
    'subject', e.subject,
    'timestamp', to_char(e.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'event_id', e.event_id,
    'channels', e.channels,
    'data', e.data::jsonb
  );
exception when others then
  return null;
end
$$;

create table notification_rules (
  id uuid primary key,
  tenant_id uuid not null references tenants (id),
  name text not null,
  -- exact, `prefix.*` or `*`
  event_types text[] not null,
  -- as it was given, and what it was compiled to (over event_document); null: all
  filter text,
  predicate jsonpath,
  enabled boolean not null default true,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index notification_rules_by_tenant on notification_rules (tenant_id, id);
create index notification_rules_enabled on notification_rules (tenant_id) where enabled;

-- Events that their tenant's rules have yet to be asked about.
create table notification_queue (
  seq bigint generated always as identity primary key,
  tenant_id uuid not null,
  event_id uuid not null
);
create index notification_queue_by_tenant on notification_queue (tenant_id, seq);

-- Ids are derived from event and rule, and sort by the time of the event.
create table notifications (
  id uuid primary key,
  tenant_id uuid not null references tenants (id),
  rule_id uuid not null,
  -- as it was then: a rule may go before what it has told
  rule_name text not null,
  event_id uuid not null,
  event_type text not null,
  subject text not null,
  -- of the event
  created_at timestamptz not null,
  read_at timestamptz
);
create index notifications_by_tenant on notifications (tenant_id, id);
create index notifications_unread on notifications (tenant_id, id) where read_at is null;

-- For browsers, which can't send a key with an EventSource or a WebSocket: a ticket opens one stream, once.
create table stream_tickets (
  id uuid primary key,
  -- SHA-256 of the ticket
  hash bytea not null unique,
  tenant_id uuid not null references tenants (id),
  key_id uuid not null references api_keys (id),
  -- of the secret that asked for it; when that ends, so does the stream
  key_hash bytea not null,
  scopes text[] not null,
  -- null: all that the scopes show
  topics text[],
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  used_at timestamptz,
  -- until when its stream may last
  stream_ends_at timestamptz not null,
  ended_at timestamptz
);
create index stream_tickets_over on stream_tickets (stream_ends_at);

-- Topics of one realtime connection.
alter table plans add column realtime_topics integer constraint plans_realtime_topics check (realtime_topics >= 0);
update plans set realtime_topics = case name when 'free' then 20 when 'basic' then 100 when 'premium' then 1000 end;
-- Its row has a column more now.
create or replace function plan_of(tenant uuid, at timestamptz) returns setof plans language sql stable
begin atomic
  select p.* from plans p where p.name = coalesce((
    select s.plan from subscriptions s
    where s.tenant_id = tenant and s.valid_from <= at and (s.valid_until is null or s.valid_until > at)
    order by s.valid_from desc limit 1
  ), 'free');
end;
