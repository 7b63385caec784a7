/** Structured logs: one JSON object a line, on stdout. Secrets are taken out on the way, wherever they hide. */
import { type DestinationStream, type Logger, pino, stdSerializers } from 'pino';

export type { Logger } from 'pino';

export interface LoggerOptions {
  level: string;
  /** api, worker, migrate, admin */
  role: string;
  /** For commands, whose stdout is their answer. Default: stdout. */
  toStderr?: boolean | undefined;
  /** in place of both */
  destination?: DestinationStream | undefined;
}

/** Fields that never show their value, at the top or one level down. */
const SECRET_FIELDS = [
  'authorization',
  'cookie',
  'secret',
  'secrets',
  'secret_keys',
  'secretKeys',
  'password',
  'token',
  'admin_key',
];

/** API keys, `user:password@` of URLs, secrets in query strings: taken out of the finished line, whatever field they are in. */
const SECRET_TEXTS: readonly (readonly [RegExp, string])[] = [
  [/mrk_[0-9A-Za-z]{36}/g, 'mrk_[redacted]'],
  [/whsec_[0-9A-Za-z+/=_-]{16,}/g, 'whsec_[redacted]'],
  [/(:\/\/)[^\s/"@]*:[^\s"@]*@/g, '$1[redacted]@'],
  [/([?&](?:ticket|token|key|secret|signature)=)[^&\s"\\]+/gi, '$1[redacted]'],
];

export function createLogger(options: LoggerOptions): Logger {
  return pino(
    {
      level: options.level,
      base: { role: options.role, pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      messageKey: 'message',
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]), censor: '[redacted]' },
      serializers: { err: stdSerializers.errWithCause },
      hooks: { streamWrite: withoutSecrets },
    },
    options.destination ?? pino.destination({ dest: options.toStderr === true ? 2 : 1, sync: true }),
  );
}

export function withoutSecrets(line: string): string {
  let out = line;
  for (const [pattern, replacement] of SECRET_TEXTS) out = out.replace(pattern, replacement);
  return out;
}
