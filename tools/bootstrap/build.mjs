import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './checkout.mjs';
import { withCheckoutLock } from './checkout-lock.mjs';
import { showStep } from './line.mjs';
import { npm, runLogged } from './run.mjs';

const stampFile = path.join(root, 'dist/.build-hash');
const inputs = [
  'src',
  'tools',
  'bench',
  'tsconfig.json',
  'tsconfig.build.json',
  'package.json',
  'package-lock.json',
];
/** What a bench writes beside its sources. */
const noInput = path.join(root, 'bench/results');
const outputs = [
  ...['dist/src/main.js', 'dist/tools/start/main.js', 'dist/bench/main.js'],
  'dist/workflow-bundle.js',
];

/** Builds with `npm run build` unless the sources' content is what the last build saw. */
export async function ensureBuilt(logFolder) {
  if (isBuilt()) return;
  await withCheckoutLock(async () => {
    if (isBuilt()) return;
    const hash = hashOfInputs();
    const { command, args } = npm();
    const log = path.join(logFolder, 'build.log');
    await showStep('Build', () => runLogged(command, [...args, 'run', '--silent', 'build'], log));
    writeFileSync(stampFile, hash);
  });
}

function isBuilt() {
  return (
    existsSync(stampFile) &&
    outputs.every((file) => existsSync(path.join(root, file))) &&
    readFileSync(stampFile, 'utf8') === hashOfInputs()
  );
}

function hashOfInputs() {
  const hash = createHash('sha256').update(process.version);
  for (const input of inputs) addToHash(hash, input);
  return hash.digest('hex');
}

function addToHash(hash, relative) {
  const absolute = path.join(root, relative);
  if (path.extname(relative)) {
    hash.update(relative).update('\0').update(readFileSync(absolute));
    return;
  }
  const entries = readdirSync(absolute, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter((file) => path.dirname(file) !== noInput)
    .sort();
  for (const file of entries) hash.update(path.relative(root, file)).update('\0').update(readFileSync(file));
}
