import { existsSync } from 'node:fs';
import path from 'node:path';
import { dataFolder, root } from './bootstrap/checkout.mjs';
import { loadBuilt } from './bootstrap/load-built.mjs';

/** `npm run demo`: real data through the copy of Millrace that runs on the data folder. */
async function main() {
  const folder = dataFolder(process.env);
  if (!existsSync(path.join(folder, 'dev.json'))) {
    throw new Error(
      `No Millrace is running on ${folder}. Run \`npm start\` in another terminal; MILLRACE_DATA_DIR names another folder.`,
    );
  }
  const { demo } = await loadBuilt('tools/demo/main.js');
  return demo({ root, dataFolder: folder, env: process.env });
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`\n${error.message}\n`);
  process.exitCode = 1;
}
