import { root } from './bootstrap/checkout.mjs';
import { loadBuilt } from './bootstrap/load-built.mjs';

/** `npm run bench -- <name>`: measures a copy of Millrace with servers of its own, beside its peers. */
async function main() {
  const { bench } = await loadBuilt('bench/main.js');
  return bench({ root, args: process.argv.slice(2), env: process.env });
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`\n${error.message}\n`);
  process.exitCode = 1;
}
