import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { launch } from '../../../tools/process/child';
import { identify } from '../../../tools/process/identity';
import { becomesTrue } from '../../../tools/process/wait';
import type { Server } from '../../../tools/servers/server';
import { type StateFile, openStateFile } from '../../../tools/start/state-file';
import { type Supervisor, createSupervisor } from '../../../tools/start/supervisor';

const never = new AbortController().signal;
const backOff = { firstMs: 20, maxMs: 80, provenMs: 60_000 };

describe('the supervisor', () => {
  let folder: string;
  let state: StateFile;
  let supervisor: Supervisor;
  let notes: string[];
  let replaced: number;

  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'millrace-supervisor-'));
    state = openStateFile(folder);
    notes = [];
    replaced = 0;
    supervisor = createSupervisor({
      state,
      notify: (line) => notes.push(line),
      onReplaced: () => {
        replaced += 1;
      },
      backOff,
    });
  });

  afterEach(async () => {
    await supervisor.stopAll(AbortSignal.abort());
    rmSync(folder, { recursive: true });
  });

  /** A program of a shell; `ready` decides by the number of the launch, from 1. */
  function server(script: string, ready: (launches: number) => boolean = () => true): Server {
    let launches = 0;
    return {
      name: 'Program',
      stop: { signal: 'SIGTERM', graceMs: 5_000 },
      launch: (record) => {
        launches += 1;
        const logFile = path.join(folder, 'program.log');
        return launch({ name: 'Program', command: 'sh', args: ['-c', script], logFile }, record);
      },
      ready: async () => {
        if (!ready(launches)) throw new Error(`launch ${launches} is a bad one`);
      },
    };
  }

  it('records a child before it is ready, so that a kill in between leaves no unknown orphan', async () => {
    let recordedWhileStarting: unknown;
    const watched = server('sleep 60; true', () => {
      recordedWhileStarting = openStateFile(folder).leftovers.get('worker');
      return true;
    });
    await supervisor.start('worker', watched);
    expect(recordedWhileStarting).toEqual(identify(supervisor.pidOf('worker') ?? 0));
  });

  it('records what a wrapper has become, or the next run would not know it again', async () => {
    const program = (): string | undefined => identify(supervisor.pidOf('worker') ?? 0)?.program;
    const wrapper = {
      ...server('exec sleep 60'),
      ready: async () => void (await becomesTrue(5_000, () => program() === 'sleep')),
    };
    await supervisor.start('worker', wrapper);
    expect(openStateFile(folder).leftovers.get('worker')?.program).toBe('sleep');
  });

  it('lets nothing that a child started outlive it', async () => {
    const file = path.join(folder, 'grandchild');
    await supervisor.start('worker', server(`sleep 60 & echo $! > ${file}; wait`));
    expect(await becomesTrue(5_000, () => readFileSync(file, 'utf8').endsWith('\n'))).toBe(true);
    const grandchild = Number(readFileSync(file, 'utf8'));
    expect(identify(grandchild)).not.toBeNull();
    process.kill(supervisor.pidOf('worker') ?? 0, 'SIGKILL');
    expect(await becomesTrue(5_000, () => identify(grandchild) === null)).toBe(true);
  });

  it('puts another in place of a child that dies', async () => {
    await supervisor.start('worker', server('exec sleep 60'));
    const before = supervisor.pidOf('worker') ?? 0;
    process.kill(before, 'SIGKILL');
    expect(await becomesTrue(10_000, () => replaced === 1)).toBe(true);
    expect(supervisor.pidOf('worker')).not.toBe(before);
    expect(openStateFile(folder).leftovers.get('worker')?.pid).toBe(supervisor.pidOf('worker'));
    expect(notes[0]).toContain('SIGKILL');
  });

  it('waits longer after each failure, up to a limit', async () => {
    await supervisor.start(
      'worker',
      server('exec sleep 60', (launches) => launches === 1 || launches > 5),
    );
    process.kill(supervisor.pidOf('worker') ?? 0, 'SIGKILL');
    expect(await becomesTrue(10_000, () => replaced === 1)).toBe(true);
    expect(notes.filter((line) => line.includes('is a bad one'))).toHaveLength(4);
    expect(notes.at(-1)).toContain(`after ${backOff.maxMs / 1000} s`);
  });

  it('rejects a first start that fails, and leaves no child of it', async () => {
    await expect(
      supervisor.start(
        'worker',
        server('exec sleep 60', () => false),
      ),
    ).rejects.toThrow('a bad one');
    expect(identify(supervisor.pidOf('worker') ?? 0)).toBeNull();
  });

  it('stops children and starts none after that', async () => {
    await supervisor.start('worker', server('exec sleep 60'));
    const pid = supervisor.pidOf('worker') ?? 0;
    await supervisor.stopAll(never);
    expect(identify(pid)).toBeNull();
    expect(openStateFile(folder).leftovers.size).toBe(0);
    await expect(supervisor.start('worker', server('exec sleep 60'))).rejects.toThrow();
  });

  it('kills one that ignores the signal when hurried', async () => {
    const stubborn = server('trap "" TERM; while :; do sleep 1; done');
    await supervisor.start('worker', { ...stubborn, stop: { signal: 'SIGTERM', graceMs: 600_000 } });
    const pid = supervisor.pidOf('worker') ?? 0;
    const hurry = new AbortController();
    const stopped = supervisor.stopAll(hurry.signal);
    hurry.abort();
    await stopped;
    expect(identify(pid)).toBeNull();
  });

  it('ends a restart that is under way', async () => {
    await supervisor.start(
      'worker',
      server('exec sleep 60', (launches) => launches === 1),
    );
    process.kill(supervisor.pidOf('worker') ?? 0, 'SIGKILL');
    expect(await becomesTrue(10_000, () => notes.length > 1)).toBe(true);
    await supervisor.stopAll(never);
    expect(identify(supervisor.pidOf('worker') ?? 0)).toBeNull();
  });
});
