import { root } from './bootstrap/checkout.mjs';
import { loadBuilt } from './bootstrap/load-built.mjs';

/** `npm start`: gets the tree ready with what Node alone brings, then hands over to the compiled launcher. */
async function main() {
  const { start } = await loadBuilt('tools/start/main.js');
  return start(root, process.env);
}

try {
  process.exit(await main());
} catch (error) {
  process.stderr.write(`\n${error.message}\n`);
  process.exit(1);
}
