import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { ensureBuilt } from './bootstrap/build.mjs';
import { assertNodeVersion, dataFolder, root } from './bootstrap/checkout.mjs';
import { ensureInstalled } from './bootstrap/install.mjs';

/** `npm run demo`: real data through the copy of Millrace that runs on the data folder. */
async function main() {
  assertNodeVersion();
  const folder = dataFolder(process.env);
  if (!existsSync(path.join(folder, 'dev.json'))) {
    throw new Error(
      `No Millrace is running on ${folder}. Run \`npm start\` in another terminal; MILLRACE_DATA_DIR names another folder.`,
    );
  }
  const logFolder = path.join(folder, 'logs');
  await ensureInstalled(logFolder);
  await ensureBuilt(logFolder);
  process.removeAllListeners('warning');
  const { demo } = createRequire(import.meta.url)(path.join(root, 'dist/tools/demo/main.js'));
  return demo({ root, dataFolder: folder, env: process.env });
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`\n${error.message}\n`);
  process.exitCode = 1;
}
