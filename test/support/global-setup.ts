import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import type { KeeperMessage, TestServerFacts } from '../../tools/test-servers/facts';

declare global {
  var millraceTestKeeper: ChildProcess | undefined;
}

const root = path.resolve(__dirname, '../..');

/** Brings up the real servers once for all test files, and hands their addresses on by variables. */
export default async function globalSetup(): Promise<void> {
  const keeper = spawn(process.execPath, [path.join(root, 'dist/tools/test-servers/keeper.js'), root], {
    // A group of its own: a Ctrl-C is for Jest, whose end the keeper notices by the closing channel.
    detached: true,
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  globalThis.millraceTestKeeper = keeper;
  Object.assign(process.env, await factsFrom(keeper));
}

async function factsFrom(keeper: ChildProcess): Promise<TestServerFacts> {
  return new Promise((resolve, reject) => {
    keeper.on('message', (message: KeeperMessage) => {
      if (message.type === 'ready') resolve(message.facts);
      if (message.type === 'failed') reject(new Error(message.reason));
      if (message.type === 'progress') process.stderr.write(`test servers: ${message.text}\n`);
    });
    keeper.once('error', reject);
    keeper.once('exit', (code) => {
      reject(
        new Error(`the keeper of the test servers ended with ${code}; is the tree built (npm run build)?`),
      );
    });
  });
}
