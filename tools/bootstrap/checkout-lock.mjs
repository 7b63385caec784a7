import { createHash } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { root } from './checkout.mjs';

const checkoutId = createHash('sha256').update(root).digest('hex').slice(0, 16);
const lockFile = path.join(os.tmpdir(), `millrace-checkout-${checkoutId}.lock`);

/**
 * Runs `work` while no other process installs into or builds this checkout. Several copies may be started from one
 * checkout at the same time, and `npm ci` would pull node_modules away from under the other.
 * The lock lies outside the checkout, because `npm ci` empties node_modules and a checkout may be read-only.
 */
export async function withCheckoutLock(work) {
  while (!tryLock()) await delay(200);
  try {
    return await work();
  } finally {
    rmSync(lockFile, { force: true });
  }
}

function tryLock() {
  try {
    writeFileSync(lockFile, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
  if (!holderLives()) rmSync(lockFile, { force: true });
  return false;
}

function holderLives() {
  try {
    const pid = Number(readFileSync(lockFile, 'utf8'));
    // An empty file is one that is being written at this moment.
    if (pid === 0) return true;
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
