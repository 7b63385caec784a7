/** Handlers from files, as docs/handlers.md tells. Loaded by plain Node from the built tree, as a worker does it. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const root = path.resolve(__dirname, '../..');
let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'millrace-handlers-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

interface Ran {
  names: string[];
  outcomes: { index: number; status: string; output: unknown; error: unknown }[];
}

/** Loads the folder in a Node of its own and runs the inputs through the first handler. */
async function load(inputs: unknown[] = [], params: unknown = {}): Promise<Ran> {
  const program = `
    const { loadHandlers } = require(${JSON.stringify(path.join(root, 'dist/src/activities/handlers/load.js'))});
    const { DEFAULT_OPTIONS } = require(${JSON.stringify(path.join(root, 'dist/src/domain/batch/job.js'))});
    (async () => {
      const handlers = await loadHandlers(${JSON.stringify(dir)});
      const outcomes = [];
      const items = ${JSON.stringify(inputs)}.map((input, index) =>
        ({ index, customId: null, inputText: JSON.stringify(input), idempotencyKey: 'key' + index }));
      await handlers[0]?.runItems(items, { tenantId: 't', jobId: 'j', params: ${JSON.stringify(params)}, options: DEFAULT_OPTIONS,
        concurrency: { now: () => 10, onChange: () => () => {} }, signal: new AbortController().signal, log: console, mayStart: () => true, onStart() {},
        onOutcome: ({ index, status, output, error }) => outcomes.push({ index, status, output: JSON.parse(output), error }) });
      outcomes.sort((a, b) => a.index - b.index);
      console.log(JSON.stringify({ names: handlers.map((handler) => handler.name), outcomes }));
    })().catch((error) => { console.error(error.message); process.exit(1); });`;
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', program]);
  return JSON.parse(stdout) as Ran;
}

const write = (name: string, text: string): Promise<void> => writeFile(path.join(dir, name), text);

async function examples(language: string): Promise<string[]> {
  const page = await readFile(path.join(root, 'docs/handlers.md'), 'utf8');
  return [...page.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms'))].map(
    (match) => match[1] as string,
  );
}

test('the worked example of docs/handlers.md gives, word for word, the results that the page shows', async () => {
  const [shout] = await examples('js');
  const [results] = await examples('json');
  await write('shout.mjs', shout as string);
  const { names, outcomes } = await load([{ name: 'ada' }, { name: '' }, { nme: 'x' }], { mark: '?' });
  expect(names).toEqual(['shout']);
  expect(outcomes.map((outcome) => JSON.stringify(outcome)).join('\n')).toBe((results as string).trim());
});

test('the example of runMany works as it stands', async () => {
  const [, rank] = await examples('js');
  await write('rank.mjs', rank as string);
  const { outcomes } = await load([30, 10, 'x', 20]);
  expect(outcomes.map(({ output, status }) => (status === 'failed' ? status : output))).toEqual([
    2,
    0,
    'failed',
    1,
  ]);
});

test('each .js, .cjs and .mjs file is a handler, however it exports it, and other files are none of them', async () => {
  const definition = (name: string): string => `{ name: '${name}', description: 'd', run: () => '${name}' }`;
  await write('a.cjs', `exports.handler = ${definition('a')};`);
  await write('b.cjs', `module.exports = ({ defineHandler }) => defineHandler(${definition('b')});`);
  await write('c.mjs', `export default ${definition('c')};`);
  await write('d.mjs', `await null; export const handler = () => (${definition('d')});`);
  await write('e.js', `exports.default = ({ defineHandler }) => defineHandler(${definition('e')});`);
  await write('f.js', `module.exports = ${definition('f')};`);
  await write('README.md', 'not a handler');
  await write('g.js.map', '{}');
  const { names, outcomes } = await load([1]);
  expect(names).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
  expect(outcomes[0]?.output).toBe('a');
});

test.each([
  ['throw new Error("no luck");', 'no luck'],
  ['exports.other = 1;', 'what it exports is no handler|has no|name is|neither'],
  ['', 'it exports neither'],
  ['exports.handler = 5;', 'what it exports is no handler'],
  ['exports.handler = { name: "x", description: "d" };', 'needs either run or runMany'],
  ['exports.handler = {', 'Unexpected'],
])('a file such as %j stops the start with a message that names it', async (text, reason) => {
  await write('bad.cjs', text);
  const failed = await load().then(
    () => '',
    (error: { stderr: string }) => error.stderr,
  );
  expect(failed).toContain(path.join(dir, 'bad.cjs'));
  expect(failed).toMatch(new RegExp(reason));
});
