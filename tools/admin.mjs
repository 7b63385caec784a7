import { dataFolder, root } from './bootstrap/checkout.mjs';
import { loadBuilt } from './bootstrap/load-built.mjs';

/** `npm run admin -- create-key`: commands of the operator, who needs no key. */
async function main() {
  const { admin } = await loadBuilt('tools/admin/main.js');
  return admin({ root, dataFolder: dataFolder(process.env), args: process.argv.slice(2), env: process.env });
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`\n${error.message}\n`);
  process.exitCode = 1;
}
