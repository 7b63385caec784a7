/** Every variable of the environment: what may stand there, and what it is for. `.env.example` is made from it. */
import { z } from 'zod';
import { ranges, secretKeys, url, wholeNumber, yesOrNo } from './config-values';

export const ROLES = ['api', 'worker', 'migrate', 'admin'] as const;
export type Role = (typeof ROLES)[number];

export interface Variable<S extends z.ZodType = z.ZodType> {
  schema: S;
  /** for people, in .env.example */
  about: string;
  roles: readonly Role[];
  /** a value to show; what stands there when the variable is not set comes from the schema */
  example: string;
}

function variable<S extends z.ZodType>(
  schema: S,
  info: { roles?: readonly Role[]; about: string; example: string },
): Variable<S> {
  return { schema, about: info.about, example: info.example, roles: info.roles ?? ROLES };
}

const SERVERS: readonly Role[] = ['api', 'worker'];

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
const TEN_GB = 10_000_000_000;

/** Every variable there is. */
export const VARIABLES = {
  DATABASE_URL: variable(url(['postgres:', 'postgresql:']), {
    about: 'PostgreSQL 15 or later. LISTEN needs a direct connection, not a pooled one.',
    example: 'postgres://millrace:millrace@127.0.0.1:5432/millrace',
  }),
  MILLRACE_DB_CONNECTIONS_MAX: variable(wholeNumber(2, 500).default(10), {
    about: 'Connections of this process to PostgreSQL at most; about 2 to 3 per core over all processes.',
    example: '10',
    roles: SERVERS,
  }),
  REDIS_URL: variable(url(['redis:', 'rediss:']), {
    about: 'Redis 6.2 or later, or Valkey.',
    example: 'redis://127.0.0.1:6379',
    roles: SERVERS,
  }),
  MILLRACE_REDIS_PREFIX: variable(z.string().min(1).max(64).default('millrace:'), {
    about: 'Before every key in Redis, so that installations can share one.',
    example: 'millrace:',
    roles: SERVERS,
  }),
  TEMPORAL_ADDRESS: variable(z.string().regex(/^[^\s/]+:\d{1,5}$/, { error: 'expected host:port' }), {
    about: "host:port of Temporal's frontend.",
    example: '127.0.0.1:7233',
    roles: ['api', 'worker', 'migrate'],
  }),
  TEMPORAL_NAMESPACE: variable(z.string().min(1).default('default'), {
    about: 'Namespace in Temporal; it must exist.',
    example: 'default',
    roles: ['api', 'worker', 'migrate'],
  }),
  TEMPORAL_UI_URL: variable(url(['http:', 'https:']).optional(), {
    about: "Base address of Temporal's web UI, for links that operators follow.",
    example: 'http://127.0.0.1:8233',
    roles: SERVERS,
  }),
  MILLRACE_SECRET_KEYS: variable(secretKeys, {
    about:
      'Keys for encryption at rest: 32 bytes each in base64, comma-separated. The first encrypts, all decrypt.',
    example: 'replace-me-by-openssl-rand-base64-32',
    roles: SERVERS,
  }),
  HOST: variable(z.string().min(1).default('0.0.0.0'), {
    about: 'Address the API listens on.',
    example: '0.0.0.0',
    roles: ['api'],
  }),
  PORT: variable(wholeNumber(0, 65_535).default(3000), {
    about: 'Port the API listens on; 0 takes a free one.',
    example: '3000',
    roles: ['api'],
  }),
  LOG_LEVEL: variable(z.enum(LOG_LEVELS).default('info'), {
    about: `One of ${LOG_LEVELS.join(', ')}.`,
    example: 'info',
  }),
  MILLRACE_DATA_DIR: variable(z.string().min(1).default('.millrace'), {
    about: 'Folder for what is kept on disk.',
    example: '.millrace',
    roles: SERVERS,
  }),
  MILLRACE_HANDLERS_DIR: variable(z.string().min(1).optional(), {
    about: 'Folder with item handlers of your own (compiled JavaScript), one file each.',
    example: './handlers',
    roles: SERVERS,
  }),
  MILLRACE_EGRESS_ALLOW: variable(ranges.optional(), {
    about:
      'Private addresses that jobs may call all the same (CIDRs, comma-separated), for development. Not set: none.',
    example: '127.0.0.0/8',
    roles: SERVERS,
  }),
  MILLRACE_TRUSTED_PROXIES: variable(ranges.optional(), {
    about:
      'Proxies in front of the API (CIDRs, comma-separated) whose X-Forwarded-For tells where a client is. Not set: none.',
    example: '10.0.0.0/8',
    roles: ['api'],
  }),
  MILLRACE_AUTH_FAILURES_PER_MINUTE: variable(wholeNumber(0, 1_000_000_000).default(60), {
    about: 'Requests a minute from one address (IPv6: one /64) whose key may be not accepted; 0: no limit.',
    example: '60',
    roles: ['api'],
  }),
  MILLRACE_UPLOAD_BYTES_MAX: variable(wholeNumber(1_000, Number.MAX_SAFE_INTEGER).default(TEN_GB), {
    about: 'Bytes one upload of items may have.',
    example: String(TEN_GB),
    roles: ['api'],
  }),
  MILLRACE_UPLOADS_PER_TENANT: variable(wholeNumber(1, 1_000).default(4), {
    about: 'Uploads of one tenant that may run at once in one API process.',
    example: '4',
    roles: ['api'],
  }),
  MILLRACE_STREAMS_MAX: variable(wholeNumber(1, 1_000_000).default(20_000), {
    about: 'Event streams and WebSockets that one API process has open at once, of all tenants.',
    example: '20000',
    roles: ['api'],
  }),
  MILLRACE_WEBSOCKET_DEFLATE: variable(yesOrNo.default(false), {
    about:
      'Compresses WebSockets for clients that ask for it: fewer bytes, many times the work. true or false.',
    example: 'false',
    roles: ['api'],
  }),
  MILLRACE_EXPRESSION_TIMEOUT_MS: variable(wholeNumber(1, 600_000).default(2_000), {
    about: "Time that one evaluation of a tenant's JSONata expression may take.",
    example: '2000',
    roles: SERVERS,
  }),
  MILLRACE_EXPRESSION_THREADS: variable(wholeNumber(1, 256).optional(), {
    about: "Threads for tenants' expressions; not set: as many as there are cores, less one.",
    example: '2',
    roles: SERVERS,
  }),
  MILLRACE_FROZEN_LIMIT_MS: variable(wholeNumber(0, 3_600_000).default(30_000), {
    about:
      'A worker whose event loop stands still for so long, as in a handler without end, ends itself; 0: never.',
    example: '30000',
    roles: ['worker'],
  }),
  MILLRACE_PUBLIC_URL: variable(url(['http:', 'https:']).optional(), {
    about:
      'Where the workers of handlers in other languages reach the API; needed where there are such handlers.',
    example: 'http://127.0.0.1:3000',
    roles: ['worker'],
  }),
  MILLRACE_CHUNK_SLOTS: variable(wholeNumber(1, 1_000).default(16), {
    about: 'Chunks of all jobs at once in one worker; how many items are in flight is a matter of each job.',
    example: '16',
    roles: ['worker'],
  }),
  MILLRACE_SHUTDOWN_GRACE_MS: variable(wholeNumber(0, 600_000).default(10_000), {
    about: 'Time that work under way gets to finish after SIGTERM.',
    example: '10000',
    roles: SERVERS,
  }),
} as const;
