/** Where the compiled scripts of child processes and threads are, also for a caller that runs from the sources (tests). */
import { existsSync } from 'node:fs';
import path from 'node:path';

/**
 * @param folder where its source is, or where it was compiled to
 * @throws Error where the project was not built
 */
export function compiledScript(name: string, folder = __dirname): string {
  const beside = path.join(folder, `${name}.js`);
  if (existsSync(beside)) return beside;
  const root = path.resolve(__dirname, '../../..');
  const built = path.join(root, 'dist', path.relative(root, folder), `${name}.js`);
  if (existsSync(built)) return built;
  throw new Error(`${built} is missing: run "npm run build" first.`);
}
