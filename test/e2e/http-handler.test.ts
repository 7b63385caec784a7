/** Jobs of the `http` handler in the whole product, against servers of the test's own. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { workflowIdFor } from '../../src/domain/ids';
import { createJob, type JobBody, jobEnded, resultLines } from '../support/job-client';
import { type Product, type Role, startProduct } from '../support/product';
import { testServers } from '../support/servers';

const TLS = path.join(__dirname, '../support/tls');
const CERTIFICATE = path.join(TLS, 'cert.pem');
const OPENED = '127.0.0.1';
const PRIVATE = '127.0.0.2';
const SECRET = 'hunter2-hunter2';
const [key, nextKey] = [0, 1].map(() => randomBytes(32).toString('base64'));

interface Hit {
  url: string;
  headers: http.IncomingHttpHeaders;
}

interface Target {
  origin: string;
  hits: Hit[];
  close(): void;
}

async function target(host: string, answer: http.RequestListener, secure = false): Promise<Target> {
  const hits: Hit[] = [];
  const listener: http.RequestListener = (req, res) => {
    hits.push({ url: req.url ?? '', headers: req.headers });
    answer(req, res);
  };
  const keys = { key: readFileSync(path.join(TLS, 'key.pem')), cert: readFileSync(CERTIFICATE) };
  const server = secure ? https.createServer(keys, listener) : http.createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  return {
    origin: `http${secure ? 's' : ''}://${host}:${(server.address() as AddressInfo).port}`,
    hits,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

const hello: http.RequestListener = (_req, res) =>
  res.writeHead(200, { 'content-type': 'application/json' }).end('{"hello": 12345678901234567890}');

describe('jobs of http', () => {
  let product: Product;
  let worker: Role;
  const targets: Target[] = [];
  const open = async (...wish: Parameters<typeof target>): Promise<Target> => {
    const made = await target(...wish);
    targets.push(made);
    return made;
  };

  beforeAll(async () => {
    product = await startProduct({
      env: { MILLRACE_EGRESS_ALLOW: `${OPENED}/32`, MILLRACE_SECRET_KEYS: key, LOG_LEVEL: 'debug' },
    });
    worker = await product.startWorker();
  });
  afterAll(async () => {
    for (const { close } of targets) close();
    await product.close();
  });

  const restartWorker = async (env: NodeJS.ProcessEnv): Promise<void> => {
    await worker.stop();
    worker = await product.startWorker(env);
  };
  const run = async (
    job: object,
  ): Promise<{ job: JobBody; lines: Awaited<ReturnType<typeof resultLines>> }> => {
    const { id } = await createJob(product, { handler: 'http', ...job });
    return { job: await jobEnded(product, id), lines: await resultLines(product, id) };
  };

  test('each item has its own request and the answer to it, and secrets arrive while nobody else sees them', async () => {
    const { origin, hits } = await open(OPENED, (req, res) =>
      res.writeHead(200, { 'content-type': 'application/json' }).end(`{"path": ${JSON.stringify(req.url)}}`),
    );
    const { job, lines } = await run({
      params: {
        url: `${origin}/things/{{input.id}}?n={{index}}`,
        secret_headers: { 'X-Secret': SECRET },
        response: 'body',
      },
      items: Array.from({ length: 300 }, (_, n) => ({ id: `a/${n}` })),
    });
    expect(job).toMatchObject({ status: 'completed', counts: { succeeded: 300 } });
    for (const { index, output } of lines)
      expect(output).toEqual({ path: `/things/a%2F${index}?n=${index}` });
    expect(new Set(hits.map(({ headers }) => headers['idempotency-key'])).size).toBe(300);
    expect(new Set(hits.map(({ headers }) => headers['x-secret']))).toEqual(new Set([SECRET]));
    const history = execFileSync(testServers().temporalBinary, [
      ...[
        'workflow',
        'show',
        '--workflow-id',
        workflowIdFor.batch(product.tenantId, job.id),
        '--output',
        'json',
      ],
      ...['--address', testServers().temporalAddress, '--namespace', product.namespace],
    ]).toString();
    expect(history).toContain(job.id);
    for (const text of [history, worker.log(), JSON.stringify(lines)]) {
      expect(text).not.toMatch(/hunter2|sealed|x-secret/i);
    }
  });

  test('what is private is not reached, whatever an item names, and the other items are', async () => {
    const inner = await open(PRIVATE, hello);
    const { origin } = await open(OPENED, (req, res) => {
      if (req.url === '/away') res.writeHead(307, { location: inner.origin }).end();
      else hello(req, res);
    });
    const urls = [
      origin,
      inner.origin,
      inner.origin.replace(PRIVATE, '[::ffff:127.0.0.2]'),
      'http://169.254.169.254/latest/meta-data',
      'file:///etc/passwd',
      `${origin}/away`,
    ];
    const { job, lines } = await run({ params: { url: '{{input}}' }, items: urls });
    expect(job.counts).toMatchObject({ succeeded: 1, failed: 5 });
    expect(lines.map(({ error }) => error?.code)).toEqual([
      undefined,
      ...Array<string>(4).fill('egress_denied'),
      'http_status',
    ]);
    expect(lines[0]?.output).toMatchObject({ status: 200 });
    expect(inner.hits).toEqual([]);
  });

  test('an item that is told to wait is tried again after that, however soon the policy would', async () => {
    const first = new Map<string, number>();
    const waits: number[] = [];
    const { origin } = await open(OPENED, (req, res) => {
      const before = first.get(req.url ?? '');
      first.set(req.url ?? '', before ?? performance.now());
      if (before !== undefined) waits.push(performance.now() - before);
      if (before === undefined) res.writeHead(429, { 'retry-after': '3' }).end();
      else hello(req, res);
    });
    const { job, lines } = await run({
      params: { url: `${origin}/{{index}}` },
      items: [1, 2, 3],
      options: { retry: { max_attempts: 2, initial_interval_ms: 10 } },
    });
    expect(job).toMatchObject({ status: 'completed' });
    expect(lines.map(({ attempts }) => attempts)).toEqual([2, 2, 2]);
    // What falls due within a second is taken along.
    expect(Math.min(...waits)).toBeGreaterThan(1_000);
  });

  test('a certificate is refused unless the operator vouches for it, and no proxy of the environment is asked', async () => {
    const { origin, hits } = await open(OPENED, hello, true);
    const proxy = await open(OPENED, hello);
    const job = { params: { url: origin }, items: [1] };
    expect((await run(job)).lines[0]?.error?.code).toBe('tls_failed');
    expect(hits).toEqual([]);
    const proxies = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'http_proxy', 'https_proxy'];
    await restartWorker({
      NODE_EXTRA_CA_CERTS: CERTIFICATE,
      NODE_USE_ENV_PROXY: '1',
      ...Object.fromEntries(proxies.map((name) => [name, proxy.origin])),
    });
    expect((await run(job)).lines[0]).toMatchObject({
      status: 'succeeded',
      output: { status: 200, headers: { 'content-type': 'application/json' } },
    });
    expect([hits.length, proxy.hits.length]).toEqual([1, 0]);
  });

  test('secrets outlive a change of keys, and without their key the items fail and the job ends', async () => {
    const { origin, hits } = await open(OPENED, hello);
    const job = {
      params: { url: origin, secret_headers: { Authorization: `Bearer ${SECRET}` } },
      items: [1, 2],
    };
    await restartWorker({ MILLRACE_SECRET_KEYS: `${nextKey},${key}` });
    expect((await run(job)).job).toMatchObject({ status: 'completed' });
    expect(hits.map(({ headers }) => headers.authorization)).toEqual(Array(2).fill(`Bearer ${SECRET}`));
    await restartWorker({ MILLRACE_SECRET_KEYS: nextKey });
    const { job: ended, lines } = await run(job);
    expect(ended).toMatchObject({ status: 'completed_with_errors', counts: { failed: 2 } });
    expect(lines.map(({ error }) => error?.code)).toEqual(Array(2).fill('secret_unreadable'));
    expect(hits).toHaveLength(2);
    // Done again once the key is back: what was sealed for the first job opens for the second.
    await restartWorker({ MILLRACE_SECRET_KEYS: `${nextKey},${key}` });
    const again = await product.json<JobBody>('POST', `/v1/jobs/${ended.id}/retry`);
    expect(await jobEnded(product, again.id)).toMatchObject({
      status: 'completed',
      counts: { succeeded: 2 },
    });
    expect(hits).toHaveLength(4);
  });
});
