import { setTimeout as delay } from 'node:timers/promises';
import { explain } from '../process/failure';
import { keepLogsBounded } from '../process/log-file';
import { removeDevJson } from './dev-json';
import { type Attempt, say } from './display';
import { findLeaders, watchLeaders } from './leaders';
import { type Lock, takeLock } from './lock';
import { type Running, bringUp } from './run';
import { type Settings, makeDataFolder, readSettings } from './settings';
import { openStateFile } from './state-file';
import { type StopRequest, onStopRequest } from './stop-request';
import { createSupervisor } from './supervisor';

const givenUpMs = 10_000;

/** `npm start` from the moment the tree is built: resolves with the exit code when everything has ended. */
export async function start(root: string, env: NodeJS.ProcessEnv): Promise<number> {
  try {
    const settings = readSettings(root, env);
    makeDataFolder(settings.dataFolder);
    const leaders = findLeaders(env);
    const lock = await takeLock(settings.dataFolder, leaders, sayOnce());
    const stop = onStopRequest();
    watchLeaders(leaders, () => {
      stop.request('the terminal is gone');
    });
    return await runUnderLock(settings, lock, stop);
  } catch (error) {
    process.stderr.write(`\n${explain(error)}\n`);
    return 1;
  }
}

async function runUnderLock(settings: Settings, lock: Lock, stop: StopRequest): Promise<number> {
  removeDevJson(settings.dataFolder);
  const state = openStateFile(settings.dataFolder);
  let running: Running | null = null;
  const supervisor = createSupervisor({
    state,
    notify: (line) => {
      say(`${line}; see ${settings.dataFolder}/logs`);
    },
    onReplaced: () => running?.refreshDevJson(),
  });
  const stopBounding = keepLogsBounded(() => supervisor.logFiles());
  const attempt: Attempt = { givenUp: new AbortController(), begun: [] };
  stop.requested.addEventListener('abort', () => {
    attempt.givenUp.abort();
  });
  let failure: unknown = null;
  try {
    const context = { settings, state, lock, supervisor, attempt };
    running = await Promise.race([bringUp(context), whenAborted(stop.requested)]);
    if (running) {
      welcome(running);
      await whenAborted(stop.requested);
      say(`Stopping (${stop.reason}); Ctrl-C once more to hurry`);
    }
  } catch (error) {
    failure = error;
  }
  removeDevJson(settings.dataFolder);
  lock.setStopping();
  stopBounding();
  await supervisor.stopAll(stop.hurry);
  // Steps of a start that was given up end once their servers are gone; only then is the data folder free.
  await Promise.race([Promise.allSettled(attempt.begun), delay(givenUpMs)]);
  removeDevJson(settings.dataFolder);
  state.remove();
  lock.release();
  if (stop.reason) say('Stopped');
  if (failure === null) return 0;
  process.stderr.write(`\n${explain(failure)}\n`);
  return 1;
}

function welcome({ addresses, newAdminKey }: Running): void {
  const lines = [
    ['Dashboard and API', addresses.apiUrl],
    ['Temporal UI', addresses.temporalUiUrl ?? `of ${addresses.temporalAddress}`],
    ...(newAdminKey ? [['Admin key (shown once)', newAdminKey]] : []),
  ];
  const text = lines.map(([name = '', value]) => `  ${name.padEnd(24)}${value}`).join('\n');
  process.stdout.write(`\nMillrace is ready. Ctrl-C stops it.\n\n${text}\n\n`);
}

async function whenAborted(signal: AbortSignal): Promise<null> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(null);
    signal.addEventListener('abort', () => {
      resolve(null);
    });
  });
}

function sayOnce(): (text: string) => void {
  let said = '';
  return (text) => {
    if (text !== said) say(text);
    said = text;
  };
}
