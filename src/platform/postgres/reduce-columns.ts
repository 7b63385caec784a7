/** The columns of `vals`: one for each path and use, however many metrics share it. */
import { outputPath } from '../../domain/batch/reduce';

export interface Columns {
  /** the value at a path as the innermost query has it */
  raw(path: string): string;
  /** a column of `vals`: the value as jsonb, null where it is missing */
  json(path: string): string;
  /** a column of `vals`: the value as numeric, null where it is no number */
  number(path: string): string;
  /** the columns of `vals` so far, each with a comma before it */
  selected(): string;
  /** the columns of the innermost query so far, over `r.o` */
  extracted(): string;
}

export function createColumns(bind: (value: unknown) => string): Columns {
  const extracted = new Map<string, string>();
  const selected = new Map<string, string>();
  const raw = (path: string): string => {
    const name = extracted.get(path) ?? `p${extracted.size}`;
    extracted.set(path, name);
    return `p.${name}`;
  };
  const column = (name: string, sql: string): string => {
    selected.set(name, sql);
    return `vals.${name}`;
  };
  return {
    raw,
    json(path) {
      const value = raw(path);
      return column(`v_${extracted.get(path)}`, value);
    },
    number(path) {
      const value = raw(path);
      const sql = `case when jsonb_typeof(${value}) = 'number' then (${value})::numeric end`;
      return column(`n_${extracted.get(path)}`, sql);
    },
    selected: () => [...selected].map(([name, sql]) => `, ${sql} as ${name}`).join(''),
    extracted: () =>
      [...extracted]
        .map(([path, name]) => `r.o #> ${bind(outputPath(path))}::text[] as ${name}`)
        .join(', ') || 'null as none',
  };
}
