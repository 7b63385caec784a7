import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type ProcessIdentity, identify } from '../../../tools/process/identity';
import { takeLock } from '../../../tools/start/lock';

describe('the lock of a data folder', () => {
  let folder: string;
  let other: ChildProcess;

  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'millrace-lock-'));
    other = spawn('sleep', ['60']);
  });

  afterEach(() => {
    other.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  });

  const quiet = (): void => undefined;
  const identityOf = (pid: number | undefined): ProcessIdentity => {
    const identity = identify(pid ?? 0);
    if (!identity) throw new Error(`no process ${pid}`);
    return identity;
  };

  function leaveLock(record: {
    holder: ProcessIdentity;
    leaders?: ProcessIdentity[];
    stopping?: boolean;
  }): void {
    const whole = { leaders: [], stopping: false, address: 'http://127.0.0.1:4321', ...record };
    writeFileSync(path.join(folder, 'lock.json'), JSON.stringify(whole));
  }

  it('is refused while another process holds it, with its pid and address', async () => {
    leaveLock({ holder: identityOf(other.pid) });
    await expect(takeLock(folder, [], quiet)).rejects.toThrow(
      new RegExp(`already runs.*${folder}: pid ${other.pid} at http://127.0.0.1:4321`),
    );
  });

  it('is taken over when its pid belongs to another program now', async () => {
    leaveLock({ holder: { ...identityOf(other.pid), program: 'node' } });
    await takeLock(folder, [], quiet);
    expect(holderPid()).toBe(process.pid);
  });

  it('is taken over when its pid belongs to a later process of the same program', async () => {
    leaveLock({ holder: { ...identityOf(other.pid), startedAt: 'an earlier boot/1' } });
    await takeLock(folder, [], quiet);
    expect(holderPid()).toBe(process.pid);
  });

  it('is taken over when the file is damaged', async () => {
    writeFileSync(path.join(folder, 'lock.json'), '{"holder":');
    await takeLock(folder, [], quiet);
    expect(holderPid()).toBe(process.pid);
  });

  it('is waited for while its holder is stopping', async () => {
    leaveLock({ holder: identityOf(other.pid), stopping: true });
    await takeLock(folder, [], () => other.kill('SIGKILL'));
    expect(holderPid()).toBe(process.pid);
  });

  it('is waited for when the npm in front of its holder is gone, for the holder is about to stop', async () => {
    const npm = { pid: process.pid, startedAt: 'long ago', program: 'npm' };
    leaveLock({ holder: identityOf(other.pid), leaders: [npm] });
    await takeLock(folder, [], () => other.kill('SIGKILL'));
    expect(holderPid()).toBe(process.pid);
  });

  it('goes to exactly one of several that find a stale one', async () => {
    leaveLock({ holder: { ...identityOf(other.pid), program: 'node' } });
    const takers = Array.from({ length: 6 }, () => spawnTaker(folder));
    // Each lives on until all have tried, as a start does.
    const outcomes = await Promise.all(takers.map(({ outcome }) => outcome));
    for (const { child } of takers) child.kill('SIGKILL');
    expect(outcomes.filter((outcome) => outcome === 'taken')).toHaveLength(1);
  });

  it('leaves nothing behind when released', async () => {
    const lock = await takeLock(folder, [], quiet);
    lock.setAddress('http://127.0.0.1:1');
    lock.release();
    expect(readdirSync(folder)).toEqual([]);
  });

  function holderPid(): number {
    const { holder } = JSON.parse(readFileSync(path.join(folder, 'lock.json'), 'utf8')) as {
      holder: ProcessIdentity;
    };
    return holder.pid;
  }
});

/** Takes the lock in a process of its own. */
function spawnTaker(folder: string): { child: ChildProcess; outcome: Promise<string> } {
  const source = path.resolve(__dirname, '../../../tools');
  const script = taker(require.resolve('@swc/core'), source, folder);
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const outcome = new Promise<string>((resolve) => {
    child.stdout.once('data', (chunk: Buffer) => {
      resolve(chunk.toString('utf8').trim());
    });
    child.once('close', () => {
      resolve('no answer');
    });
  });
  return { child, outcome };
}

function taker(swc: string, source: string, folder: string): string {
  return `
    const { transformSync } = require(${JSON.stringify(swc)});
    const options = { jsc: { target: 'es2022', parser: { syntax: 'typescript' } }, module: { type: 'commonjs' } };
    require.extensions['.ts'] = (module, file) =>
      module._compile(transformSync(require('node:fs').readFileSync(file, 'utf8'), options).code, file);
    const { takeLock } = require(${JSON.stringify(path.join(source, 'start/lock.ts'))});
    takeLock(${JSON.stringify(folder)}, [], () => undefined).then(
      () => { console.log('taken'); setInterval(() => undefined, 1000); },
      () => console.log('refused'),
    );`;
}
