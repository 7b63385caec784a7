import { createRequire } from 'node:module';
import path from 'node:path';
import { ensureBuilt } from './bootstrap/build.mjs';
import { assertNodeVersion, dataFolder, root } from './bootstrap/checkout.mjs';
import { ensureInstalled } from './bootstrap/install.mjs';

/** `npm start`: gets the tree ready with what Node alone brings, then hands over to the compiled launcher. */
async function main() {
  assertNodeVersion();
  const logFolder = path.join(dataFolder(process.env), 'logs');
  await ensureInstalled(logFolder);
  await ensureBuilt(logFolder);
  // Some versions of Node announce that requiring ES modules is experimental, in the middle of the display.
  process.removeAllListeners('warning');
  const { start } = createRequire(import.meta.url)(path.join(root, 'dist/tools/start/main.js'));
  return start(root, process.env);
}

try {
  process.exit(await main());
} catch (error) {
  process.stderr.write(`\n${error.message}\n`);
  process.exit(1);
}
