import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { isAlive } from '../../tools/process/identity';
import { removeDataFolder } from '../../tools/servers/postgres-cluster';
import { canEnter } from '../../tools/servers/postgres-owner';
import { testServers } from '../support/servers';
import {
  type Launched,
  checkout,
  eventually,
  isListening,
  killRecorded,
  launchMillrace,
  listenersOf,
  recordedChildren,
} from '../support/start';

const isRoot = process.getuid?.() === 0;
const asRoot = isRoot ? it : it.skip;
/** `nobody`, who owns nothing. */
const nobody = { uid: 65_534, gid: 65_534 };

describe('npm start, as different users', () => {
  const folders: string[] = [];
  const copies: Launched[] = [];

  afterEach(async () => {
    for (const copy of copies.splice(0)) {
      copy.process.kill('SIGKILL');
      await copy.ended;
      killRecorded(copy.dataFolder);
      removeDataFolder(copy.dataFolder);
    }
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
  });

  function temporaryFolder(mode: number): string {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'millrace-users-'));
    chmodSync(folder, mode);
    folders.push(folder);
    return folder;
  }

  function launch(options: Parameters<typeof launchMillrace>[0]): Launched {
    const copy = launchMillrace(options);
    copies.push(copy);
    return copy;
  }

  /** The checkout as it is, by links where the file system allows. */
  function copyCheckout(to: string): void {
    mkdirSync(to);
    const parts = ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json'];
    const sources = [...parts, 'src', 'tools', 'bench', 'dist', 'node_modules'].map((part) =>
      path.join(checkout, part),
    );
    for (const flags of ['-al', '-a']) {
      if (spawnSync('cp', [flags, ...sources, to]).status === 0) return;
    }
    throw new Error(`the checkout can't be copied to ${to}`);
  }

  asRoot(
    'two copies run side by side, one wholly below a home of mode 0700, and end with their npm',
    async () => {
      const home = temporaryFolder(0o700);
      const root = path.join(home, 'millrace');
      copyCheckout(root);
      const hidden = launch({ root, dataFolder: path.join(root, '.millrace'), command: ['npm', 'start'] });
      const open = launch({ dataFolder: path.join(temporaryFolder(0o755), 'data') });
      const facts = [await hidden.ready(), await open.ready()];
      const answers = await Promise.all(facts.map(({ api_url }) => fetch(`${api_url}/readyz`)));
      expect(answers.map(({ status }) => status)).toEqual([200, 200]);
      expect(new Set(facts.flatMap(listenersOf)).size).toBe(10);
      // Where PostgreSQL's user can't go, the data folder has a link.
      expect(lstatSync(path.join(hidden.dataFolder, 'postgres')).isSymbolicLink()).toBe(true);
      expect(lstatSync(path.join(open.dataFolder, 'postgres')).isSymbolicLink()).toBe(false);

      // npm can't pass a kill -9 on; the launcher has to see by itself that it is gone.
      const children = [...recordedChildren(hidden.dataFolder).values()];
      hidden.process.kill('SIGKILL');
      await eventually('the children of the killed npm are gone', () => !children.some(isAlive));
      const listening = await Promise.all(facts.map((one) => isListening(new URL(one.api_url).host)));
      expect(listening).toEqual([false, true]);
    },
  );

  asRoot('a normal user starts it in a checkout that is not theirs', async () => {
    const home = temporaryFolder(0o755);
    const root = (await canEnter(checkout, nobody)) ? checkout : path.join(home, 'checkout');
    if (root !== checkout) copyCheckout(root);
    const own = path.join(home, 'own');
    mkdirSync(path.join(own, 'bin'), { recursive: true });
    chownSync(own, nobody.uid, nobody.gid);
    for (const [program, name] of [
      [testServers().temporalBinary, 'temporal'],
      [process.execPath, 'node'],
    ] as const) {
      linkOrCopy(program, path.join(own, 'bin', name));
    }
    const dataFolder = path.join(own, 'data');
    const copy = launch({
      root,
      dataFolder,
      owner: nobody,
      command: [path.join(own, 'bin/node'), 'tools/start.mjs'],
      env: {
        HOME: own,
        XDG_CACHE_HOME: path.join(own, 'cache'),
        PATH: `${own}/bin${path.delimiter}${process.env.PATH}`,
      },
    });
    const facts = await copy.ready();
    expect((await fetch(`${facts.api_url}/readyz`)).status).toBe(200);
    for (const { pid } of recordedChildren(dataFolder).values()) {
      expect(statSync(`/proc/${pid}`).uid).toBe(nobody.uid);
    }
    copy.process.kill('SIGTERM');
    expect(await copy.ended).toBe(0);
  });

  function linkOrCopy(from: string, to: string): void {
    try {
      linkSync(from, to);
    } catch {
      copyFileSync(from, to);
    }
    chmodSync(to, 0o755);
  }
});
