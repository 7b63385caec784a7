import { createReadStream, createWriteStream, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Api, connect } from './api';
import { followJob } from './follow';
import type { Job, Summary } from './job';
import { showSummary } from './summary';

export interface DemoOptions {
  readonly root: string;
  readonly dataFolder: string;
  readonly env: NodeJS.ProcessEnv;
}

const job = {
  name: 'zip codes by state',
  handler: 'transform',
  params: { expression: '{"zip": zip_code, "state": state, "county": county, "lat": $number(latitude)}' },
  reduce: {
    group_by: 'output.state',
    metrics: {
      zips: { op: 'count' },
      counties: { op: 'count_distinct', path: 'output.county' },
      mean_lat: { op: 'avg', path: 'output.lat' },
      south: { op: 'min', path: 'output.lat' },
      north: { op: 'max', path: 'output.lat' },
    },
  },
};
const groupsShown = 8;

/** Sends the zip codes of the United States through a job and shows how it goes; resolves with the exit code. */
export async function demo({ root, dataFolder, env }: DemoOptions): Promise<number> {
  const api = connect(dataFolder, env);
  const csv = path.join(root, 'node_modules/vega-datasets/data/zipcodes.csv');
  const created = await api.json<Job>('POST', '/v1/jobs', job);
  say(`Job       ${api.url}/v1/jobs/${created.id}`);
  if (created.links.temporal) say(`Workflow  ${created.links.temporal}`);

  const uploaded = await upload(api, created.id, csv);
  say(`Uploaded  ${uploaded.counts.total.toLocaleString('en')} items of ${path.relative(root, csv)}\n`);
  await api.json('POST', `/v1/jobs/${created.id}/start`);
  const ended = await followJob(api, created.id);

  const summary = await api.json<Summary>('GET', `/v1/jobs/${created.id}/summary`);
  say(`\n${showSummary(summary, groupsShown)}\n`);
  const folder = path.join(dataFolder, 'demo');
  const { resultsFile, summaryFile } = await save(api, { jobId: created.id, summary, folder });
  say(`Results   ${resultsFile}`);
  say(`Summary   ${summaryFile}`);
  return ended.status === 'completed' ? 0 : 1;
}

/** Streams the file, so that its size doesn't matter. */
async function upload(api: Api, jobId: string, file: string): Promise<Job> {
  const response = await api.send('PUT', `/v1/jobs/${jobId}/items`, {
    headers: { 'content-type': 'text/csv' },
    body: Readable.toWeb(createReadStream(file)) as ReadableStream,
    duplex: 'half',
  });
  return (await response.json()) as Job;
}

interface Outcome {
  readonly jobId: string;
  readonly summary: Summary;
  readonly folder: string;
}

async function save(api: Api, { jobId, summary, folder }: Outcome) {
  mkdirSync(folder, { recursive: true });
  const resultsFile = path.join(folder, `${jobId}-results.ndjson`);
  const summaryFile = path.join(folder, `${jobId}-summary.json`);
  const results = await api.send('GET', `/v1/jobs/${jobId}/results`);
  if (results.body) {
    await pipeline(Readable.fromWeb(results.body), createWriteStream(resultsFile));
  }
  writeFileSync(summaryFile, `${JSON.stringify(summary, null, 2)}\n`);
  return { resultsFile, summaryFile };
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
