import { lstatSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './checkout.mjs';
import { withCheckoutLock } from './checkout-lock.mjs';
import { showStep } from './line.mjs';
import { npm, runLogged } from './run.mjs';

/** Installs with `npm ci` unless node_modules already holds what package-lock.json asks for. */
export async function ensureInstalled(logFolder) {
  if (isInstalled()) return;
  await withCheckoutLock(async () => {
    if (isInstalled()) return;
    assertOwnModules();
    const { command, args } = npm();
    // Building needs the dev dependencies, also where NODE_ENV=production would leave them out.
    const install = [...args, 'ci', '--include=dev', '--no-audit', '--no-fund'];
    await showStep('Install packages', () =>
      runLogged(command, install, path.join(logFolder, 'install.log')),
    );
  });
}

/** `npm ci` empties node_modules first, and through a link it would empty that of another checkout. */
function assertOwnModules() {
  const modules = path.join(root, 'node_modules');
  if (!lstatSync(modules, { throwIfNoEntry: false })?.isSymbolicLink()) return;
  throw new Error(
    `${modules} is a link, and what it leads to does not fit package-lock.json; remove the link`,
  );
}

/**
 * npm writes node_modules/.package-lock.json as the last act of an install, so comparing it with package-lock.json
 * by content tells a complete install from an interrupted or outdated one, whoever made it.
 */
function isInstalled() {
  const wanted = packagesOf('package-lock.json');
  const installed = packagesOf('node_modules/.package-lock.json');
  if (!wanted || !installed) return false;
  return Object.entries(wanted).every(([location, { version, optional, devOptional, link }]) => {
    if (location === '' || link) return true;
    const found = installed[location];
    return found ? found.version === version : Boolean(optional || devOptional);
  });
}

function packagesOf(file) {
  try {
    return JSON.parse(readFileSync(path.join(root, file), 'utf8')).packages;
  } catch {
    return undefined;
  }
}
