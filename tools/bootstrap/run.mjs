import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './checkout.mjs';

/** Runs a command with its output in `logFile`; rejects with the log's last lines when it fails. */
export async function runLogged(command, args, logFile) {
  // This may make the data folder, as makeDataFolder of start/settings.ts does.
  mkdirSync(path.dirname(logFile), { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 });
  const log = openSync(logFile, 'w');
  try {
    const code = await new Promise((resolve, reject) => {
      const child = spawn(command, args, { cwd: root, stdio: ['ignore', log, log], env: process.env });
      child.once('error', reject);
      child.once('exit', (exitCode, signal) => resolve(exitCode ?? signal));
    });
    if (code !== 0) throw new Error(`${path.basename(command)} ended with ${code}`);
  } catch (error) {
    throw new Error(`${error.message}; the end of ${logFile}:\n${lastLines(logFile, 30)}`);
  } finally {
    closeSync(log);
  }
}

/** npm as a command and its first arguments: the very npm that runs us where there is one. */
export function npm() {
  const script = process.env.npm_execpath;
  return script?.endsWith('npm-cli.js')
    ? { command: process.execPath, args: [script] }
    : { command: process.platform === 'win32' ? 'npm.cmd' : 'npm', args: [] };
}

function lastLines(file, count) {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-count).join('\n');
}
