/** Result lines as CSV (RFC 4180) that a spreadsheet may open. */
import type { ItemError } from '../../../domain/batch/job';
import { type ResultLine, resultLinesIn } from '../../../domain/batch/result-line';

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

export const CSV_HEADER = `${CSV_COLUMNS.join(',')}\r\n`;

/** @param lines NDJSON, whole lines */
export function toCsvRecords(lines: string): string {
  let text = '';
  for (const line of resultLinesIn(lines)) text += `${toRecord(line)}\r\n`;
  return text;
}

function toRecord(line: ResultLine): string {
  const error = line.error === 'null' ? undefined : (JSON.parse(line.error) as ItemError);
  const cells = [
    line.index,
    textCell(line.customId),
    line.status,
    // JSON null is what an item without an output has, too.
    line.output === 'null' ? '' : textCell(line.output),
    error === undefined ? '' : textCell(error.code),
    error === undefined ? '' : textCell(error.message),
    line.attempts,
    line.durationMs,
  ];
  return cells.join(',');
}

function textCell(text: string): string {
  const cell = harmless(text);
  return /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}

/**
 * What a spreadsheet takes for a formula (https://owasp.org/www-community/attacks/CSV_Injection): a sign, in any of the
 * widths that Unicode has it in, behind whatever white space, control and invisible characters it skips; or a line break or
 * tab that some programs cut the cell at.
 */
const FORMULA = /^[\s\p{Cc}\p{Cf}]*[=+\-@\u2212\ufe62\ufe63\ufe66\ufe6b\uff0b\uff0d\uff1d\uff20]|^[\t\r\n]/u;
const NUMBER = /^-\d+(\.\d+)?([eE][+-]?\d+)?$/;

/** A leading apostrophe makes a spreadsheet take a cell as text; a plain number is no formula. */
export function harmless(text: string): string {
  return FORMULA.test(text) && !NUMBER.test(text) ? `'${text}` : text;
}
