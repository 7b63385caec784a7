import { type ChildProcess, spawn } from 'node:child_process';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { lastLines } from '../../../tools/process/failure';
import { identify, isAlive } from '../../../tools/process/identity';
import { readJson, writeJson } from '../../../tools/process/json-file';
import { openLog } from '../../../tools/process/log-file';
import { endOrphan } from '../../../tools/process/stop';

describe('the identity of a process', () => {
  let child: ChildProcess;

  beforeEach(() => {
    child = spawn('sleep', ['60']);
  });

  afterEach(() => {
    child.kill('SIGKILL');
  });

  it('holds while it lives and ends with it', async () => {
    const identity = identify(child.pid ?? 0);
    expect(identity).toMatchObject({ pid: child.pid, program: 'sleep' });
    expect(identity && isAlive(identity)).toBe(true);
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    expect(identity && isAlive(identity)).toBe(false);
  });

  it('is none for a process that has ended but is not reaped yet', async () => {
    // The shell's child ends when it is told to, after the shell has become `sleep`, which never asks for it.
    const script = 'exec 3<&0; sh -c "read line <&3" & echo $!; exec sleep 60';
    const parent = spawn('sh', ['-c', script], { stdio: ['pipe', 'pipe', 'ignore'] });
    const pid = await new Promise<number>((resolve) => {
      parent.stdout.once('data', (chunk: Buffer) => {
        resolve(Number(chunk.toString()));
      });
    });
    while (identify(parent.pid ?? 0)?.program !== 'sleep') await new Promise(setImmediate);
    expect(identify(pid)).not.toBeNull();
    parent.stdin.end('\n');
    while (identify(pid)) await new Promise(setImmediate);
    expect(() => process.kill(pid, 0)).not.toThrow();
    parent.kill('SIGKILL');
  });

  it('keeps an orphan from being ended whose pid has gone to another program', async () => {
    const identity = identify(child.pid ?? 0);
    if (!identity) throw new Error('no sleep');
    const manner = { signal: 'SIGTERM', graceMs: 2_000 } as const;
    expect(await endOrphan({ ...identity, program: 'postgres' }, manner)).toBe(true);
    expect(await endOrphan({ ...identity, startedAt: 'an earlier boot/1' }, manner)).toBe(true);
    expect(isAlive(identity)).toBe(true);
    expect(await endOrphan(identity, manner)).toBe(true);
    expect(isAlive(identity)).toBe(false);
  });

  it('lets an orphan that will not end gracefully be killed', async () => {
    const stubborn = spawn('sh', ['-c', 'trap "" TERM; echo; while :; do sleep 1; done'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await new Promise((resolve) => stubborn.stdout.once('data', resolve));
    const identity = identify(stubborn.pid ?? 0);
    if (!identity) throw new Error('no shell');
    expect(await endOrphan(identity, { signal: 'SIGTERM', graceMs: 100 })).toBe(true);
    expect(isAlive(identity)).toBe(false);
  });
});

describe('files of a run', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'millrace-files-'));
  });

  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  it('of JSON are readable for their user alone, and null when damaged', () => {
    const file = path.join(folder, 'facts.json');
    writeFileSync(file, '{', { mode: 0o644 });
    expect(readJson(file)).toBeNull();
    writeJson(file, { a: 1 });
    expect(readJson(file)).toEqual({ a: 1 });
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it('of logs go on where they were, and begin anew when large', () => {
    const file = path.join(folder, 'logs/api.log');
    appendFileSync(openLog(file), 'first\n');
    appendFileSync(openLog(file), 'second\n');
    expect(readFileSync(file, 'utf8')).toBe('first\nsecond\n');
    writeFileSync(file, 'x'.repeat(3 * 1024 * 1024));
    appendFileSync(openLog(file), 'third\n');
    expect(readFileSync(file, 'utf8')).toBe('third\n');
    expect(statSync(`${file}.1`).size).toBe(3 * 1024 * 1024);
  });

  it('of logs show their last lines, however large they are', () => {
    const file = path.join(folder, 'large.log');
    writeFileSync(file, `${'x'.repeat(1024 * 1024)}\none\ntwo\nthree\n`);
    expect(lastLines(file, 2)).toBe('two\nthree');
    expect(lastLines(path.join(folder, 'missing.log'), 2)).toBe('');
  });
});
