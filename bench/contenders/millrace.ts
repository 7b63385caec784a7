import { createReadStream, rmSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { type JobAnswer, type MillraceClient, createMillraceClient } from '../client/millrace';
import { createStopwatch } from '../measure/stopwatch';
import type { Contender, Place, Preparation } from './contender';
import { createTally, writeItems } from './items';
import { serve } from './serve';

/** Millrace as a client sees it: a file goes up, a file comes down. */
async function open({ facts, folder }: Place): Promise<Contender> {
  const client = createMillraceClient(facts);
  return { prepare: (itemCount) => prepare(client, folder, itemCount) };
}

async function prepare(client: MillraceClient, folder: string, itemCount: number): Promise<Preparation> {
  const itemsFile = path.join(folder, 'bench-items.ndjson');
  const resultsFile = path.join(folder, 'bench-results.ndjson');
  await writeItems(itemsFile, itemCount);
  return {
    work: async () => {
      const watch = createStopwatch();
      const created = await client.send('POST', '/v1/jobs', { handler: 'echo', name: 'bench' });
      const { id } = JSON.parse(created) as JobAnswer;
      watch.lap('create');
      await client.upload(id, itemsFile);
      watch.lap('upload');
      await client.send('POST', `/v1/jobs/${id}/start`);
      assertCompleted(await client.ended(id), itemCount);
      watch.lap('run');
      await client.download(id, resultsFile);
      watch.lap('download');
      return watch.laps();
    },
    check: () => checkResults(resultsFile, itemCount),
    clear: async () => {
      rmSync(itemsFile);
      rmSync(resultsFile);
    },
  };
}

function assertCompleted({ id, status, counts }: JobAnswer, itemCount: number): void {
  if (status === 'completed' && counts.succeeded === itemCount) return;
  throw new Error(`${id} ended as ${status} with ${JSON.stringify(counts)}`);
}

/** Each line's output is the item of its index, and each index is there once, in order. */
async function checkResults(file: string, itemCount: number): Promise<number> {
  const tally = createTally(itemCount);
  let expected = 0;
  for await (const line of createInterface({ input: createReadStream(file) })) {
    const { index, status, output } = JSON.parse(line) as {
      index: number;
      status: string;
      output: { n: number };
    };
    if (index !== expected || output.n !== index || status !== 'succeeded') {
      throw new Error(`line ${expected + 1} of the results is ${line}`);
    }
    tally.add(output);
    expected += 1;
  }
  return tally.total();
}

serve(open);
