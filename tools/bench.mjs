import { createRequire } from 'node:module';
import path from 'node:path';
import { ensureBuilt } from './bootstrap/build.mjs';
import { assertNodeVersion, dataFolder, root } from './bootstrap/checkout.mjs';
import { ensureInstalled } from './bootstrap/install.mjs';

/** `npm run bench -- <name>`: measures a copy of Millrace with servers of its own, beside its peers. */
async function main() {
  assertNodeVersion();
  const logFolder = path.join(dataFolder(process.env), 'logs');
  await ensureInstalled(logFolder);
  await ensureBuilt(logFolder);
  process.removeAllListeners('warning');
  const { bench } = createRequire(import.meta.url)(path.join(root, 'dist/bench/main.js'));
  return bench({ root, args: process.argv.slice(2), env: process.env });
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`\n${error.message}\n`);
  process.exitCode = 1;
}
