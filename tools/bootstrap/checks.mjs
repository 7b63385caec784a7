import { spawn } from 'node:child_process';
import path from 'node:path';
import { root } from './checkout.mjs';
import { showStep } from './line.mjs';

const modules = path.join(root, 'node_modules');
const checks = [
  ['Types', 'typescript/bin/tsc', ['-p', 'tsconfig.json', '--noEmit']],
  ['Format', '@biomejs/biome/bin/biome', ['format', '.']],
  ['Lint', 'eslint/bin/eslint.js', ['src', 'test', 'tools', 'bench', '--no-error-on-unmatched-pattern']],
  [
    'Dependency rules',
    'dependency-cruiser/bin/dependency-cruise.mjs',
    ['--config', '.dependency-cruiser.cjs', 'src', 'tools', 'bench'],
  ],
];

/** Runs the checks that need no server, one after the other; answers how many passed and failed. */
export async function runChecks() {
  let passed = 0;
  for (const [title, script, args] of checks) {
    try {
      await showStep(`Check: ${title.toLowerCase()}`, () => run(script, args));
      passed += 1;
    } catch (error) {
      process.stdout.write(`${error.message}\n`);
    }
  }
  return { passed, failed: checks.length - passed };
}

async function run(script, args) {
  let output = '';
  const child = spawn(process.execPath, [path.join(modules, script), ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output += chunk;
    });
  }
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(output.trimEnd() || `exit code ${code}`);
}
