import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type ProcessIdentity, identify, isAlive } from '../../tools/process/identity';
import { removeDataFolder } from '../../tools/servers/postgres-cluster';
import type { DevFacts } from '../../tools/start/dev-json';
import type { JobBody } from '../support/job-client';
import {
  type Launched,
  devFacts,
  eventually,
  isListening,
  killRecorded,
  launchMillrace,
  listenersOf,
  recordedChildren,
} from '../support/start';
import { until } from '../support/wait';

const env = { MILLRACE_HANDLERS_DIR: path.join(__dirname, '../support/handlers') };
const roles = ['api', 'postgres', 'redis', 'temporal', 'worker'];

/** One data folder through its life, each part beginning where the one before ended: a start takes seconds. */
describe('npm start, over the life of a data folder', () => {
  let dataFolder: string;
  let bystander: ChildProcess;
  let first: Launched;
  let facts: DevFacts;
  let children: Map<string, ProcessIdentity>;

  beforeAll(async () => {
    dataFolder = mkdtempSync(path.join(os.tmpdir(), 'millrace-start-'));
    bystander = spawn('sleep', ['600']);
    leaveStaleRecords();
    first = launchMillrace({ dataFolder, env });
    facts = await first.ready();
    children = recordedChildren(dataFolder);
  });

  afterAll(() => {
    bystander.kill('SIGKILL');
    killRecorded(dataFolder);
    removeDataFolder(dataFolder);
  });

  async function api<T>(method: string, route: string, body?: object): Promise<T> {
    const response = await fetch(facts.api_url + route, {
      method,
      headers: { authorization: `Bearer ${facts.admin_key}`, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${route}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  /** As a run leaves them that was killed, and whose pids other programs have got since. */
  function leaveStaleRecords(): void {
    const notThatAnyMore = { pid: bystander.pid, startedAt: 'long ago', program: 'node' };
    mkdirSync(dataFolder, { recursive: true });
    const lock = { holder: notThatAnyMore, leaders: [], address: 'http://127.0.0.1:1', stopping: false };
    writeFileSync(path.join(dataFolder, 'lock.json'), JSON.stringify(lock));
    const run = { version: 1, children: { worker: notThatAnyMore, redis: notThatAnyMore } };
    writeFileSync(path.join(dataFolder, 'run.json'), JSON.stringify(run));
  }

  it('takes over a lock whose pid belongs to another program now, and leaves that program alone', () => {
    expect(bystander.exitCode).toBeNull();
    expect(bystander.signalCode).toBeNull();
    expect(children.get('worker')?.pid).not.toBe(bystander.pid);
  });

  it('writes the facts for tools to dev.json, readable for its user alone', async () => {
    expect(facts).toEqual({
      api_url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
      admin_key: expect.stringMatching(/^mrk_[0-9A-Za-z]{36}$/),
      temporal_address: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      temporal_ui_url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
      database_url: expect.stringMatching(/^postgres:\/\/.+@127\.0\.0\.1:\d+\/millrace$/),
      redis_url: expect.stringMatching(/^redis:\/\/.+@127\.0\.0\.1:\d+$/),
      pids: Object.fromEntries(roles.map((role) => [role, children.get(role)?.pid])),
    });
    expect(statSync(path.join(dataFolder, 'dev.json')).mode & 0o777).toBe(0o600);
    const me = await fetch(`${facts.api_url}/v1/me`, {
      headers: { authorization: `Bearer ${facts.admin_key}` },
    });
    expect(me.status).toBe(200);
  });

  it('prints the addresses and, this first time, the admin key', () => {
    expect(first.output()).toContain(facts.api_url);
    expect(first.output()).toContain(facts.temporal_ui_url);
    expect(first.output()).toContain(facts.admin_key);
  });

  it('refuses a second start with the same data folder, naming the pid and the address of the first', async () => {
    const second = launchMillrace({ dataFolder, env });
    expect(await second.ended).toBe(1);
    expect(second.output()).toContain(`pid ${first.process.pid}`);
    expect(second.output()).toContain(facts.api_url);
    expect(devFacts(dataFolder)).toEqual(facts);
  });

  it('restarts a worker that dies, and says so in dev.json', async () => {
    process.kill(facts.pids.worker ?? 0, 'SIGKILL');
    await eventually('another worker in dev.json', () => {
      const pid = devFacts(dataFolder)?.pids.worker;
      return typeof pid === 'number' && pid !== facts.pids.worker && identify(pid) !== null;
    });
    facts = { ...facts, pids: devFacts(dataFolder)?.pids ?? facts.pids };
  });

  it('starts again after kill -9 of the launcher alone, with one of each process and the same key', async () => {
    const orphans = [...recordedChildren(dataFolder).values()];
    first.process.kill('SIGKILL');
    await first.ended;
    expect(orphans.filter(isAlive)).toHaveLength(roles.length);
    first = launchMillrace({ dataFolder, env });
    const again = await first.ready();
    expect(orphans.filter(isAlive)).toEqual([]);
    expect(again.admin_key).toBe(facts.admin_key);
    expect(first.output()).not.toContain(facts.admin_key);
    facts = again;
  });

  it('starts again after kill -9 of everything, and the job that was running goes on to its end', async () => {
    const items = Array.from({ length: 2_000 }, (_, n) => ({ n, ms: 100 }));
    const { id } = await api<JobBody>('POST', '/v1/jobs', { handler: 'tick', items });
    const job = (): Promise<JobBody> => api('GET', `/v1/jobs/${id}`);
    await until('results', async () => (await job()).counts.succeeded > 100);
    first.process.kill('SIGKILL');
    killRecorded(dataFolder);
    await first.ended;
    first = launchMillrace({ dataFolder, env });
    facts = await first.ready();
    expect((await job()).status).toBe('running');
    const ended = await until('the end', async () => {
      const now = await job();
      return now.status === 'completed' && now;
    });
    expect(ended.counts).toMatchObject({ total: 2_000, succeeded: 2_000 });
  });

  it('leaves no child and no listener after SIGINT, and ends with 0', async () => {
    const last = [...recordedChildren(dataFolder).values()];
    first.process.kill('SIGINT');
    expect(await first.ended).toBe(0);
    expect(last.filter(isAlive)).toEqual([]);
    const listening = await Promise.all(listenersOf(facts).map(isListening));
    expect(listening).toEqual(listening.map(() => false));
    expect(devFacts(dataFolder)).toBeNull();
  });
});
