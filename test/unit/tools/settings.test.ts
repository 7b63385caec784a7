import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { identify } from '../../../tools/process/identity';
import { findFreePort } from '../../../tools/servers/ports';
import { reachable, withoutPassword } from '../../../tools/start/addresses';
import { choosePorts } from '../../../tools/start/port-book';
import { databaseName, openSecrets } from '../../../tools/start/secrets';
import { type Settings, readSettings } from '../../../tools/start/settings';
import { openStateFile } from '../../../tools/start/state-file';

describe('what a start keeps in its data folder', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'millrace-settings-'));
  });

  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  const settings = (env: NodeJS.ProcessEnv): Settings =>
    readSettings('/checkout', { MILLRACE_DATA_DIR: folder, ...env });

  async function withListener<T>(work: (port: number) => Promise<T>): Promise<T> {
    const server = net.createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      return await work((server.address() as net.AddressInfo).port);
    } finally {
      server.close();
    }
  }

  it('the ports chosen once are chosen again', async () => {
    const first = await choosePorts(settings({}));
    expect(await choosePorts(settings({}))).toEqual(first);
    expect(new Set(Object.values(first.of)).size).toBe(5);
  });

  it('a port that was taken meanwhile gives way to a free one', async () => {
    const { of } = await choosePorts(settings({}));
    await withListener(async (taken) => {
      writeFileSync(path.join(folder, 'ports.json'), JSON.stringify({ ...of, postgres: taken }));
      const again = await choosePorts(settings({}));
      expect(again.of.postgres).not.toBe(taken);
      expect(again.of.redis).toBe(of.redis);
    });
  });

  it('a port given by a variable is an error when it is taken, which names the variable', async () => {
    await withListener(async (taken) => {
      await expect(choosePorts(settings({ PORT: String(taken) }))).rejects.toThrow(
        `Port ${taken} (PORT) is in use`,
      );
    });
    const free = await findFreePort();
    expect((await choosePorts(settings({ PORT: String(free) }))).of.api).toBe(free);
  });

  it.each(['http', '-1', '70000', '80.5'])('a port of %s is an error', (text) => {
    expect(() => settings({ MILLRACE_REDIS_PORT: text })).toThrow('MILLRACE_REDIS_PORT must be a port');
  });

  it('secrets are made once, and only for this user to read', () => {
    const first = openSecrets(folder);
    first.keepAdminKey('own', 'mrk_1');
    const second = openSecrets(folder);
    expect(second).toMatchObject({
      postgresPassword: first.postgresPassword,
      redisPassword: first.redisPassword,
      secretKeys: first.secretKeys,
    });
    expect(Buffer.from(first.secretKeys, 'base64')).toHaveLength(32);
    expect(second.adminKeyOf('own')).toBe('mrk_1');
    expect(statSync(path.join(folder, 'secrets.json')).mode & 0o777).toBe(0o600);
  });

  it('secrets that are damaged are not replaced, since data depends on them', () => {
    writeFileSync(path.join(folder, 'secrets.json'), '{"secret_keys":');
    expect(() => openSecrets(folder)).toThrow("can't be read");
  });

  it('the admin key of one database is not taken for that of another', () => {
    const names = [null, 'postgres://a:b@one/x', 'postgres://a:b@two/x', 'postgres://a:b@one/y'].map(
      databaseName,
    );
    expect(new Set(names).size).toBe(4);
    expect(databaseName('postgres://a:changed@one/x')).toBe(names[1]);
  });

  it('children are found again by the next run until they are forgotten', () => {
    const identity = identify(process.pid);
    if (!identity) throw new Error('no identity');
    const state = openStateFile(folder);
    state.record('api', identity);
    state.record('worker', identity);
    state.forget('worker');
    expect([...openStateFile(folder).leftovers]).toEqual([['api', identity]]);
  });

  it('a damaged or foreign run.json names no children', () => {
    for (const text of ['', '{"children":{"api":{"pid":"1"},"web":{"pid":1}}}', '[]']) {
      writeFileSync(path.join(folder, 'run.json'), text);
      expect(openStateFile(folder).leftovers.size).toBe(0);
    }
  });
});

describe('addresses', () => {
  it('for people hide the password', () => {
    expect(withoutPassword('postgres://user:secret@host:1/db')).toBe('postgres://user:***@host:1/db');
  });

  it('of a listener on all addresses are those of this machine', () => {
    expect(reachable('0.0.0.0', 3000)).toBe('http://127.0.0.1:3000');
    expect(reachable('::1', 3000)).toBe('http://[::1]:3000');
    expect(reachable('10.0.0.5', 3000)).toBe('http://10.0.0.5:3000');
  });
});
