/**
 * Writes what is made from the sources: docs/errors.md, docs/openapi.json, .env.example.
 *   node dist/tools/generate.js           writes
 *   node dist/tools/generate.js --check   exits 1 where one of them is stale
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { envExample } from './generate-env';
import { errorsMarkdown } from './generate-errors';
import { openApiJson } from './generate-openapi';

/** Every generated file by its path from the root. */
export function generated(): Record<string, string> {
  return {
    'docs/errors.md': errorsMarkdown(),
    'docs/openapi.json': openApiJson(),
    '.env.example': envExample(),
  };
}

/** Paths whose file is not what the sources make. */
export function stale(root: string): string[] {
  return Object.entries(generated())
    .filter(([file, content]) => readOrNothing(path.join(root, file)) !== content)
    .map(([file]) => file);
}

function readOrNothing(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

if (require.main === module) {
  const root = process.cwd();
  const files = stale(root);
  if (process.argv.includes('--check')) {
    if (files.length > 0) process.stderr.write(`stale: ${files.join(', ')} (npm run generate)\n`);
    process.exitCode = files.length > 0 ? 1 : 0;
  } else {
    for (const file of files) writeFileSync(path.join(root, file), generated()[file] ?? '');
    process.stdout.write(files.length > 0 ? `written: ${files.join(', ')}\n` : 'all fresh\n');
  }
}
