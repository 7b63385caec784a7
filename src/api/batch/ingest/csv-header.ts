/** The header of a CSV upload, and how it makes items of the records below it. */
import type { NewItem } from '../../../domain/batch/item';
import { checkedCustomId, invalidItem, notStorable } from '../../../domain/batch/item-line';
import { unstorableReason } from '../../../domain/batch/storable';
import { malformed } from './limits';

const CUSTOM_ID = 'custom_id';

export class CsvHeader {
  readonly #columns: number;
  readonly #customIdAt: number;
  /** column and what stands before its value: the sign and the name as JSON text */
  readonly #fields: readonly { at: number; lead: string }[];

  /** @throws AppError `invalid_item` where a name is empty or given twice, or `not_storable` */
  constructor(names: readonly string[], line: number) {
    checkNames(names, line);
    this.#columns = names.length;
    this.#customIdAt = names.indexOf(CUSTOM_ID);
    const fields = names.map((name, at) => ({ name, at })).filter(({ name }) => name !== CUSTOM_ID);
    this.#fields = fields.map(({ name, at }, no) => ({
      at,
      lead: `${no === 0 ? '{' : ','}${JSON.stringify(name)}:`,
    }));
  }

  /** @throws AppError `malformed_csv`, `invalid_item` or `not_storable` */
  toItem(record: readonly string[], line: number): NewItem {
    if (record.length !== this.#columns) {
      throw malformed(
        'malformed_csv',
        line,
        `has ${record.length} columns where the header has ${this.#columns}`,
      );
    }
    let input = this.#fields.length === 0 ? '{' : '';
    for (const { at, lead } of this.#fields) input += lead + JSON.stringify(record[at]);
    input += '}';
    const reason = unstorableReason(input);
    if (reason !== undefined) throw notStorable(reason, { line });
    if (this.#customIdAt < 0) return { customId: null, input, line };
    return { customId: checkedCustomId(record[this.#customIdAt], { line }), input, line };
  }
}

function checkNames(names: readonly string[], line: number): void {
  const seen = new Set<string>();
  for (const name of names) {
    const reason = unstorableReason(JSON.stringify(name));
    if (reason !== undefined) throw notStorable(reason, { line });
    if (name === '') throw invalidItem('the header has a column without a name', { line });
    if (seen.has(name))
      throw invalidItem(`the header names the column ${JSON.stringify(name)} twice`, { line });
    seen.add(name);
  }
}
