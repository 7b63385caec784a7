import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { workflowIdFor } from '../../src/domain/ids';
import { findFreePort as freePort } from '../../tools/servers/ports';
import { createJob, jobEnded, resultLines } from '../support/job-client';
import { type Product, startProduct } from '../support/product';
import { testServers } from '../support/servers';
import { until } from '../support/wait';

const HANDLERS = path.join(__dirname, '../support/handlers');
const ITEMS = 1_500;
const items = Array.from({ length: ITEMS }, (_, n) => ({ n, ms: 60 }));

describe('a job outlives its workflow', () => {
  let product: Product;
  let server: TemporalServer;
  let client: Client;

  beforeAll(async () => {
    server = await startTemporal();
    product = await startProduct({
      temporalAddress: server.address,
      namespace: 'default',
      env: { MILLRACE_HANDLERS_DIR: HANDLERS },
    });
    await product.startWorker();
    client = new Client({ connection: Connection.lazy({ address: server.address }) });
  });
  afterAll(async () => {
    await client.connection.close();
    await product.close();
    await server.kill();
  });

  const running = async (): Promise<string> => {
    const { id } = await createJob(product, { handler: 'tick', items, options: { max_concurrency: 50 } });
    await until('some results', async () => {
      const job = await product.json<{ counts: { succeeded: number } }>('GET', `/v1/jobs/${id}`);
      return job.counts.succeeded > 50;
    });
    return id;
  };
  const expectAll = async (id: string): Promise<void> => {
    expect(await jobEnded(product, id)).toMatchObject({ status: 'completed', counts: { succeeded: ITEMS } });
    expect((await resultLines(product, id)).map((line) => line.index)).toEqual(items.map((item) => item.n));
  };

  test('terminated by hand, it is started again and every item has one result', async () => {
    const id = await running();
    await client.workflow.getHandle(workflowIdFor.batch(product.tenantId, id)).terminate('by hand');
    await expectAll(id);
  });

  test('with all of Temporal’s data lost, it is started again and every item has one result', async () => {
    const id = await running();
    await server.kill();
    server = await startTemporal(server.port);
    await expectAll(id);
    // The new server knows the attributes again, so that operators find the job.
    const found = await until('the workflow to be listed', async () => {
      const list = client.workflow.list({
        query: `MillraceTenant = '${product.tenantId}' and MillraceStatus = 'completed'`,
      });
      for await (const workflow of list) return workflow;
      return undefined;
    });
    expect(found.workflowId).toBe(workflowIdFor.batch(product.tenantId, id));
  });

  test('accepted while Temporal is away, it runs when Temporal is back', async () => {
    await server.kill();
    const { id, status } = await createJob(product, { handler: 'echo', items: [1, 2, 3] });
    expect(status).toBe('queued');
    server = await startTemporal(server.port);
    expect(await jobEnded(product, id)).toMatchObject({ status: 'completed', counts: { succeeded: 3 } });
  });
});

interface TemporalServer {
  port: number;
  address: string;
  kill(): Promise<void>;
}

/**
 * A server of this test's own that keeps its data in memory: killed, it forgets everything. It looks for further free ports by
 * itself and gives up where another program is quicker, so it may take more than one launch.
 */
async function startTemporal(fixedPort?: number): Promise<TemporalServer> {
  const port = fixedPort ?? (await freePort());
  const address = `127.0.0.1:${port}`;
  let launched = launchTemporal(port);
  await until('Temporal to answer', async () => {
    if (launched.child.exitCode !== null) launched = launchTemporal(port);
    return answers(address);
  });
  return {
    port,
    address,
    async kill() {
      launched.child.kill('SIGKILL');
      await launched.exited;
    },
  };
}

function launchTemporal(port: number): { child: ChildProcess; exited: Promise<unknown> } {
  const args = ['server', 'start-dev', '--headless', '--ip', '127.0.0.1', '--port', String(port)];
  const child = spawn(testServers().temporalBinary, [...args, '--log-level', 'error'], { stdio: 'ignore' });
  return { child, exited: new Promise((resolve) => child.once('exit', resolve)) };
}

async function answers(address: string): Promise<boolean> {
  const connection = await Connection.connect({ address, connectTimeout: 1_000 });
  try {
    await connection.workflowService.describeNamespace({ namespace: 'default' });
    return true;
  } finally {
    await connection.close();
  }
}
