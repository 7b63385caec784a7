/** Structured logs: one JSON object a line, on stdout. Secrets are taken out on the way, wherever they hide. */
import { type DestinationStream, type Logger as PinoLogger, pino, stdSerializers } from 'pino';
import { createLogLines, type LogLines } from './log-lines';
import { type RequestFields, requestFieldsText } from './request-line';

export type Logger = PinoLogger;

/** The logger, and what writes the access log. */
export interface RootLogger extends Logger {
  /**
   * The line of one request. There is one for each, so it is made without the general way's search for secret fields, of which
   * it has none, and waits up to 100 ms for others. Errors wait for nothing, and no line overtakes another.
   */
  request(level: 'debug' | 'info' | 'error', line: RequestFields): void;
}

export interface LoggerOptions {
  level: string;
  /** api, worker, migrate, admin */
  role: string;
  /** For commands, whose stdout is their answer. Default: stdout. */
  toStderr?: boolean | undefined;
  /** in place of both; gets each line at once */
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

/**
 * API keys and stream tickets, `user:password@` of URLs, secrets in query strings: taken out of the finished line, whatever
 * field they are in. Each with a text that is in all it finds, for most lines have none of them and a search for a text is quick.
 */
const SECRET_TEXTS: readonly (readonly [string, RegExp, string])[] = [
  ['mrk_', /mrk_[0-9A-Za-z]{36}/g, 'mrk_[redacted]'],
  ['mrt_', /mrt_[0-9A-Za-z]{36}/g, 'mrt_[redacted]'],
  ['whsec_', /whsec_[0-9A-Za-z+/=_-]{16,}/g, 'whsec_[redacted]'],
  ['://', /(:\/\/)[^\s/"@]*:[^\s"@]*@/g, '$1[redacted]@'],
  ['=', /([?&](?:ticket|token|key|secret|signature)=)[^&\s"\\]+/gi, '$1[redacted]'],
];

const REQUEST_DELAY_MS = 100;

export function createLogger(options: LoggerOptions): RootLogger {
  const lines = linesFor(options);
  const base = { role: options.role, pid: process.pid };
  const log = pino(
    {
      level: options.level,
      base,
      timestamp: pino.stdTimeFunctions.isoTime,
      messageKey: 'message',
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]), censor: '[redacted]' },
      serializers: { err: stdSerializers.errWithCause },
      hooks: { streamWrite: withoutSecrets },
    },
    lines,
  );
  const common = JSON.stringify(base).slice(1, -1);
  const isoTime = createIsoTime();
  const request: RootLogger['request'] = (level, line) => {
    if (!log.isLevelEnabled(level)) return;
    const head = `{"level":"${level}","time":"${isoTime()}",${common},`;
    const plain = `${head}${requestFieldsText(line)},"message":"request"}\n`;
    // Most have no secret, and these texts are a fifth of the line.
    const { request_id: id, path, job_id: jobId = '' } = line;
    const isSafe = !mayHoldSecret(id) && !mayHoldSecret(path) && !mayHoldSecret(jobId);
    const text = isSafe ? plain : withoutSecrets(plain);
    if (level === 'error') lines.write(text);
    else lines.writeSoon(text);
  };
  return Object.assign(log, { request });
}

function linesFor({ destination, toStderr }: LoggerOptions): LogLines {
  if (destination !== undefined) return createLogLines(destination, 0);
  const output = pino.destination({ dest: toStderr === true ? 2 : 1, sync: true });
  const lines = createLogLines(output, REQUEST_DELAY_MS);
  process.once('exit', lines.flush);
  return lines;
}

/** The time as text, made once for all lines of a millisecond. */
function createIsoTime(): () => string {
  let ms = Number.NaN;
  let text = '';
  return () => {
    const now = Date.now();
    if (now !== ms) {
      ms = now;
      text = new Date(now).toISOString();
    }
    return text;
  };
}

function mayHoldSecret(text: string): boolean {
  return SECRET_TEXTS.some(([part]) => text.includes(part));
}

export function withoutSecrets(line: string): string {
  let out = line;
  for (const [part, pattern, replacement] of SECRET_TEXTS) {
    if (out.includes(part)) out = out.replace(pattern, replacement);
  }
  return out;
}
