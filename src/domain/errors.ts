/** The name that a problem has outside of this house (draft-ietf-httpapi-ratelimit-headers-11, section 6). */
const QUOTA_EXCEEDED_TYPE = 'https://iana.org/assignments/http-problem-types#quota-exceeded';

export interface CatalogEntry {
  status: number;
  title: string;
  retryable: boolean;
  /** where others have named the problem; else it is a page of ours */
  type?: string;
}

/**
 * The error catalogue: the one table behind thrown errors, Temporal failure types and problem details.
 * `status` is the HTTP status, `retryable` says whether Temporal may try the same call again.
 */
export const ERROR_CATALOG = {
  // 400: cannot be parsed
  malformed_json: { status: 400, title: 'The body is not well-formed JSON', retryable: false },
  malformed_ndjson: { status: 400, title: 'A line is not well-formed JSON', retryable: false },
  malformed_csv: { status: 400, title: 'The CSV cannot be parsed', retryable: false },
  malformed_request: { status: 400, title: 'The request cannot be parsed', retryable: false },
  malformed_cursor: { status: 400, title: 'The cursor was not made by this list', retryable: false },
  upload_incomplete: { status: 400, title: 'The upload ended before its last byte', retryable: false },
  // 401, 403, 404, 405
  unauthenticated: { status: 401, title: 'A valid API key is needed', retryable: false },
  key_expired: { status: 401, title: 'The API key has expired', retryable: false },
  key_revoked: { status: 401, title: 'The API key was revoked', retryable: false },
  invalid_ticket: { status: 401, title: 'A valid stream ticket is needed', retryable: false },
  invalid_chunk_token: { status: 401, title: 'A valid token of a chunk is needed', retryable: false },
  chunk_token_expired: { status: 401, title: 'The token of the chunk has expired', retryable: false },
  missing_scope: { status: 403, title: 'The API key lacks the scope for this', retryable: false },
  scope_escalation: { status: 403, title: 'A key grants only what it has', retryable: false },
  limited_key: { status: 403, title: 'A key with limits of its own manages no other keys', retryable: false },
  address_not_allowed: { status: 403, title: 'The API key may not be used from here', retryable: false },
  not_found: { status: 404, title: 'Not found', retryable: false },
  method_not_allowed: { status: 405, title: 'The resource has no such method', retryable: false },
  // 408, 409, 413, 415
  request_too_slow: { status: 408, title: 'The request took too long to arrive', retryable: false },
  upload_too_slow: { status: 408, title: 'The upload was slower than the least rate', retryable: false },
  job_not_open: { status: 409, title: 'The job takes no more items', retryable: false },
  job_has_no_items: { status: 409, title: 'A job without items cannot start', retryable: false },
  job_already_ended: { status: 409, title: 'The job has ended', retryable: false },
  job_not_started: { status: 409, title: 'The job has not started', retryable: false },
  job_not_ended: { status: 409, title: 'The job has not ended', retryable: false },
  nothing_to_retry: { status: 409, title: 'No item failed or was left out', retryable: false },
  job_in_use: { status: 409, title: 'Another job still takes its items from this one', retryable: false },
  plan_exists: { status: 409, title: 'There is a plan of this name', retryable: false },
  own_tenant: { status: 409, title: 'A key cannot delete the tenant it belongs to', retryable: false },
  invalid_transition: {
    status: 409,
    title: 'The job cannot do this in its present status',
    retryable: false,
  },
  key_not_active: { status: 409, title: 'The API key has expired or was revoked', retryable: false },
  last_admin_key: { status: 409, title: 'It is the last key that can let others in', retryable: false },
  idempotency_in_progress: {
    status: 409,
    title: 'A request with this Idempotency-Key is running',
    retryable: false,
  },
  body_too_large: { status: 413, title: 'The body is too large', retryable: false },
  item_too_large: { status: 413, title: 'An item is larger than 1 MB', retryable: false },
  unsupported_media_type: { status: 415, title: 'The content type is not supported here', retryable: false },
  already_followed: { status: 409, title: 'The connection follows this topic already', retryable: false },
  upgrade_required: { status: 426, title: 'This address speaks WebSocket only', retryable: false },
  headers_too_large: { status: 431, title: 'The headers are too large', retryable: false },
  event_id_used: { status: 409, title: 'The event_id was used with another event', retryable: false },
  event_too_large: { status: 413, title: 'The data of an event is larger than 256 KB', retryable: false },
  // 422: understood, but invalid
  validation_failed: { status: 422, title: 'The request is invalid', retryable: false },
  unknown_handler: { status: 422, title: 'There is no handler of this name', retryable: false },
  unknown_plan: { status: 422, title: 'There is no plan of this name', retryable: false },
  invalid_params: { status: 422, title: 'The handler refuses these params', retryable: false },
  invalid_expression: { status: 422, title: 'The expression is not valid JSONata', retryable: false },
  invalid_item: { status: 422, title: 'An item is invalid', retryable: false },
  duplicate_custom_id: { status: 422, title: 'A custom_id occurs twice', retryable: false },
  not_storable: { status: 422, title: 'The text holds characters that cannot be stored', retryable: false },
  idempotency_mismatch: {
    status: 422,
    title: 'The Idempotency-Key was used with another request',
    retryable: false,
  },
  too_many_items: { status: 422, title: 'The job has more items than allowed', retryable: false },
  event_type_reserved: { status: 422, title: 'Events of this type are told by Millrace', retryable: false },
  too_many_event_types: {
    status: 422,
    title: 'The tenant has as many event types as it may',
    retryable: false,
  },
  invalid_schema: {
    status: 422,
    title: 'The schema is no JSON Schema that can be checked',
    retryable: false,
  },
  invalid_event: {
    status: 422,
    title: 'The data of an event does not fit the schema of its type',
    retryable: false,
  },
  invalid_filter: { status: 422, title: 'The filter of events cannot be used', retryable: false },
  too_many_rules: { status: 422, title: 'The tenant has all the rules there may be', retryable: false },
  // 429, 5xx
  rate_limited: {
    status: 429,
    title: 'Too many requests in this window of time',
    retryable: true,
    type: QUOTA_EXCEEDED_TYPE,
  },
  quota_exceeded: {
    status: 429,
    title: 'The quota of the plan is used up',
    retryable: true,
    type: QUOTA_EXCEEDED_TYPE,
  },
  too_many_failures: {
    status: 429,
    title: 'Too many attempts with keys that are not accepted',
    retryable: true,
  },
  too_many_connections: {
    status: 429,
    title: 'The plan allows no more streams at once',
    retryable: true,
    type: QUOTA_EXCEEDED_TYPE,
  },
  too_many_topics: {
    status: 429,
    title: 'The plan allows no more topics on one connection',
    retryable: false,
    type: QUOTA_EXCEEDED_TYPE,
  },
  too_many_uploads: { status: 429, title: 'Too many uploads run at once', retryable: true },
  too_many_downloads: { status: 429, title: 'Too many downloads of this kind run at once', retryable: true },
  internal: { status: 500, title: 'Something went wrong on our side', retryable: true },
  at_capacity: { status: 503, title: 'The server takes no more streams for now', retryable: true },
  dependency_unavailable: { status: 503, title: 'A service this needs is away', retryable: true },
  // of items: the `error.code` of a result line
  input_invalid: { status: 422, title: 'The handler refuses the input', retryable: false },
  handler_failed: { status: 422, title: 'The handler failed on this item', retryable: false },
  handler_timeout: { status: 422, title: 'The handler took longer than the item timeout', retryable: false },
  handler_crashed: { status: 422, title: 'The handler ended the process', retryable: false },
  handler_out_of_memory: {
    status: 422,
    title: 'The handler used more memory than allowed',
    retryable: false,
  },
  expression_failed: { status: 422, title: 'The expression failed on this item', retryable: false },
  output_invalid: { status: 422, title: 'The output is not what the handler promises', retryable: false },
  template_failed: { status: 422, title: 'The request cannot be made of this item', retryable: false },
  http_status: { status: 422, title: 'The server answered with a failure', retryable: true },
  egress_denied: { status: 422, title: 'The address may not be called from here', retryable: false },
  dns_failed: { status: 422, title: 'DNS has no address for the host', retryable: true },
  connect_failed: { status: 422, title: 'The server cannot be reached', retryable: true },
  tls_failed: { status: 422, title: 'The server cannot prove who it is', retryable: false },
  connection_lost: { status: 422, title: 'The connection broke off', retryable: true },
  invalid_response: { status: 422, title: 'The answer cannot be read', retryable: false },
  response_too_large: { status: 422, title: 'The answer is too large', retryable: false },
  secret_unreadable: { status: 422, title: 'A secret param cannot be decrypted', retryable: false },
  output_not_storable: { status: 422, title: 'The output holds what cannot be stored', retryable: false },
  output_too_large: { status: 422, title: 'The output is larger than 1 MB', retryable: false },
  // of jobs: the `error.code` of a job that ended so
  tolerated_failure_exceeded: {
    status: 422,
    title: 'More items failed than the job tolerates',
    retryable: false,
  },
  expired: { status: 422, title: 'The job did not end within its time', retryable: false },
  // inside the engine
  superseded: { status: 409, title: 'A newer attempt holds the fence', retryable: false },
  not_its_turn: {
    status: 503,
    title: 'A suspect needs this worker, or has it, to itself',
    retryable: true,
  },
} as const satisfies Record<string, CatalogEntry>;

