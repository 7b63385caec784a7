import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Measured } from '../../bench/contenders/contender';
import { checkout } from '../support/start';
import { testServers } from '../support/servers';

const run = promisify(execFile);
const runLimitMs = 240_000;

interface Standing {
  title: string;
  runs: Measured[];
  itemsPerSecond: { median: number };
}

interface ApiStanding {
  title: string;
  runs: { requests: number; perSecond: number; latencyMs: Record<'p50' | 'p95' | 'p99', number> }[];
}

interface RealtimeStanding {
  title: string;
  runs: {
    count: number;
    deliveriesPerCpuSecond: number;
    latencyMs: Record<'p50' | 'p95' | 'p99' | 'max', number>;
    bytesPerConnection: Record<'idle' | 'used', number>;
  }[];
}

/** What a test reads of a results file; each bench has some of it. */
interface Results {
  contenders: Record<'a' | 'b' | 'c', Standing>;
  ratios: Record<string, number>;
  latency: { firstResultMs: { min: number }; acceptedMs: { min: number } };
  runs: Measured[];
  costRatio: number;
  variables: Record<string, string>;
  entrants: Record<'a' | 'b' | 'c', ApiStanding>;
  half: { rate: number };
  goals: Record<string, boolean>;
  levelsBytes: number[];
}

type RealtimeResults = Omit<Results, 'entrants'> & {
  entrants: Record<'b' | 'd' | 'e', RealtimeStanding>;
};

const sent = 2_000;
const groups = ['own', 'api', 'worker', 'postgres', 'temporal', 'redis'];

