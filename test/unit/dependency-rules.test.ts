import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const root = path.resolve(__dirname, '../..');

/** A small house in which every import is allowed. */
const soundHouse: Record<string, string> = {
  'src/main.ts': `import { compose } from './compose';\ncompose();`,
  'src/compose.ts': `import { createApp } from './api/app';
    import { createActivities } from './activities/batch/process';
    import { createStore } from './platform/postgres/store';
    import { createWorker } from './workers/worker';
    export const compose = (): unknown => [createApp(createStore()), createActivities(), createWorker()];`,
  'src/domain/words.ts': `export const word = 'job';`,
  'src/workflows/index.ts': `export { batch } from './batch/workflow';`,
  'src/workflows/batch/workflow.ts': `import type { Ports } from './ports';
    import { name } from './messages';
    export const batch = (ports: Ports): string => ports.run(name);`,
  'src/workflows/batch/messages.ts': `import { word } from '../../domain/words';\nexport const name = word;`,
  'src/workflows/batch/ports.ts': `export interface Ports { run(name: string): string }\nexport const port = 1;`,
  'src/activities/batch/process.ts': `import type { Ports } from '../../workflows/batch/ports';
    export const createActivities = (): Ports => ({ run: (name) => name });`,
  'src/api/app.ts': `import Koa from 'koa';
    import { name } from '../workflows/batch/messages';
    export const createApp = (store: unknown): unknown => [new Koa(), name, store];`,
  'src/workers/worker.ts': `import { word } from '../domain/words';\nexport const createWorker = (): string => word;`,
  'src/platform/postgres/store.ts': `import { Pool } from 'pg';\nexport const createStore = (): unknown => new Pool();`,
};

/** Files beside the sound house, each with one import too many, and the rules that must refuse it. */
const offences: [title: string, file: string, code: string, rules: string[]][] = [
  ['domain importing a Node module', 'src/domain/files.ts', `import 'node:fs';`, ['domain-pure']],
  [
    'domain importing an adapter, if only its types',
    'src/domain/types.ts',
    `import type { createStore } from '../platform/postgres/store';\nexport type Store = typeof createStore;`,
    ['domain-pure', 'one-root'],
  ],
  ['a workflow importing a driver', 'src/workflows/batch/driver.ts', `import 'pino';`, ['sandbox-direct']],
  [
    'a workflow importing an activity',
    'src/workflows/batch/activity.ts',
    `import '../../activities/batch/process';`,
    ['sandbox-direct'],
  ],
  [
    'a workflow importing the workflow of another feature',
    'src/workflows/report/island.ts',
    `import '../batch/workflow';`,
    ['feature-islands'],
  ],
  [
    'an activity importing a workflow',
    'src/activities/batch/workflow.ts',
    `import '../../workflows/batch/workflow';`,
    ['activities-see-ports'],
  ],
  [
    'an activity importing a port as a value',
    'src/activities/batch/port.ts',
    `import { port } from '../../workflows/batch/ports';\nexport const p = port;`,
    ['ports-are-types'],
  ],
  [
    'the API importing an adapter',
    'src/api/adapter.ts',
    `import { createStore } from '../platform/postgres/store';\nexport const s = createStore;`,
    ['api-sees-messages', 'one-root'],
  ],
  ['the API importing a database driver', 'src/api/driver.ts', `import 'pg';`, ['driver-homes-postgres']],
  [
    'the API importing workflow code',
    'src/api/workflow.ts',
    `import '../workflows/batch/workflow';`,
    ['api-sees-messages'],
  ],
  [
    'an adapter importing a layer above',
    'src/platform/postgres/above.ts',
    `import '../../workers/worker';`,
    ['platform-low'],
  ],
  [
    'the worker set-up importing activities',
    'src/workers/activities.ts',
    `import '../activities/batch/process';`,
    ['workers-host'],
  ],
  ['the product importing a dev dependency', 'src/api/dev.ts', `import 'jest';`, ['no-dev-dependencies']],
  [
    'the product importing what is not declared',
    'src/api/undeclared.ts',
    `import 'depd';`,
    ['declared-only'],
  ],
  ['a file that is part of a cycle', 'src/domain/ring.ts', `export * from './ring-back';`, ['no-cycles']],
  [
    'a file nobody imports',
    'src/domain/lost.ts',
    `export const lost = 1;`,
    ['no-orphans', 'no-unused-files'],
  ],
];

interface Violation {
  rule: { name: string };
  from: string;
  to: string;
}

describe('the dependency rules', () => {
  const folders: string[] = [];

  afterAll(() => {
    for (const folder of folders) rmSync(folder, { recursive: true });
  });

  function violationsIn(house: Record<string, string>): Violation[] {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'millrace-rules-'));
    folders.push(folder);
    symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'));
    for (const file of ['package.json', 'tsconfig.json']) {
      copyFileSync(path.join(root, file), path.join(folder, file));
    }
    for (const [file, code] of Object.entries(house)) {
      mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
      writeFileSync(path.join(folder, file), code);
    }
    return cruise(folder);
  }

  it('find nothing in a sound house', () => {
    expect(violationsIn(soundHouse)).toEqual([]);
  });

  describe('in a house with offences', () => {
    let violations: Violation[];

    beforeAll(() => {
      const files = offences.map(([, file]) => file).filter((file) => !file.endsWith('/lost.ts'));
      // The composition root may import everything, so importing the offenders there is no offence of its own.
      const imports = files.map((file) => `import './${file.slice('src/'.length, -'.ts'.length)}';`);
      violations = violationsIn({
        ...soundHouse,
        ...Object.fromEntries(offences.map(([, file, code]) => [file, `${code}\nexport const mark = 1;`])),
        'src/compose.ts': [...imports, soundHouse['src/compose.ts']].join('\n'),
        'src/domain/ring-back.ts': `export * from './ring';`,
        'src/workflows/index.ts': `export * from './batch/workflow';\nexport * from './detour';`,
        'src/workflows/detour.ts': `export * from '../domain/files';`,
      });
    });

    it.each(offences)('refuse %s', (_title, file, _code, rules) => {
      const broken = violations
        .filter(({ from, to }) => from === file || to === file)
        .map(({ rule }) => rule.name);
      expect([...new Set(broken)].sort()).toEqual(rules);
    });

    it('refuse a detour out of the workflow sandbox', () => {
      const reached = violations.filter(({ rule }) => rule.name === 'sandbox-reach').map(({ to }) => to);
      expect(reached).toEqual(['fs']);
    });
  });
});

function cruise(folder: string): Violation[] {
  const script = path.join(root, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
  const config = path.join(root, '.dependency-cruiser.cjs');
  const args = [script, '--config', config, '--output-type', 'json', 'src'];
  const { stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (!stdout) throw new Error(stderr);
  return (JSON.parse(stdout) as { summary: { violations: Violation[] } }).summary.violations;
}
