/** CSV (RFC 4180, comma, LF or CRLF): the header names the fields, values are text, `custom_id` may be one of the columns. */
import { finished } from 'node:stream/promises';
import { CsvError, type InfoRecord, parse } from 'csv-parse';
import type { NewItem } from '../../../domain/batch/item';
import { isAppError } from '../../../domain/errors';
import { CsvHeader } from './csv-header';
import { exceedsBytes, type ItemLimits, itemTooLarge, malformed } from './limits';

const NEWLINE = 10;
/** More than the parser keeps back of a block to look ahead. */
const TAIL_BYTES = 16;

/** @throws AppError `malformed_csv`, `item_too_large`, `invalid_item` or `not_storable`, each with its line */
export async function* parseCsv(
  blocks: AsyncIterable<Buffer>,
  limits: ItemLimits,
): AsyncGenerator<NewItem[], void, void> {
  const records = new RecordReader(limits);
  try {
    for await (const block of blocks) {
      const items = await records.feed(block);
      if (items.length > 0) yield items;
    }
    const items = await records.end();
    if (items.length > 0) yield items;
  } finally {
    records.close();
  }
}

/**
 * The parser runs inside each `write`; `on_record` takes the records, so that none enters its readable side: one block's
 * records are all that is held, and the block is at hand to count physical lines in (the parser's own count takes a quoted
 * CRLF for two).
 */
class RecordReader {
  readonly #parser;
  readonly #limits: ItemLimits;
  #header: CsvHeader | undefined;
  #items: NewItem[] = [];
  /** the block under way, with the end of the one before, and where it begins in the upload */
  #block: Buffer = Buffer.alloc(0);
  #blockStart = 0;
  /** up to where newlines are counted, and how many stand there after the last record */
  #counted = 0;
  #newlines = 0;
  /** the line after the last record, and the empty lines before it */
  #line = 1;
  #emptyLines = 0;

  constructor(limits: ItemLimits) {
    this.#limits = limits;
    this.#parser = parse({
      record_delimiter: ['\r\n', '\n'],
      relax_column_count: true,
      skip_empty_lines: true,
      max_record_size: limits.itemBytesMax,
      on_record: (record: string[], context: InfoRecord) => this.#take(record, context),
    });
    this.#parser.on('error', () => undefined); // each write's callback tells
  }

  async feed(block: Buffer): Promise<NewItem[]> {
    this.#next(block);
    await new Promise<void>((resolve, reject) => {
      this.#parser.write(block, (error) => (error ? reject(this.#translate(error)) : resolve()));
    });
    return this.#taken();
  }

  async end(): Promise<NewItem[]> {
    this.#next(Buffer.alloc(0));
    this.#parser.end();
    await finished(this.#parser, { readable: false }).catch((error: Error) => {
      throw this.#translate(error);
    });
    return this.#taken();
  }

  close(): void {
    this.#parser.destroy();
  }

  #next(block: Buffer): void {
    const kept = Math.max(0, this.#block.length - TAIL_BYTES);
    this.#countTo(this.#blockStart + kept);
    this.#block = Buffer.concat([this.#block.subarray(kept), block]);
    this.#blockStart += kept;
  }

  #take(record: string[], context: InfoRecord): null {
    const line = this.#startLine(context.empty_lines);
    this.#countTo(context.bytes);
    this.#line += this.#newlines;
    this.#newlines = 0;
    this.#emptyLines = context.empty_lines;
    if (this.#header === undefined) this.#header = new CsvHeader(record, line);
    else this.#items.push(this.#toItem(this.#header, record, line));
    return null;
  }

  /** The line on which the record under way begins. */
  #startLine(emptyLines: number): number {
    return this.#line + emptyLines - this.#emptyLines;
  }

  #countTo(end: number): void {
    for (let at = this.#counted; at < end; at++) {
      if (this.#block[at - this.#blockStart] === NEWLINE) this.#newlines++;
    }
    this.#counted = Math.max(this.#counted, end);
  }

  /** The parser's own limit only keeps a record without end from filling the memory. */
  #toItem(header: CsvHeader, record: string[], line: number): NewItem {
    const item = header.toItem(record, line);
    if (exceedsBytes(item.input, this.#limits.itemBytesMax)) {
      throw itemTooLarge(line, this.#limits.itemBytesMax);
    }
    return item;
  }

  #taken(): NewItem[] {
    const items = this.#items;
    this.#items = [];
    return items;
  }

  #translate(error: Error): Error {
    if (isAppError(error) || !(error instanceof CsvError)) return error;
    const line = this.#startLine(this.#parser.info.empty_lines);
    if (error.code === 'CSV_MAX_RECORD_SIZE') return itemTooLarge(line, this.#limits.itemBytesMax);
    return malformed('malformed_csv', line, FAULTS[error.code] ?? 'not well-formed CSV');
  }
}

const FAULTS: Readonly<Record<string, string>> = {
  CSV_QUOTE_NOT_CLOSED: 'the record that begins here opens a quote that is never closed',
  CSV_INVALID_CLOSING_QUOTE: 'text follows a closing quote in the record that begins here',
  INVALID_OPENING_QUOTE: 'a quote stands inside an unquoted field of the record that begins here',
};
