import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type DevFacts, devJsonFile } from '../start/dev-json';

export interface AdminOptions {
  readonly root: string;
  readonly dataFolder: string;
  /** what `main admin` takes */
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

/** Runs `main admin` on the database of the copy that runs on the data folder; `DATABASE_URL` names another one. */
export async function admin({ root, dataFolder, args, env }: AdminOptions): Promise<number> {
  const databaseUrl = env['DATABASE_URL'] || databaseOf(dataFolder);
  const main = path.join(root, 'dist/src/main.js');
  const child = spawn(process.execPath, [main, 'admin', ...args], {
    stdio: 'inherit',
    env: { LOG_LEVEL: 'warn', ...env, DATABASE_URL: databaseUrl },
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

function databaseOf(dataFolder: string): string {
  try {
    const facts = JSON.parse(readFileSync(devJsonFile(dataFolder), 'utf8')) as DevFacts;
    return facts.database_url;
  } catch {
    throw new Error(
      `No Millrace is running on ${dataFolder}. Run \`npm start\` in another terminal; MILLRACE_DATA_DIR names another folder, DATABASE_URL a database.`,
    );
  }
}
