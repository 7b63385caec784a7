/** What to do about each error, for its page and for docs/errors.md. */
import type { ErrorCode } from '../../domain/errors';

/** Codes that are not of a request: the `error.code` of a result line or of a job, and those that stay inside the engine. */
export const ITEM_CODES: readonly ErrorCode[] = [
  'input_invalid',
  'handler_failed',
  'handler_timeout',
  'handler_crashed',
  'handler_out_of_memory',
  'expression_failed',
  'template_failed',
  'http_status',
  'egress_denied',
  'dns_failed',
  'connect_failed',
  'tls_failed',
  'connection_lost',
  'invalid_response',
  'response_too_large',
  'secret_unreadable',
  'output_invalid',
  'output_not_storable',
  'output_too_large',
];
export const JOB_CODES: readonly ErrorCode[] = ['tolerated_failure_exceeded', 'expired'];
export const ENGINE_CODES: readonly ErrorCode[] = ['not_its_turn'];

export const ERROR_ADVICE: Readonly<Partial<Record<ErrorCode, string>>> = {
  malformed_json: 'Send well-formed JSON in UTF-8, nested no deeper than 512 levels. `errors` has the line.',
  malformed_ndjson: 'Every line is one JSON value. `errors` has the line; nothing of the upload was kept.',
  malformed_csv:
    'Quote fields as RFC 4180 has it, with as many fields in each record as the header has. `errors` has the line; nothing of the upload was kept.',
  malformed_request:
    'The URL or a header cannot be read: check percent-encoding (UTF-8) and the named header.',
  malformed_cursor:
    'Use `next_cursor` of the page before, with the same filters; or start again without a cursor.',
  upload_incomplete: 'The connection ended early. Nothing was kept: send the whole upload again.',
  unauthenticated: 'Send a key that this installation issued: `Authorization: Bearer mrk_…`.',
  key_expired: 'Create a new key; an expired one does not come back.',
  key_revoked: 'Use another key; a revoked one does not come back.',
  invalid_ticket:
    'A ticket opens one stream, within a minute. Get another one from `POST /v1/stream-tickets`, and resume by `last_event_id`.',
  invalid_chunk_token: 'Send the `token` of the loan that the activity got, on the addresses of that loan.',
  chunk_token_expired: 'Return from the activity: the engine lends the chunk out again, with a new token.',
  event_id_used:
    'Give another event an `event_id` of its own. Within 7 days the same one with the same content answers the first event.',
  event_too_large: 'Keep the data elsewhere and tell where it is. `errors` has the place.',
  event_type_reserved:
    'Choose another first word; those in use are listed under `GET /v1/event-types` and in the documentation of events.',
  too_many_event_types: 'Delete types that are not needed; events may also be of types that are not listed.',
  invalid_schema:
    'Send a JSON Schema of draft 2020-12 that refers to nothing outside of itself and has no unknown keywords or formats.',
  invalid_event:
    'Send data that fits the schema under `GET /v1/event-types/{name}`. `errors` has the places; nothing was published.',
  missing_scope: 'Use a key that has the scope the route names, or have one made.',
  scope_escalation:
    'Ask for no more than your own key has: scopes, time, addresses and limits. An admin key may give what it likes.',
  limited_key:
    'Make and change keys with one that has no `requests_per_minute` and `requests_per_day` of its own, or with an admin key. A limited key may rotate and restrict itself, and revoke others.',
  address_not_allowed:
    'The key has `allowed_cidrs`, and the request came from elsewhere. Behind a proxy, `MILLRACE_TRUSTED_PROXIES` must name it.',
  not_found: 'Check the id and the address. What belongs to another tenant answers the same.',
  method_not_allowed: 'The `Allow` header lists the methods of this address.',
  request_too_slow: 'The body must have arrived within 30 seconds, the headers within 20.',
  upload_too_slow:
    'Uploads slower than 1 KB a second are cut. Nothing was kept: send it again on a better line.',
  job_not_open: 'Items go into a job before it is started. Create another job for more items.',
  job_has_no_items: 'Upload items first, then start.',
  job_already_ended:
    'The job is over and cannot change any more. What did not succeed can be retried as a job of its own.',
  job_not_started: 'Start the job first.',
  job_not_ended: 'Wait for the end of the job, or cancel it; then ask again.',
  nothing_to_retry: 'Every item of the job succeeded: there is nothing to do again.',
  job_in_use: 'A retry of this job is just taking its items over. Ask again in a moment.',
  plan_exists: 'Change that plan by PATCH, or take another name.',
  own_tenant: 'Ask with an admin key of another tenant.',
  invalid_transition: 'Look at the status of the job: what was asked for does not lead on from there.',
  key_not_active: 'A key that has expired or was revoked does not come back: create a new one.',
  last_admin_key:
    'Create another key with `admin` and without an end first. Lost them all? `admin create-key` on the server makes one.',
  idempotency_in_progress:
    'The first request with this key still runs. Wait, then send the same request again.',
  body_too_large: 'A JSON body may have 1 MiB. Send many items by `PUT /v1/jobs/{id}/items`, which streams.',
  item_too_large: 'One item may have 1 MB. Send a reference to large content in place of it.',
  unsupported_media_type:
    'Send one of the media types that the route documents, with the right `Content-Type`.',
  already_followed: 'Unsubscribe from the topic first, to follow it from elsewhere or in another way.',
  upgrade_required:
    'Open a WebSocket (RFC 6455, version 13) at this address. A proxy in between must pass `Upgrade` and `Connection` on.',
  headers_too_large: 'Send fewer or smaller headers and a shorter address: together they may have 32 KiB.',
  validation_failed:
    'Every finding is in `errors`, with a JSON pointer into the body or the name of a query parameter.',
  unknown_handler: '`GET /v1/handlers` lists the handlers there are.',
  unknown_plan: '`GET /v1/plans` lists the plans there are.',
  invalid_params: 'Read what the handler says of its `params` in `GET /v1/handlers`.',
  invalid_filter:
    'Correct the filter; `errors` tells what is wrong and where. docs/notifications.md has the language.',
  too_many_rules:
    'Delete a rule that is no longer needed, or let one do what two did: it may name many event types.',
  invalid_expression: 'Correct the JSONata expression; `detail` tells what is wrong with it and where.',
  invalid_item: '`errors` has the line and what is wrong with it. Nothing of the upload was kept.',
  duplicate_custom_id:
    'Every `custom_id` of a job is unique; an item without one takes its index as text. `errors` has the line.',
  not_storable:
    'Take U+0000 and lone surrogates out of the text, also as `\\u` escapes: PostgreSQL cannot hold them.',
  idempotency_mismatch:
    'Use a new Idempotency-Key for a new request; only the very same request may be repeated.',
  too_many_items: 'Split the items over several jobs, or move to a larger plan.',
  quota_exceeded:
    'Wait until the period is over (`Retry-After`), make a smaller job, or move to a larger plan. `GET /v1/usage` shows what is left.',
  too_many_failures:
    'From this address came too many requests whose key was unknown or not accepted. Wait for `Retry-After`, and correct the key.',
  rate_limited:
    'Wait for `Retry-After`; `violated-policies` names the limit. `RateLimit` on every answer says what is left (docs/limits.md).',
  too_many_connections:
    'Close event streams or WebSockets that nobody reads, follow many topics over one WebSocket, or move to a larger plan.',
  at_capacity:
    'Come back after `Retry-After`; behind a load balancer another process may have room. The operator can raise `MILLRACE_STREAMS_MAX`, or run more API processes.',
  too_many_topics:
    'Unsubscribe from topics that nobody reads, follow the `tenant` topic in place of many jobs, or move to a larger plan.',
  too_many_uploads: 'Wait until an upload has ended; `Retry-After` says how long.',
  too_many_downloads:
    'Wait until a Parquet download has ended; `Retry-After` says how long. Other formats have no such limit.',
  internal:
    'Try again. If it stays, give the `request_id` to whoever runs this installation: the log has the cause.',
  dependency_unavailable:
    'PostgreSQL, Redis or Temporal is away or too slow for the moment. Try again after `Retry-After`.',
  input_invalid: 'The input is not of the shape that the handler declares; `GET /v1/handlers` shows it.',
  handler_failed:
    'The handler refused or failed on this item; the message is its own. Other items are not touched.',
  handler_timeout: 'Raise `options.item_timeout_ms`, or make the handler faster on such items.',
  handler_crashed:
    'The process ended twice while this item ran alone. Look for what the handler does with it.',
  handler_out_of_memory: 'The expression or handler needed more memory than one item may have.',
  expression_failed: 'The expression does not fit this item; the message is of JSONata.',
  template_failed:
    'A placeholder names what the item does not have, or its value has no place where it stands; the message names it.',
  http_status:
    'The message has the status and the beginning of the body. 408, 429 and 5xx are tried again where `options.retry` allows it; `success_statuses` makes others a success.',
  egress_denied:
    'Only the public internet is called, on ports of HTTP. Private addresses are for the operator to open, by `MILLRACE_EGRESS_ALLOW`.',
  dns_failed: 'Check the host of the URL. It is tried again where `options.retry` allows it.',
  connect_failed: 'Nothing answers at that host and port. It is tried again where `options.retry` allows it.',
  tls_failed:
    'The certificate is not good for this host, or not by an authority that the worker trusts (`NODE_EXTRA_CA_CERTS` adds some).',
  connection_lost:
    'The request may or may not have been carried out. It is tried again, with the same `Idempotency-Key`, where `options.retry` allows it.',
  invalid_response:
    'The server speaks something else than HTTP/1.1, or compresses by a method that it names wrongly.',
  response_too_large: 'One answer may have 1 MB. Ask the server for less, or for a reference.',
  secret_unreadable:
    'The key that it was encrypted with is no longer in `MILLRACE_SECRET_KEYS`: bring the key back, or create the job anew.',
  output_invalid:
    'The handler answered something else than its `output` schema says: it is for whoever wrote the handler to mend.',
  output_not_storable: 'The output held U+0000 or a lone surrogate, which PostgreSQL cannot hold.',
  output_too_large: 'One output may have 1 MB. Store large results elsewhere and put out a reference.',
  tolerated_failure_exceeded:
    'More items failed than `options.tolerated_failure` allows, so the job stopped. Its results are kept.',
  expired: 'The job took longer than `options.expires_in_seconds`. Its results are kept.',
  superseded:
    'Another attempt took this chunk over, or its job is over. A remote worker stops, and returns from its activity.',
  not_its_turn: 'A chunk waits until its worker has it alone, or is free again. It never reaches a client.',
};