export type ErrorCode = keyof typeof ERROR_CATALOG;

/** One finding of a validation: where (JSON pointer into the body, query parameter, or physical line from 1) and what. */
export interface ErrorDetail {
  pointer?: string;
  parameter?: string;
  line?: number;
  detail: string;
}

export interface AppErrorOptions {
  /** For the log only; never reaches a client. */
  internal?: string;
  cause?: unknown;
  errors?: readonly ErrorDetail[];
  /** Seconds for a Retry-After header. */
  retryAfterSeconds?: number;
  /** Names of the limits that refused it, for the problem's `violated-policies`. */
  violatedPolicies?: readonly string[];
}

/** Every error that this project throws on purpose. `detail` may be read by the client. */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly internal: string | undefined;
  readonly errors: readonly ErrorDetail[] | undefined;
  readonly retryAfterSeconds: number | undefined;
  readonly violatedPolicies: readonly string[] | undefined;

  constructor(
    readonly code: ErrorCode,
    readonly detail: string,
    options: AppErrorOptions = {},
  ) {
    super(`${code}: ${detail}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.internal = options.internal;
    this.errors = options.errors;
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.violatedPolicies = options.violatedPolicies;
  }

  get status(): number {
    return ERROR_CATALOG[this.code].status;
  }
}

/** Works across realms (workflow sandbox, Jest), where `instanceof` does not. */
export function isAppError(error: unknown): error is AppError {
  return error instanceof Error && error.name === 'AppError' && 'code' in error;
}
