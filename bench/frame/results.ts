import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { writeJson } from '../../tools/process/json-file';

/** Writes `<name>-<date>.json` and answers its path. */
export function saveResults(folder: string, name: string, data: Readonly<Record<string, unknown>>): string {
  mkdirSync(folder, { recursive: true });
  const date = new Date().toISOString();
  const file = path.join(folder, `${name}-${date.slice(0, 19).replaceAll(':', '-')}.json`);
  writeJson(file, { date, ...data });
  return file;
}

/** The checkout's commit, with `-dirty` where files differ from it; null where there is no git. */
export function revisionOf(root: string): string | null {
  try {
    const args = ['describe', '--always', '--dirty', '--abbrev=12'];
    return execFileSync('git', args, {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return null;
  }
}
