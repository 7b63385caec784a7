import { createRequire } from 'node:module';
import path from 'node:path';
import { ensureBuilt } from './build.mjs';
import { assertNodeVersion, dataFolder, root } from './checkout.mjs';
import { ensureInstalled } from './install.mjs';

/** Gets the tree ready with what Node alone brings, then loads a compiled module by its path below dist/. */
export async function loadBuilt(file) {
  assertNodeVersion();
  const logFolder = path.join(dataFolder(process.env), 'logs');
  await ensureInstalled(logFolder);
  await ensureBuilt(logFolder);
  // Some versions of Node announce that requiring ES modules is experimental, in the middle of the display.
  process.removeAllListeners('warning');
  return createRequire(import.meta.url)(path.join(root, 'dist', file));
}
