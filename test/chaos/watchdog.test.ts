import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { until } from '../support/wait';

const WORKERS = path.resolve(__dirname, '../../dist/src/workers');
const LIMIT_MS = 500;

/** A process with a watchdog that runs `code`. */
function watched(code: string): {
  process: ChildProcess;
  out(): string;
  ended: Promise<string | number | null>;
} {
  const start = `const { startWatchdog } = require(${JSON.stringify(path.join(WORKERS, 'watchdog.js'))});
    startWatchdog({
      limitMs: ${LIMIT_MS},
      threadFile: ${JSON.stringify(path.join(WORKERS, 'watchdog-thread.js'))},
      onError: (error) => { throw error; },
    });`;
  const child = spawn(process.execPath, ['-e', start + code], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (out += String(chunk)));
  const ended = new Promise<string | number | null>((resolve) =>
    child.once('close', (exitCode, signal) => resolve(signal ?? exitCode)),
  );
  return { process: child, out: () => out, ended };
}

describe('watchdog', () => {
  test('a process whose event loop stands still is killed and says so', async () => {
    const child = watched('setTimeout(() => { while (true); }, 100);');
    expect(await child.ended).toBe('SIGKILL');
    expect(JSON.parse(child.out())).toMatchObject({
      level: 'fatal',
      pid: child.process.pid,
      message: `the event loop stood still for ${LIMIT_MS} ms: the worker ends itself`,
    });
  });

  test('a process that was stopped for much longer than the limit goes on', async () => {
    const child = watched(`setInterval(() => process.stdout.write('.'), 20);`);
    await until('a sign of life', () => child.out().length > 10);
    for (let round = 0; round < 3; round++) {
      child.process.kill('SIGSTOP');
      const stoppedAt = performance.now();
      await until('the limit to pass', () => performance.now() - stoppedAt > 3 * LIMIT_MS);
      const before = child.out().length;
      child.process.kill('SIGCONT');
      await until('signs of life for longer than the limit', () => child.out().length > before + 50);
    }
    expect(child.process.signalCode).toBeNull();
    child.process.kill('SIGTERM');
    expect(await child.ended).toBe('SIGTERM');
  });

  test('a process that has nothing more to do ends', async () => {
    const child = watched('');
    expect(await child.ended).toBe(0);
    expect(child.out()).toBe('');
  });
});
