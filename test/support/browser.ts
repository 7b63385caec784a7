/** A real browser. */
import { type Browser, launch } from 'puppeteer-core';
import { findChromium } from '../../tools/test-servers/chromium';

/** As root there is no sandbox; and it is to ask nobody but the page's server for anything. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
];

/** With a profile of its own, which goes with it. Where there is none, the package manager is asked for it: that takes minutes. */
export async function launchBrowser(): Promise<Browser> {
  const executablePath = await findChromium({
    env: process.env,
    isRoot: process.getuid?.() === 0,
    onProgress: (text) => process.stderr.write(`browser: ${text}\n`),
  });
  // By a pipe: it ends with whoever started it, however that ends.
  return launch({ executablePath, pipe: true, args: FLAGS, timeout: 120_000 });
}
