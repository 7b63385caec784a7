/** Which columns the outputs of a job become, from all of them; and where in them a value goes. */
import { eachField } from '../../domain/json-fields';
import { type ColumnType, isNull, isObject, seenIn, typeOf } from './column-types';

export interface OutputColumn {
  name: string;
  type: ColumnType;
}

export interface OutputColumns {
  columns: readonly OutputColumn[];
  /** Hands over the values of one output; of a name that occurs twice the last one counts, as for any reader of JSON. */
  split(output: string, put: (column: number, json: string) => void): void;
}

/** More than that stay together in a column `output_rest`, and so do fields of a longer name. */
export const FIELDS_MAX = 1_000;
const NAME_LENGTH_MAX = 255;

interface Field {
  name: string;
  seen: number;
}

export class OutputObserver {
  /** by name, in the order in which they first came */
  readonly #fields = new Map<string, Field>();
  #outputSeen = 0;
  #allObjects = true;
  #tooMany = false;

  observe(output: string): void {
    if (isNull(output)) return;
    this.#outputSeen |= seenIn(output);
    if (isObject(output)) eachField(output, (name, json) => this.#see(name, json));
    else this.#allObjects = false;
  }

  /** @param fieldsMax columns that fields may have */
  columns(fieldsMax: number): OutputColumns {
    const fields = [...this.#fields.values()].slice(0, fieldsMax);
    // Of objects without a field a column has to tell that they were there.
    if (!this.#allObjects || fields.length === 0) return oneColumn(typeOf(this.#outputSeen));
    const hasRest = this.#tooMany || fields.length < this.#fields.size;
    return columnPerField(fields, hasRest);
  }

  #see(name: string, json: string): void {
    const field = this.#fields.get(name);
    if (field !== undefined) field.seen |= seenIn(json);
    else if (this.#fields.size < FIELDS_MAX && name.length <= NAME_LENGTH_MAX) {
      // A copy: as a view, the name would keep the page it came in.
      const kept = Buffer.from(name).toString();
      this.#fields.set(kept, { name: kept, seen: seenIn(json) });
    } else this.#tooMany = true;
  }
}

function oneColumn(type: ColumnType): OutputColumns {
  return {
    columns: [{ name: 'output', type }],
    split: (output, put) => put(0, output),
  };
}

function columnPerField(fields: readonly Field[], hasRest: boolean): OutputColumns {
  const columns = fields.map(
    ({ name, seen }): OutputColumn => ({ name: `output.${name}`, type: typeOf(seen) }),
  );
  const places = new Map(fields.map(({ name }, place) => [name, place]));
  if (hasRest) columns.push({ name: 'output_rest', type: 'JSON' });
  return {
    columns,
    split(output, put) {
      if (isNull(output)) return;
      let rest = '';
      eachField(output, (name, json) => {
        const place = places.get(name);
        if (place === undefined) rest += `${rest && ','}${JSON.stringify(name)}:${json}`;
        else put(place, json);
      });
      if (rest !== '') put(fields.length, `{${rest}}`);
    },
  };
}
