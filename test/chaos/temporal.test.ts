import { Client, Connection } from '@temporalio/client';
import { workflowIdFor } from '../../src/domain/ids';
import { createJob, expectOneResultEach, jobEnded, numbered, succeededOf } from '../support/job-client';
import { type OwnTemporal, startOwnTemporal } from '../support/own-servers';
import { HANDLERS_DIR, type Product, startProduct } from '../support/product';
import { until } from '../support/wait';

const ITEMS = 1_500;

describe('a job outlives its workflow', () => {
  let product: Product;
  let server: OwnTemporal;
  let client: Client;

  beforeAll(async () => {
    server = await startOwnTemporal();
    product = await startProduct({
      temporalAddress: server.address,
      namespace: 'default',
      env: { MILLRACE_HANDLERS_DIR: HANDLERS_DIR },
    });
    await product.startWorker();
    client = new Client({ connection: Connection.lazy({ address: server.address }) });
  });
  afterAll(async () => {
    await client.connection.close();
    await product.close();
    await server.remove();
  });

  const running = async (): Promise<string> => {
    const items = numbered(ITEMS, { ms: 60 });
    const { id } = await createJob(product, { handler: 'tick', items, options: { max_concurrency: 50 } });
    await succeededOf(product, id, 50);
    return id;
  };

  test('terminated by hand, it is started again and every item has one result', async () => {
    const id = await running();
    await client.workflow.getHandle(workflowIdFor.batch(product.tenantId, id)).terminate('by hand');
    await expectOneResultEach(product, id, { total: ITEMS });
  });

  test('with all of Temporal’s data lost, it is started again and every item has one result', async () => {
    const id = await running();
    await server.end();
    server.forget();
    await server.start();
    await expectOneResultEach(product, id, { total: ITEMS });
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
    await server.end();
    const { id, status } = await createJob(product, { handler: 'echo', items: [1, 2, 3] });
    expect(status).toBe('queued');
    await server.start();
    expect(await jobEnded(product, id)).toMatchObject({ status: 'completed', counts: { succeeded: 3 } });
  });
});
