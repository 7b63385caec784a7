import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { workflowIdFor } from '../../src/domain/ids';
import { jobEnded, resultLines, uploadJob } from '../support/job-client';
import { type Product, startProduct } from '../support/product';
import { testServers } from '../support/servers';

const DATA = path.join(__dirname, '../../node_modules/vega-datasets/data');

interface Summary {
  partial: boolean;
  groups: { key: string; metrics: Record<string, number> }[];
  skipped: Record<string, number>;
}

describe('real data, from upload to summary', () => {
  let product: Product;

  beforeAll(async () => {
    product = await startProduct();
    await product.startWorker();
  });
  afterAll(() => product.close());

  test('42,049 zip codes as CSV: every line and every group is what plain code says', async () => {
    const csv = readFileSync(path.join(DATA, 'zipcodes.csv'), 'utf8');
    const rows = parsePlainCsv(csv);
    expect(rows).toHaveLength(42_049);
    const job = await uploadJob(product, {
      contentType: 'text/csv',
      items: csv,
      body: {
        handler: 'transform',
        params: {
          expression: '{"zip": zip_code, "state": state, "county": county, "lat": $number(latitude)}',
        },
        reduce: {
          group_by: 'output.state',
          metrics: {
            n: { op: 'count' },
            counties: { op: 'count_distinct', path: 'output.county' },
            avg_lat: { op: 'avg', path: 'output.lat' },
            min_lat: { op: 'min', path: 'output.lat' },
            max_lat: { op: 'max', path: 'output.lat' },
          },
        },
      },
    });
    expect(await jobEnded(product, job.id)).toMatchObject({
      status: 'completed',
      counts: { total: 42_049, succeeded: 42_049, failed: 0, pending: 0, running: 0 },
    });

    const lines = await resultLines(product, job.id);
    expect(lines).toHaveLength(rows.length);
    const wrong = lines.filter((line, index) => {
      const { zip_code, state, county, latitude } = rows[index] as Record<string, string>;
      const output = JSON.stringify({ zip: zip_code, state, county, lat: Number(latitude) });
      return line.index !== index || line.status !== 'succeeded' || JSON.stringify(line.output) !== output;
    });
    expect(wrong).toEqual([]);

    const summary = await product.json<Summary>('GET', `/v1/jobs/${job.id}/summary`);
    expect(summary.partial).toBe(false);
    const groups = groupPlainly(rows, (row) => row.state as string);
    expect(summary.groups.map((group) => group.key).sort()).toEqual([...groups.keys()].sort());
    for (const { key, metrics } of summary.groups) {
      const of = groups.get(key) as Record<string, string>[];
      const lats = of.map((row) => Number(row.latitude));
      expect(metrics).toEqual({
        n: of.length,
        counties: new Set(of.map((row) => row.county)).size,
        avg_lat: expect.closeTo(lats.reduce((a, b) => a + b, 0) / lats.length, 9),
        min_lat: Math.min(...lats),
        max_lat: Math.max(...lats),
      });
    }
  }, 240_000);

  test('231,083 flights as a JSON array: groups and lines are right, and Temporal holds under 1 event per 50 items', async () => {
    const json = readFileSync(path.join(DATA, 'flights-200k.json'));
    const flights = JSON.parse(json.toString()) as { delay: number; distance: number; time: number }[];
    expect(flights).toHaveLength(231_083);
    const job = await uploadJob(product, {
      contentType: 'application/json',
      items: json,
      body: {
        handler: 'echo',
        reduce: {
          group_by: 'output.distance',
          metrics: {
            n: { op: 'count' },
            delay: { op: 'sum', path: 'output.delay' },
            late: { op: 'max', path: 'output.delay' },
          },
        },
      },
    });
    expect(await jobEnded(product, job.id)).toMatchObject({
      status: 'completed',
      counts: { succeeded: 231_083 },
    });

    const lines = await resultLines(product, job.id);
    expect(lines).toHaveLength(flights.length);
    const wrong = lines.filter(
      (line, index) => line.index !== index || JSON.stringify(line.output) !== JSON.stringify(flights[index]),
    );
    expect(wrong).toEqual([]);

    const summary = await product.json<Summary>('GET', `/v1/jobs/${job.id}/summary`);
    const groups = groupPlainly(flights, (flight) => flight.distance);
    expect(summary.groups).toHaveLength(groups.size);
    const differing = summary.groups.filter(({ key, metrics }) => {
      const delays = (groups.get(Number(key)) ?? []).map((flight) => flight.delay);
      const sum = delays.reduce((a, b) => a + b, 0);
      return metrics.n !== delays.length || metrics.delay !== sum || metrics.late !== Math.max(...delays);
    });
    expect(differing).toEqual([]);
    expect(await historyEvents(product, job.id)).toBeLessThan(flights.length / 50);
  }, 240_000);
});

/** Events of all the runs of a job's workflow. */
async function historyEvents(product: Product, jobId: string): Promise<number> {
  const connection = await Connection.connect({ address: testServers().temporalAddress });
  try {
    const client = new Client({ connection, namespace: product.namespace });
    const workflowId = workflowIdFor.batch(product.tenantId, jobId);
    const runs = new Set<string>([(await client.workflow.getHandle(workflowId).describe()).runId]);
    for await (const run of client.workflow.list({ query: `WorkflowId = '${workflowId}'` }))
      runs.add(run.runId);
    let events = 0;
    for (const runId of runs) {
      const description = await client.workflow.getHandle(workflowId, runId).describe();
      events += description.historyLength;
    }
    return events;
  } finally {
    await connection.close();
  }
}

/** This file has no quoted cells, so splitting is parsing: nothing of the product's own is used to check it. */
function parsePlainCsv(text: string): Record<string, string>[] {
  expect(text).not.toContain('"');
  const [header = '', ...lines] = text.trimEnd().split(/\r?\n/);
  const names = header.split(',');
  return lines.map((line) => {
    const cells = line.split(',');
    return Object.fromEntries(names.map((name, i) => [name, cells[i] as string]));
  });
}

function groupPlainly<T, K>(rows: readonly T[], keyOf: (row: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const row of rows) {
    const group = groups.get(keyOf(row));
    if (group === undefined) groups.set(keyOf(row), [row]);
    else group.push(row);
  }
  return groups;
}
