/** Results as lines of NDJSON and of CSV. */
import { stringify } from 'csv-stringify/sync';
import type { ResultRow } from '../../../domain/batch/item';
import type { ItemError } from '../../../domain/batch/job';

/** One line of NDJSON; outputs keep their exact text but for line breaks between tokens, the only place they may stand. */
export function toNdjsonLine(row: ResultRow): string {
  return (
    `{"index":${row.index},"custom_id":${JSON.stringify(row.custom_id)},"status":"${row.status}",` +
    `"output":${onOneLine(row.output)},"error":${onOneLine(row.error)},` +
    `"attempts":${row.attempts},"duration_ms":${row.duration_ms}}\n`
  );
}

function onOneLine(json: string | null): string {
  if (json === null) return 'null';
  return json.includes('\n') || json.includes('\r') ? json.replace(/[\r\n]+/g, ' ') : json;
}

export const CSV_COLUMNS = [
  'index',
  'custom_id',
  'status',
  'output',
  'error_code',
  'error_message',
  'attempts',
  'duration_ms',
] as const;

const CSV_OPTIONS = { record_delimiter: 'windows', quoted_match: /[\r\n]/ } as const;

export const CSV_HEADER = stringify([[...CSV_COLUMNS]], CSV_OPTIONS);

export function toCsvRows(rows: readonly ResultRow[]): string {
  return stringify(rows.map(toCells), CSV_OPTIONS);
}

function toCells(row: ResultRow): string[] {
  const error = row.error === null ? null : (JSON.parse(row.error) as ItemError);
  return [
    String(row.index),
    harmless(row.custom_id),
    row.status,
    harmless(row.output ?? ''),
    harmless(error?.code ?? ''),
    harmless(error?.message ?? ''),
    String(row.attempts),
    String(row.duration_ms),
  ];
}

/** https://owasp.org/www-community/attacks/CSV_Injection: what a spreadsheet takes for a formula, full-width signs too. */
const FORMULA = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;
const NUMBER = /^-\d+(\.\d+)?([eE][+-]?\d+)?$/;

/** A leading apostrophe makes a spreadsheet take a cell as text; a plain number is no formula. */
export function harmless(text: string): string {
  return FORMULA.test(text) && !NUMBER.test(text) ? `'${text}` : text;
}
