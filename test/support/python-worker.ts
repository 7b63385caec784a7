/** Workers in Python, as whoever writes a handler runs them: from a virtual environment with what the example pins. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { cacheFolder } from '../../tools/servers/cache-folder';
import type { Product } from './product';
import { testServers } from './servers';

export const EXAMPLE = path.resolve(__dirname, '../../examples/python-handler');
const MOODY = path.join(__dirname, 'python');

/** What `MILLRACE_HANDLERS_DIR` is to name for `text-stats` and `moody`. */
export function declarations(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'millrace-handlers-'));
  for (const file of [path.join(EXAMPLE, 'text-stats.handler.json'), path.join(MOODY, 'moody.handler.json')])
    copyFileSync(file, path.join(folder, path.basename(file)));
  return folder;
}

/** The interpreter of an environment made once for these very requirements. */
export function pythonWithRequirements(): string {
  const requirements = path.join(EXAMPLE, 'requirements.txt');
  const version = python('python3', ['--version'], 'Python 3.11 or later is needed');
  const key = createHash('sha256')
    .update(version)
    .update(readFileSync(requirements))
    .digest('hex')
    .slice(0, 16);
  const folder = path.join(cacheFolder(), `python-handler-${key}`);
  if (!existsSync(folder)) {
    // Made beside it and renamed, so that one that is there is whole, and two at once do no harm.
    const making = mkdtempSync(`${folder}-`);
    python(
      'python3',
      ['-m', 'venv', making],
      'the module venv is needed (on Debian and Ubuntu: apt install python3-venv)',
    );
    const pip = ['-m', 'pip', 'install', '--quiet', '--requirement', requirements];
    python(path.join(making, 'bin/python'), pip, 'the packages of requirements.txt must be installable');
    try {
      renameSync(making, folder);
    } catch {
      rmSync(making, { recursive: true });
    }
  }
  return path.join(folder, 'bin/python');
}

function python(command: string, args: readonly string[], needed: string): string {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (cause) {
    const { stderr = '' } = cause as { stderr?: string };
    throw new Error(`\`${command} ${args.join(' ')}\` failed: ${needed}.\n${stderr}`, { cause });
  }
}

export interface PythonWorker {
  readonly process: ChildProcess;
  output(): string;
  /** SIGTERM. @throws where it does not end well */
  stop(): Promise<void>;
  /** kill -9 */
  kill(): Promise<void>;
}

export async function startPython(product: Product, handler: 'text-stats' | 'moody'): Promise<PythonWorker> {
  const file = handler === 'moody' ? path.join(MOODY, 'moody_worker.py') : path.join(EXAMPLE, 'worker.py');
  const child = spawn(pythonWithRequirements(), [file], {
    env: {
      ...process.env,
      TEMPORAL_ADDRESS: testServers().temporalAddress,
      TEMPORAL_NAMESPACE: product.namespace,
      PYTHONPATH: EXAMPLE,
      PYTHONDONTWRITEBYTECODE: '1',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const exited = new Promise<number | string | null>((resolve) =>
    child.once('exit', (code, signal) => resolve(code ?? signal)),
  );
  await new Promise<void>((resolve, reject) => {
    const hear = (text: Buffer): void => {
      output += text.toString();
      if (output.includes('serving')) resolve();
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    void exited.then((end) => reject(new Error(`the Python worker ended with ${end}:\n${output}`)));
  });
  return {
    process: child,
    output: () => output,
    async stop() {
      child.kill('SIGTERM');
      const end = await exited;
      if (end !== 0) throw new Error(`the Python worker ended with ${end}:\n${output}`);
    },
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
