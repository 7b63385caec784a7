import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout's root folder. */
export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

/** Data folder of a run: `MILLRACE_DATA_DIR` or `.millrace/` in the checkout; always absolute. */
export function dataFolder(env) {
  return path.resolve(root, env.MILLRACE_DATA_DIR || '.millrace');
}

/**
 * Throws when this Node is older than package.json's engines allow. Compiled code requires ESM-only packages,
 * which older versions answer with a stack trace that nobody understands.
 */
export function assertNodeVersion() {
  const { engines } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  const least = engines.node.replace(/[^\d.]/g, '');
  if (isOlder(process.versions.node, least)) {
    throw new Error(`Millrace needs Node ${least} or later; this is Node ${process.versions.node}`);
  }
}

function isOlder(version, least) {
  const have = version.split('.').map(Number);
  for (const [position, wanted] of least.split('.').map(Number).entries()) {
    if (have[position] !== wanted) return have[position] < wanted;
  }
  return false;
}
