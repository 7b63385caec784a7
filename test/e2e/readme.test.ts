import { execFile } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { type Product, type Role, startProduct } from '../support/product';

const root = path.resolve(__dirname, '../..');
const run = promisify(execFile);

/** Commands of the README's quick start, and what it shows of their output. */
interface Block {
  readonly code: string;
  readonly shown: string | undefined;
}

function quickStart(): Block[] {
  const [, section = ''] =
    /^## Quick start$(.*?)^## /ms.exec(readFileSync(path.join(root, 'README.md'), 'utf8')) ?? [];
  const fences = [...section.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language, text = '']) => ({
    language,
    text,
  }));
  return fences.flatMap(({ language, text }, at) => {
    const next = fences[at + 1];
    const shown = next === undefined || next.language === 'sh' ? undefined : next.text;
    return language === 'sh' ? [{ code: text, shown }] : [];
  });
}

const mark = '\u001e';
/** Parts of an output that differ from run to run: how they are found in what is shown, and how in what is seen. */
const varying: readonly (readonly [shown: RegExp, seen: string])[] = [
  // How far a job is at some moment is nobody's promise.
  [/(?<=^data: .*"type":"job\.progress".*:)[\d.]+(?=[,}])/gm, '[\\d.]+'],
  [/(?<="(rate_per_second|duration_ms)":)[\d.]+/g, '[\\d.]+'],
  [/(?<=^\d+,.*,\d+,)\d+$/gm, '\\d+'],
  [/(?<=^id: )\d+$/gm, '\\d+'],
  [/(?<=(job|tnt|key)_)[0-9a-z]{26}\b/g, '[0-9a-z]{26}'],
  [/(?<=\/\/127\.0\.0\.1:)\d+/g, '\\d+'],
  [/(?<=\/namespaces\/)[\w-]+/g, '[\\w-]+'],
  // On a line of its own `…` stands for any lines, within a line for anything in it.
  [/^…$/gm, '[^]*?'],
  [/…/g, '[^\\n]*'],
];

function patternOf(shown: string): RegExp {
  const marked = varying.reduce((text, [found], at) => text.replaceAll(found, `\u0001${at}\u0002`), shown);
  const escaped = marked.trimEnd().replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  const pattern = escaped.replaceAll(
    /\u0001(\d)\u0002/g,
    (_all, at: string) => varying[Number(at)]?.[1] ?? '',
  );
  return new RegExp(`^${pattern}\\s*$`);
}

describe('the README’s quick start, word for word', () => {
  const blocks = quickStart();
  const restart = blocks.findIndex(({ code }) => code.startsWith('MILLRACE_HANDLERS_DIR='));
  const isStart = ({ code }: Block): boolean => /npm start/.test(code);
  const before = blocks.slice(0, restart).filter((block) => !isStart(block));
  const after = blocks.slice(restart).filter((block) => !isStart(block));
  const checkout = mkdtempSync(path.join(os.tmpdir(), 'millrace-readme-'));
  const dataFolder = path.join(checkout, '.millrace');
  let product: Product;
  let worker: Role;

  const writeFacts = (url: string): void => {
    writeFileSync(
      path.join(dataFolder, 'dev.json'),
      JSON.stringify({ api_url: url, admin_key: product.key }),
    );
  };

  /** Runs blocks in one shell, as a person would; answers each one's output. */
  const runAll = async (commands: readonly Block[]): Promise<string[]> => {
    const script = commands.map(({ code }) => code).join(`printf '${mark}'\n`);
    const { stdout } = await run('bash', ['-c', `set -e -o pipefail\n${script}`], {
      cwd: checkout,
      maxBuffer: 16 * 1024 * 1024,
    });
    // CSV ends its lines as RFC 4180 has it; on a terminal that is the same.
    return stdout.replaceAll('\r\n', '\n').split(mark);
  };

  const expectShown = (commands: readonly Block[], outputs: readonly string[]): void => {
    expect(outputs).toHaveLength(commands.length);
    for (const [at, { shown }] of commands.entries()) {
      if (shown !== undefined) expect(outputs[at]).toMatch(patternOf(shown));
    }
  };

  beforeAll(async () => {
    mkdirSync(dataFolder);
    symlinkSync(path.join(root, 'node_modules'), path.join(checkout, 'node_modules'));
    product = await startProduct();
    worker = await product.startWorker();
    writeFacts(product.url);
  });
  afterAll(async () => {
    await product.close();
    rmSync(checkout, { recursive: true, force: true });
  });

  test('jobs, events, results and summary are what it shows', async () => {
    expect(before.length).toBeGreaterThan(6);
    expectShown(before, await runAll(before));
  });

  test('`npm run demo` takes the same data through the copy that runs', async () => {
    const { stdout } = await run(process.execPath, [path.join(root, 'tools/demo.mjs')], {
      env: { ...process.env, MILLRACE_DATA_DIR: dataFolder },
    });
    expect(stdout).toContain('Uploaded  42,049 items');
    expect(stdout).toMatch(/^completed █+ 100 % {2}42,049 of 42,049/m);
    expect(stdout).toMatch(/^ +AK +269 +27 +61\.4389 +53\.8551 +70\.4947$/m);
    const [results = '', summary = ''] = readdirSync(path.join(dataFolder, 'demo')).sort();
    expect(readFileSync(path.join(dataFolder, 'demo', results), 'utf8').split('\n')).toHaveLength(42_049 + 1);
    expect(JSON.parse(readFileSync(path.join(dataFolder, 'demo', summary), 'utf8'))).toMatchObject({
      groups: expect.arrayContaining([expect.objectContaining({ key: 'AK' })]) as unknown,
    });
  });

  test('`npm run demo` says so where nothing runs', async () => {
    const nowhere = path.join(checkout, 'nowhere');
    const demo = run(process.execPath, [path.join(root, 'tools/demo.mjs')], {
      env: { ...process.env, MILLRACE_DATA_DIR: nowhere },
    });
    await expect(demo).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`No Millrace is running on ${nowhere}`) as string,
    });
  });

  test('a handler of one’s own runs after a restart with its folder', async () => {
    const env = { MILLRACE_HANDLERS_DIR: path.join(dataFolder, 'handlers') };
    await worker.stop();
    worker = await product.startWorker(env);
    writeFacts((await product.startApi(env)).url);
    const preparation = before.filter(({ code }) => code.includes('export MILLRACE_URL'));
    expect(preparation).toHaveLength(1);
    expect(after.length).toBeGreaterThan(0);
    const commands = [...preparation, ...after];
    expectShown(commands, await runAll(commands));
  });
});
