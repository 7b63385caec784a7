import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ensureBuilt } from './bootstrap/build.mjs';
import { runChecks } from './bootstrap/checks.mjs';
import { assertNodeVersion, root } from './bootstrap/checkout.mjs';
import { ensureInstalled } from './bootstrap/install.mjs';

/** Runs Jest and counts tests; a suite that could not run counts as one failed test, and so does a crash of Jest. */
async function runJest(args, folder) {
  const outputFile = path.join(folder, 'jest.json');
  const jest = path.join(root, 'node_modules/jest/bin/jest.js');
  const jestArgs = ['--json', `--outputFile=${outputFile}`, ...args];
  const code = await new Promise((resolve, reject) => {
    // --json sends its report to stdout as well; people read what goes to stderr.
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', jest, ...jestArgs], {
      cwd: root,
      stdio: ['inherit', 'ignore', 'inherit'],
      env: { ...process.env, NODE_ENV: 'test', MILLRACE_TEST_LONG: long ? '1' : '0' },
    });
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
    child.once('error', reject);
    child.once('exit', resolve);
  });
  if (!existsSync(outputFile)) return { passed: 0, failed: 1 };
  const report = JSON.parse(readFileSync(outputFile, 'utf8'));
  const failed = report.numFailedTests + report.numRuntimeErrorTestSuites;
  return { passed: report.numPassedTests, failed: failed === 0 && code !== 0 ? 1 : failed };
}

async function main(args) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'millrace-test-run-'));
  try {
    assertNodeVersion();
    await ensureInstalled(folder);
    await ensureBuilt(folder);
    const checks = args.length === 0 ? await runChecks() : { passed: 0, failed: 0 };
    const tests = await runJest(args, folder);
    const passed = checks.passed + tests.passed;
    // A run in which no test ran has shown nothing.
    const failed = checks.failed + tests.failed + (tests.passed + tests.failed === 0 ? 1 : 0);
    return { passed, failed };
  } catch (error) {
    process.stdout.write(`${error.message}\n`);
    return { passed: 0, failed: 1 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const long = process.argv.includes('--long');
const { passed, failed } = await main(process.argv.slice(2).filter((argument) => argument !== '--long'));
// Not process.exit: what was written to a pipe must get through first.
process.exitCode = failed === 0 ? 0 : 1;
process.stdout.write(`${passed} passed, ${failed} failed\n`);
