import { StartFailure } from '../process/failure';
import { findOnPath, isExecutable, runCommand } from '../servers/command';
import { installProgram, type PackageManager, type ProgramSearch } from '../servers/package-manager';

const probeMs = 30_000;

const managers: readonly PackageManager[] = [
  {
    command: 'apt-get',
    needsRoot: true,
    steps: [['update'], ['install', '-y', '--no-install-recommends', 'chromium']],
    byHand: 'apt-get install chromium',
  },
  {
    command: 'apk',
    needsRoot: true,
    steps: [['add', '--no-cache', 'chromium']],
    byHand: 'apk add chromium',
  },
  {
    command: 'dnf',
    needsRoot: true,
    steps: [['install', '-y', 'chromium']],
    byHand: 'dnf install chromium',
  },
];

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const places = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
];

/**
 * The browser that tests drive: the one that MILLRACE_CHROMIUM names, or one of this machine, installed by its package manager
 * where that is allowed.
 */
export async function findChromium(search: ProgramSearch): Promise<string> {
  const find = (): Promise<string | null> => findInstalled(search.env);
  const wanted = {
    name: 'Chromium',
    managers,
    find,
    otherwise: 'install Chromium or Google Chrome',
    instead: 'set MILLRACE_CHROMIUM to the program',
  };
  const found = await find();
  if (found !== null) return found;
  const { MILLRACE_CHROMIUM: named } = search.env;
  if (named) throw new StartFailure(`MILLRACE_CHROMIUM names ${named}, which does not run`);
  return installProgram(search, wanted);
}

async function findInstalled(env: NodeJS.ProcessEnv): Promise<string | null> {
  const onPath = names.map((name) => findOnPath(name, env.PATH));
  const found = env.MILLRACE_CHROMIUM ? [env.MILLRACE_CHROMIUM] : [...onPath, ...places.filter(isExecutable)];
  for (const command of found) {
    // Ubuntu's package is a script that only says where to get the browser.
    if (command && (await runCommand(command, ['--version'], { timeoutMs: probeMs, env })).ok) return command;
  }
  return null;
}
