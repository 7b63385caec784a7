import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { DeterminismViolationError } from '@temporalio/workflow';
import { Worker } from '@temporalio/worker';
import { HISTORIES } from '../support/history';
import { installQuietRuntime } from '../support/runtime';

const workflowBundle = { codePath: join(__dirname, '../../dist/workflow-bundle.js') };
const recorded = readdirSync(HISTORIES).flatMap((type) =>
  readdirSync(join(HISTORIES, type)).map((file) => join(HISTORIES, type, file)),
);

describe('what is still running somewhere goes on with the code of today', () => {
  beforeAll(installQuietRuntime);

  test('every workflow has recorded histories', () => {
    const types = readdirSync(HISTORIES);
    const index = readFileSync(join(__dirname, '../../src/workflows/index.ts'), 'utf8');
    const workflows = [...index.matchAll(/export \{ (\w+) \}/g)].map((match) => match[1]);
    expect(types.sort()).toEqual(workflows.sort());
    expect(recorded.length).toBeGreaterThan(types.length);
  });

  test.each(recorded.map((file) => [basename(file), file]))('%s', async (_name, file) => {
    await Worker.runReplayHistory({ workflowBundle }, JSON.parse(readFileSync(file, 'utf8')));
  });

  test('a history that today’s code would not have made is refused', async () => {
    const file = recorded.find((path) => path.includes('hands-out-every-chunk')) as string;
    const altered = readFileSync(file, 'utf8').replaceAll('batchProcessChunk', 'batchProcessOther');
    await expect(Worker.runReplayHistory({ workflowBundle }, JSON.parse(altered))).rejects.toThrow(
      DeterminismViolationError,
    );
  });
});
