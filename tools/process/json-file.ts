import { readFileSync, renameSync, writeFileSync } from 'node:fs';

/** Writes JSON so that a reader sees the old or the new, never a part; only this user may read it. */
export function writeJson(file: string, value: unknown): void {
  const draft = `${file}.${process.pid}.new`;
  writeFileSync(draft, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
  renameSync(draft, file);
}

/** The parsed content; null when the file is missing or no JSON. The caller checks the shape. */
export function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return null;
  }
}
