import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { version } from '../../package.json';
import { testServers } from './servers';

export const HISTORIES = join(__dirname, '../replay/histories');

/**
 * Keeps a workflow's history for the replay tests, where MILLRACE_RECORD_HISTORIES is set: once a release, by whoever makes
 * it. Kept histories are never edited: they are what is still running somewhere.
 */
export async function recordHistory(handle: WorkflowHandle, scenario: string): Promise<void> {
  if (process.env.MILLRACE_RECORD_HISTORIES !== '1') return;
  const { temporalAddress, temporalBinary } = testServers();
  const folder = join(HISTORIES, (await handle.describe()).type);
  mkdirSync(folder, { recursive: true });
  const { namespace } = handle.client.options;
  const show = ['workflow', 'show', '--workflow-id', handle.workflowId, '--output', 'json'];
  const json = execFileSync(temporalBinary, [
    ...show,
    '--address',
    temporalAddress,
    '--namespace',
    namespace,
  ]);
  const name = scenario.replaceAll(/[^a-z0-9]+/gi, '-').toLowerCase();
  // Who worked at it says nothing about the code, only about a machine.
  const plain = JSON.stringify(JSON.parse(json.toString()))
    .replaceAll(/"identity":"[^"]*"/g, '"identity":"worker"')
    .replaceAll(/"\d+@[^"]*"/g, '"sticky"')
    .replaceAll(/"stackTrace":"(?:[^"\\]|\\.)*"/g, '"stackTrace":""');
  writeFileSync(join(folder, `${name}-${version}.json`), `${plain}\n`);
}
