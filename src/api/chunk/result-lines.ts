/** What a worker says of its items: NDJSON, checked line by line, all of a request or nothing. */
import { z } from 'zod';
import { memberText } from '../../domain/batch/item-line';
import { AppError } from '../../domain/errors';
import { malformed, trimBlanks } from '../batch/ingest/limits';
import { toErrorDetails } from '../validation';

const DAY_MS = 86_400_000;
const INT_MAX = 2_147_483_647;

const errorSchema = z.strictObject({
  code: z
    .string()
    .regex(/^[a-z][a-z0-9_]{0,63}$/, { error: 'expected lower_snake_case, up to 64 characters' }),
  message: z.string(),
  retryable: z.boolean().default(true),
  retry_after_ms: z.number().min(0).max(DAY_MS).default(0),
});

const lineSchema = z
  .strictObject({
    index: z.int().min(0),
    attempt: z.int().min(1).max(10_000).optional(),
    output: z.unknown().optional(),
    error: errorSchema.optional(),
    duration_ms: z.number().min(0).max(INT_MAX).default(0),
  })
  .refine((line) => (line.error === undefined) === 'output' in line, {
    error: 'expected either output or error',
  });

export interface ResultLine {
  index: number;
  /** of which attempt; not given: of the one that is due */
  attempt: number | undefined;
  /** exact JSON text; null where there is an error */
  output: string | null;
  error: z.output<typeof errorSchema> | undefined;
  durationMs: number;
}

export interface ChunkItems {
  /** half-open */
  start: number;
  end: number;
}

/**
 * In order; of several lines of one item the first counts.
 * @throws AppError `malformed_ndjson` or `validation_failed`, each with its line
 */
export function parseResultLines(text: string, items: ChunkItems): ResultLine[] {
  const byIndex = new Map<number, ResultLine>();
  for (const [at, raw] of text.split('\n').entries()) {
    const line = trimBlanks(raw);
    if (line === '') continue;
    const result = parseLine(line, at + 1);
    if (result.index < items.start || result.index >= items.end) {
      throw invalid(at + 1, `this chunk has no item ${result.index}`);
    }
    if (!byIndex.has(result.index)) byIndex.set(result.index, result);
  }
  return [...byIndex.values()];
}

function parseLine(text: string, line: number): ResultLine {
  const parsed = lineSchema.safeParse(parseJson(text, line));
  if (!parsed.success) {
    const [first] = toErrorDetails(parsed.error, 'pointer');
    throw invalid(line, `${first?.pointer ?? ''} ${first?.detail ?? 'is invalid'}`.trim());
  }
  const { index, attempt, error, duration_ms: durationMs } = parsed.data;
  const output = error === undefined ? memberText(text, 'output') : null;
  return { index, attempt, output, error, durationMs };
}

function parseJson(text: string, line: number): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw malformed('malformed_ndjson', line, 'not well-formed JSON');
  }
}

function invalid(line: number, detail: string): AppError {
  return new AppError('validation_failed', `Line ${line}: ${detail}.`, { errors: [{ line, detail }] });
}
