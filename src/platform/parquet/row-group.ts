/** Rows on their way to becoming a row group; of outputs only what is there takes room. */
import type { ItemError } from '../../domain/batch/job';
import type { ResultLine } from '../../domain/batch/result-line';
import { type Cell, isNull, toCell } from './column-types';
import type { OutputColumn, OutputColumns } from './output-columns';

/** The columns that every file has, in this order; `nullable` ones hold null where an item has no error. */
export const FIXED_COLUMNS = [
  { name: 'index', type: 'INT32', nullable: false },
  { name: 'custom_id', type: 'STRING', nullable: false },
  { name: 'status', type: 'STRING', nullable: false },
  { name: 'attempts', type: 'INT32', nullable: false },
  { name: 'duration_ms', type: 'INT32', nullable: false },
  { name: 'error_code', type: 'STRING', nullable: true },
  { name: 'error_message', type: 'STRING', nullable: true },
] as const;

type FixedName = (typeof FIXED_COLUMNS)[number]['name'];

export interface ColumnData {
  name: string;
  data: (Cell | null)[];
}

export class RowGroup {
  readonly #fixed: Record<FixedName, (Cell | null)[]> = {
    ...{
      index: [],
      custom_id: [],
      status: [],
      attempts: [],
      duration_ms: [],
      error_code: [],
      error_message: [],
    },
  };
  readonly #outputs: readonly SparseColumn[];
  readonly #split: OutputColumns['split'];
  #rows = 0;
  /** characters of output */
  #size = 0;

  constructor({ columns, split }: OutputColumns) {
    this.#outputs = columns.map((column) => new SparseColumn(column));
    this.#split = split;
  }

  get rows(): number {
    return this.#rows;
  }

  get size(): number {
    return this.#size;
  }

  add(line: ResultLine): void {
    const row = this.#rows++;
    this.#size += line.output.length;
    const error = isNull(line.error) ? undefined : (JSON.parse(line.error) as ItemError);
    this.#fixed.index.push(line.index);
    this.#fixed.custom_id.push(line.customId);
    this.#fixed.status.push(line.status);
    this.#fixed.attempts.push(line.attempts);
    this.#fixed.duration_ms.push(line.durationMs);
    this.#fixed.error_code.push(error?.code ?? null);
    this.#fixed.error_message.push(error?.message ?? null);
    this.#split(line.output, (column, json) => this.#outputs[column]?.put(row, json));
  }

  columnData(): ColumnData[] {
    const fixed = FIXED_COLUMNS.map(({ name }) => ({ name, data: this.#fixed[name] }));
    return [...fixed, ...this.#outputs.map((column) => column.toData(this.#rows))];
  }
}

class SparseColumn {
  readonly #column: OutputColumn;
  readonly #rows: number[] = [];
  readonly #cells: Cell[] = [];

  constructor(column: OutputColumn) {
    this.#column = column;
  }

  put(row: number, json: string): void {
    if (this.#rows.at(-1) === row) {
      this.#rows.pop();
      this.#cells.pop();
    }
    if (isNull(json)) return;
    this.#rows.push(row);
    this.#cells.push(toCell(this.#column.type, json));
  }

  toData(count: number): ColumnData {
    const dense = (): (Cell | null)[] => {
      const data = new Array<Cell | null>(count).fill(null);
      this.#rows.forEach((row, place) => {
        data[row] = this.#cells[place] ?? null;
      });
      return data;
    };
    return {
      name: this.#column.name,
      // Made when the writer comes to this column, so that a thousand columns are never there at once.
      get data() {
        return dense();
      },
    };
  }
}
