import { chmodSync, mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { cacheFolder } from '../../../tools/servers/cache-folder';
import { findOnPath } from '../../../tools/servers/command';
import { ensureCluster, removeDataFolder } from '../../../tools/servers/postgres-cluster';
import type { ProgramSearch } from '../../../tools/servers/package-manager';
import { canEnter } from '../../../tools/servers/postgres-owner';
import { findRedis } from '../../../tools/servers/redis-binary';
import { findChromium } from '../../../tools/test-servers/chromium';

const asRoot = process.getuid?.() === 0 ? it : it.skip;
const nobody = { uid: 65_534, gid: 65_534 };

describe('places', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'millrace-places-'));
    chmodSync(folder, 0o755);
  });

  afterEach(() => {
    removeDataFolder(folder);
  });

  asRoot('below a home of mode 0700 are closed to the user PostgreSQL runs as', async () => {
    const inner = path.join(folder, 'home/inner');
    mkdirSync(inner, { recursive: true });
    chmodSync(path.join(folder, 'home'), 0o711);
    expect(await canEnter(inner, nobody)).toBe(true);
    chmodSync(path.join(folder, 'home'), 0o700);
    expect(await canEnter(inner, nobody)).toBe(false);
    expect(await canEnter(inner, null)).toBe(true);
  });

  it('of a cluster that is gone are an error, not a reason to begin with an empty one', async () => {
    mkdirSync(path.join(folder, 'elsewhere'));
    symlinkSync(path.join(folder, 'elsewhere/gone'), path.join(folder, 'postgres'));
    const request = { dataFolder: folder, binaries: '/nowhere', owner: null, password: 'secret' };
    await expect(ensureCluster(request)).rejects.toThrow('that is gone');
  });

  it('for the cache follow XDG_CACHE_HOME, then the home folder', () => {
    expect(cacheFolder({ XDG_CACHE_HOME: folder, HOME: '/elsewhere' })).toBe(path.join(folder, 'millrace'));
    expect(cacheFolder({ HOME: folder })).toBe(path.join(folder, '.cache/millrace'));
    writeFileSync(path.join(folder, 'file'), '');
    const homeless = { HOME: path.join(folder, 'file'), TMPDIR: folder };
    expect(path.dirname(cacheFolder(homeless))).toBe(folder);
  });

  it('on PATH count only when they can be run', () => {
    writeFileSync(path.join(folder, 'tool'), '');
    mkdirSync(path.join(folder, 'directory'));
    expect(findOnPath('tool', folder)).toBeNull();
    expect(findOnPath('directory', folder)).toBeNull();
    chmodSync(path.join(folder, 'tool'), 0o755);
    expect(findOnPath('tool', `/nowhere:${folder}`)).toBe(path.join(folder, 'tool'));
  });

  const script = (name: string, text: string): void => {
    writeFileSync(path.join(folder, name), `#!/bin/sh\n${text}\n`);
    chmodSync(path.join(folder, name), 0o755);
  };
  const search = (isRoot: boolean, progress: string[] = []): ProgramSearch => ({
    env: { PATH: folder },
    isRoot,
    onProgress: (text) => progress.push(text),
  });

  describe('without Redis', () => {
    it('a user who may not install is told what to install', async () => {
      script('apt-get', 'exit 1');
      await expect(findRedis(search(false))).rejects.toThrow(
        /^Redis is missing: run `.*apt-get install redis-server`/,
      );
    });

    it('a machine without a known package manager is told what is missing', async () => {
      await expect(findRedis(search(true))).rejects.toThrow(
        /^Redis is missing: install redis-server or valkey-server/,
      );
    });

    it('root gets it from the package manager, whose lists are refreshed first', async () => {
      const server = path.join(folder, 'redis-server');
      const made = `printf '#!/bin/sh\\necho Redis server v=7.0.15' > ${server}; /bin/chmod 755 ${server}`;
      script('apt-get', `[ "$1" = update ] || { ${made}; }`);
      const progress: string[] = [];
      expect(await findRedis(search(true, progress))).toEqual({ command: server, argv0: 'redis-server' });
      expect(progress[0]).toBe('apt-get update');
      expect(progress).toHaveLength(2);
    });
  });

  describe('of a browser', () => {
    it('begin with the one that is named, which has to run', async () => {
      script('chromium', 'exit 0');
      script('mine', 'exit 0');
      const mine = path.join(folder, 'mine');
      const named = (file: string): ProgramSearch => ({
        ...search(false),
        env: { PATH: folder, MILLRACE_CHROMIUM: file },
      });
      expect(await findChromium(search(false))).toBe(path.join(folder, 'chromium'));
      expect(await findChromium(named(mine))).toBe(mine);
      await expect(findChromium(named(`${mine}-not`))).rejects.toThrow(`${mine}-not, which does not run`);
    });

    it('without one, are made by root: a script that only says where to get it is none', async () => {
      const browser = path.join(folder, 'chromium');
      script('chromium-browser', 'exit 1');
      const made = `printf '#!/bin/sh\\nexit 0' > ${browser}; /bin/chmod 755 ${browser}`;
      script('apt-get', `[ "$1" = update ] || { ${made}; }`);
      await expect(findChromium(search(false))).rejects.toThrow(
        /^Chromium is missing: run `.*apt-get install chromium`/,
      );
      expect(await findChromium(search(true))).toBe(browser);
    });
  });
});