/** The short forms of the benches: that they run and count right. How fast anything was is nobody's promise here. */
describe('npm run bench', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'millrace-bench-test-'));
  // As root, PostgreSQL runs as another user; it would put its data where that user gets in.
  chmodSync(folder, 0o711);

  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  /** Its output and the JSON it wrote. The folder is its place for data too, so that leftovers would show. */
  async function bench(...args: string[]): Promise<{ output: string; results: Results }> {
    const out = mkdtempSync(path.join(folder, 'out-'));
    const temporalFolder = path.dirname(testServers().temporalBinary);
    const env = {
      ...process.env,
      TMPDIR: folder,
      PATH: `${temporalFolder}${path.delimiter}${process.env.PATH ?? ''}`,
      // Where other servers are told of, the bench goes on with its own.
      DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
      REDIS_URL: 'redis://127.0.0.1:1',
    };
    const command = [path.join(checkout, 'tools/bench.mjs'), ...args, '--out', out];
    const { stdout } = await run(process.execPath, command, { env, maxBuffer: 16 * 1024 * 1024 });
    const [file = '', ...others] = readdirSync(out);
    expect(others).toEqual([]);
    expect(stdout).toContain(path.join(out, file));
    return { output: stdout, results: JSON.parse(readFileSync(path.join(out, file), 'utf8')) as Results };
  }

  function expectMeasured(
    measured: Measured | undefined,
    itemCount: number,
    phases: readonly string[],
  ): void {
    if (measured === undefined) throw new Error('there was no such run');
    expect(measured).toMatchObject({ itemCount, resultsChecked: itemCount });
    expect(measured.itemsPerSecond).toBeCloseTo((itemCount / measured.elapsedMs) * 1_000);
    expect(Object.keys(measured.phasesMs)).toEqual(phases);
    const phaseSum = Object.values(measured.phasesMs).reduce((sum, phase) => sum + phase, 0);
    expect(phaseSum).toBeLessThanOrEqual(measured.elapsedMs);
    expect(Object.keys(measured.cpuSeconds)).toEqual(groups);
  }

  test(
    'batch: all three worked through every item once on durable servers, and the jobs of one item gave their results',
    async () => {
      const { output, results } = await bench(
        'batch',
        '--items',
        String(sent),
        '--runs',
        '1',
        '--samples',
        '5',
      );
      expect(results).toMatchObject({
        bench: 'batch',
        date: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as unknown,
        variables: {},
        options: { items: sent, runs: 1 },
        servers: {
          postgres: { fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on' },
          redis: { appendonly: 'yes', appendfsync: 'everysec' },
        },
        machine: { node: process.versions.node },
      });
      expect(Object.keys(results.contenders)).toEqual(['a', 'b', 'c']);
      const { a: bullmq, b: graphile, c: millrace } = results.contenders;
      for (const { runs, itemsPerSecond, title } of [bullmq, graphile, millrace]) {
        expect(runs).toHaveLength(1);
        expect(itemsPerSecond.median).toBe(runs[0]?.itemsPerSecond);
        expect(output).toContain(title);
      }
      expectMeasured(bullmq.runs[0], sent, ['add', 'run']);
      expectMeasured(graphile.runs[0], sent, ['add', 'run']);
      expectMeasured(millrace.runs[0], sent, ['create', 'upload', 'run', 'download']);
      const ratio = millrace.itemsPerSecond.median / bullmq.itemsPerSecond.median;
      expect(results.ratios['c/a']).toBeCloseTo(ratio);
      expect(Object.keys(results.ratios)).toEqual(['c/a', 'c/b']);
      expect(results.latency).toMatchObject({ samples: 5 });
      expect(results.latency.firstResultMs.min).toBeGreaterThanOrEqual(results.latency.acceptedMs.min);
      expect(output).toMatch(/^c\/a = \d+\.\d\d$/m);
    },
    runLimitMs,
  );

  test(
    'batch --scale: a job and one of ten times as many items, each item once',
    async () => {
      const { results } = await bench('batch', '--scale', '--items', '300', '--set', 'LOG_LEVEL=warn');
      expect(results.variables).toEqual({ LOG_LEVEL: 'warn' });
      expect(results.runs).toHaveLength(2);
      for (const [at, itemCount] of [300, 3_000].entries()) {
        expectMeasured(results.runs[at], itemCount, ['create', 'upload', 'run', 'download']);
      }
      const [small, large] = results.runs.map(({ itemsPerSecond }) => itemsPerSecond);
      expect(results.costRatio).toBeCloseTo((small ?? 0) / (large ?? 0));
    },
    runLimitMs,
  );

  test(
    'api: all three answered every request right, ours with a key, limits and metering, and once more at half its peak',
    async () => {
      const args = ['--seconds', '1', '--runs', '1', '--connections', '10', '--jobs', '3'];
      const { output, results } = await bench('api', ...args);
      expect(results).toMatchObject({
        bench: 'api',
        options: { seconds: 1, runs: 1, connections: 10, jobs: 3 },
        variables: {},
      });
      const { a, b, c } = results.entrants;
      for (const { title, runs } of [a, b, c]) {
        expect(output).toContain(title);
        expect(runs).toHaveLength(1);
        const [{ requests, perSecond, latencyMs }] = runs as [ApiStanding['runs'][number]];
        expect(requests).toBeGreaterThan(0);
        expect(perSecond).toBeGreaterThan(0);
        expect(latencyMs.p50).toBeLessThanOrEqual(latencyMs.p95);
        expect(latencyMs.p95).toBeLessThanOrEqual(latencyMs.p99);
      }
      expect(results.ratios['c/a']).toBeCloseTo((c.runs[0]?.perSecond ?? 0) / (a.runs[0]?.perSecond ?? 0));
      expect(results.half.rate).toBe(Math.floor((c.runs[0]?.perSecond ?? 0) / 2));
      expect(Object.keys(results.goals)).toEqual(['ratio', 'half', 'bar']);
      expect(output).toMatch(/^The bar is 10,000 requests a minute .* times as many/m);
    },
    runLimitMs,
  );

  test(
    'api --memory: the good key was let in each time, and no unknown one ever',
    async () => {
      const args = ['--memory', '--requests', '3000', '--keys', '100', '--connections', '10'];
      const { output, results } = await bench('api', ...args);
      expect(results).toMatchObject({
        options: { requests: 3_000, keys: 100 },
        answers: { 200: 1_500, 401: 1_500 },
        variables: { MILLRACE_AUTH_FAILURES_PER_MINUTE: '0' },
      });
      expect(results.levelsBytes).toHaveLength(10);
      expect(output).toContain('RSS of the API');
    },
    runLimitMs,
  );

  test(
    'realtime: each subscriber got every event of its topic once and in order, by either protocol of ours and by a peer',
    async () => {
      // Enough for the system's clock of processor time, which ticks every 10 ms, to have moved.
      const [connections, topics, rate, seconds] = [100, 4, 100, 2];
      const sizes = { connections, topics, rate, seconds, runs: 1 };
      const args = Object.entries(sizes).flatMap(([name, value]) => [`--${name}`, String(value)]);
      const { output, results } = await bench('realtime', ...args, '--only', 'b,d,e');
      const { entrants, ratios, goals } = results as unknown as RealtimeResults;
      expect(results).toMatchObject({ bench: 'realtime', options: sizes, variables: {} });
      expect(Object.keys(entrants)).toEqual(['b', 'd', 'e']);
      for (const { title, runs } of Object.values(entrants)) {
        expect(output).toContain(title);
        expect(runs).toHaveLength(1);
        const [{ count, latencyMs, bytesPerConnection }] = runs as [RealtimeStanding['runs'][number]];
        expect(count).toBe((connections / topics) * rate * seconds);
        expect(latencyMs.p50).toBeGreaterThan(0);
        expect(latencyMs.p50).toBeLessThanOrEqual(latencyMs.p99);
        expect(latencyMs.p99).toBeLessThanOrEqual(latencyMs.max);
        expect(bytesPerConnection).toEqual({
          idle: expect.any(Number) as unknown,
          used: expect.any(Number) as unknown,
        });
      }
      const [own, peer] = [entrants.d, entrants.b].map(({ runs }) => runs[0]?.deliveriesPerCpuSecond ?? 0);
      expect(ratios['d/b']).toBeCloseTo((own ?? 0) / (peer ?? 0));
      expect(Object.keys(goals)).toEqual(['p99', 'memory', 'd/b']);
    },
    runLimitMs,
  );

  test('leaves nothing behind but its results', () => {
    expect(readdirSync(folder).filter((name) => !name.startsWith('out-'))).toEqual([]);
  });

  test('refuses options it does not know before it starts anything', async () => {
    const refused = run(process.execPath, [path.join(checkout, 'tools/bench.mjs'), 'batch', '--quick']);
    await expect(refused).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining("'--quick'") as string,
    });
  });
});
