import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { root } from './bootstrap/checkout.mjs';

const workflows = path.join(root, 'dist/src/workflows/index.js');
const bundle = path.join(root, 'dist/workflow-bundle.js');
const stamp = path.join(root, 'dist/.workflow-bundle-hash');

/** Everything workflow code may import lies in these folders (a dependency rule), so nothing else can change it. */
function hashOfSources() {
  const hash = createHash('sha256').update(readFileSync(path.join(root, 'package-lock.json')));
  for (const folder of ['dist/src/workflows', 'dist/src/domain']) {
    const files = readdirSync(path.join(root, folder), { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith('.js'))
      .map((entry) => path.join(entry.parentPath, entry.name))
      .sort();
    for (const file of files) hash.update(path.relative(root, file)).update('\0').update(readFileSync(file));
  }
  return hash.digest('hex');
}

const hash = hashOfSources();
const current = existsSync(bundle) && existsSync(stamp) && readFileSync(stamp, 'utf8') === hash;
if (!current) {
  // Loading the bundler takes a second; a build that changed no workflow is spared it.
  const { bundleWorkflowCode, DefaultLogger } = createRequire(import.meta.url)('@temporalio/worker');
  const logger = new DefaultLogger('WARN', ({ message }) => process.stderr.write(`${message}\n`));
  const { code } = await bundleWorkflowCode({ workflowsPath: workflows, logger });
  // Renamed into place, because a worker that is starting may be reading the old one.
  writeFileSync(`${bundle}.new`, code);
  renameSync(`${bundle}.new`, bundle);
  writeFileSync(stamp, hash);
}
