/**
 * A Parquet file of results, written as they come. Two passes over the same lines: `observe` all of them, which decides on
 * columns and types, then `write` all of them, then `finish`. Memory is that of one row group and of what the file's footer
 * will say, whatever the number of rows; docs/results.md tells how outputs become columns.
 */
import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import { resultLinesIn } from '../../domain/batch/result-line';
import { IndexSet } from './index-set';
import { FIELDS_MAX, type OutputColumn, type OutputColumns, OutputObserver } from './output-columns';
import { FIXED_COLUMNS, RowGroup } from './row-group';

export interface TableLimits {
  /** of a row group */
  rowsMax: number;
  /** characters of output in a row group */
  sizeMax: number;
  /** Columns of all row groups: each has an entry in the footer, which is made in memory, of a kilobyte or so. */
  entriesMax: number;
}

export const TABLE_LIMITS: TableLimits = { rowsMax: 32_768, sizeMax: 8 * 1024 * 1024, entriesMax: 50_000 };

/** Least and greatest values help readers of few columns; for hundreds they fill the footer. */
const STATISTICS_COLUMNS_MAX = 100;

export class ResultTable {
  readonly #limits: TableLimits;
  readonly #observer = new OutputObserver();
  readonly #observed = new IndexSet();
  #size = 0;
  #file: OpenFile | undefined;

  constructor(limits: TableLimits = TABLE_LIMITS) {
    this.#limits = limits;
  }

  observe(lines: string): void {
    for (const { index, output } of resultLinesIn(lines)) {
      this.#observer.observe(output);
      this.#observed.add(index);
      this.#size += output.length;
    }
  }

  /** @returns what is finished of the file, maybe nothing */
  write(lines: string): Uint8Array {
    const file = (this.#file ??= this.#open());
    for (const line of resultLinesIn(lines)) {
      // What a running job came to since may not fit the types.
      if (this.#observed.has(line.index)) file.add(line);
    }
    return file.take();
  }

  /** @throws Error where a line that was observed was not written */
  finish(): Uint8Array {
    const file = (this.#file ??= this.#open());
    file.finish();
    if (file.rows !== this.#observed.size) {
      throw new Error(`${this.#observed.size} results were observed, but ${file.rows} written`);
    }
    return file.take();
  }

  #open(): OpenFile {
    const { rowsMax, sizeMax, entriesMax } = this.#limits;
    const groups = 1 + Math.max(this.#observed.size / rowsMax, this.#size / sizeMax);
    const fitting = Math.floor(entriesMax / groups) - FIXED_COLUMNS.length;
    return new OpenFile(this.#observer.columns(Math.max(1, Math.min(FIELDS_MAX, fitting))), this.#limits);
  }
}

class OpenFile {
  readonly #outputs: OutputColumns;
  readonly #limits: TableLimits;
  readonly #bytes = new ByteWriter();
  readonly #writer: ParquetWriter;
  #group: RowGroup;
  #written = 0;

  constructor(outputs: OutputColumns, limits: TableLimits) {
    this.#outputs = outputs;
    this.#limits = limits;
    this.#group = new RowGroup(outputs);
    const jsonColumns = outputs.columns.filter(({ type }) => type === 'JSON').map(({ name }) => name);
    this.#writer = new ParquetWriter({
      writer: this.#bytes,
      schema: schemaOf(outputs.columns),
      codec: 'SNAPPY',
      statistics: outputs.columns.length <= STATISTICS_COLUMNS_MAX,
      createdBy: 'millrace',
      kvMetadata: [{ key: 'millrace.json_columns', value: JSON.stringify(jsonColumns) }],
    });
  }

  get rows(): number {
    return this.#written + this.#group.rows;
  }

  add(line: Parameters<RowGroup['add']>[0]): void {
    this.#group.add(line);
    if (this.#group.rows >= this.#limits.rowsMax || this.#group.size >= this.#limits.sizeMax) this.#flush();
  }

  finish(): void {
    if (this.#group.rows > 0) this.#flush();
    void this.#writer.finish();
  }

  /** Hands over what was written since the last time. */
  take(): Uint8Array {
    const bytes = this.#bytes.getBytes().slice();
    this.#bytes.index = 0;
    return bytes;
  }

  #flush(): void {
    const { rows } = this.#group;
    const columnData = this.#group
      .columnData()
      .map((column) => Object.assign(column, { offsetIndex: false }));
    void this.#writer.write({ columnData, rowGroupSize: rows });
    this.#written += rows;
    this.#group = new RowGroup(this.#outputs);
  }
}

type Schema = ConstructorParameters<typeof ParquetWriter>[0]['schema'];
type Element = Schema[number];

function schemaOf(outputs: readonly OutputColumn[]): Schema {
  const columns = [
    ...FIXED_COLUMNS.map(({ name, type, nullable }) => element(name, type, nullable)),
    ...outputs.map(({ name, type }) =>
      element(name, type === 'TEXT' || type === 'JSON' ? 'STRING' : type, true),
    ),
  ];
  return [{ name: 'results', num_children: columns.length }, ...columns];
}

type Type = (typeof FIXED_COLUMNS)[number]['type'] | 'BOOLEAN' | 'INT64' | 'DOUBLE';

function element(name: string, type: Type, nullable: boolean): Element {
  const common: Element = { name, repetition_type: nullable ? 'OPTIONAL' : 'REQUIRED' };
  return type === 'STRING'
    ? { ...common, type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } }
    : { ...common, type };
}
