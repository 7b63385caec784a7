import type { Summary } from './job';

/** The first groups as a table with aligned columns. */
export function showSummary({ groups }: Summary, groupsMax: number): string {
  const names = Object.keys(groups[0]?.metrics ?? {});
  const shown = groups.slice(0, groupsMax);
  const rows = [
    ['state', ...names],
    ...shown.map(({ key, metrics }) => [String(key), ...names.map((name) => cell(metrics[name]))]),
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const lines = rows.map((row) => row.map((text, column) => text.padStart(widths[column] ?? 0)).join('  '));
  const left = groups.length - shown.length;
  return [...lines, ...(left > 0 ? [`… and ${left} more`] : [])].join('\n');
}

function cell(value: number | null | undefined): string {
  if (value === null || value === undefined) return '-';
  return Number.isInteger(value) ? value.toLocaleString('en') : value.toFixed(4);
}
