import { EventSource } from 'eventsource';
import { createJob } from '../support/job-client';
import { type Product, startProduct } from '../support/product';
import { until } from '../support/wait';

describe('the items of a job as they end', () => {
  let product: Product;

  beforeAll(async () => {
    product = await startProduct();
    await product.startWorker();
  });
  afterAll(() => product.close());

  test('come to whoever asks for them, and to nobody else', async () => {
    const { id } = await createJob(product, {
      handler: 'transform',
      params: { expression: '$ > 2 ? $error("no") : $' },
    });
    const lines = [1, 2, 3].map((n) => JSON.stringify({ custom_id: `n-${n}`, input: n })).join('\n');
    await product.call('PUT', `/v1/jobs/${id}/items`, lines, { 'content-type': 'application/x-ndjson' });
    const [asking, other] = [follow(id, '?items=true'), follow(id, '')];
    await until(
      'both streams',
      () => asking.events.includes('snapshot') && other.events.includes('snapshot'),
    );
    await product.json('POST', `/v1/jobs/${id}/start`);
    await until('the end', () => asking.events.includes('done') && other.events.includes('done'));
    const items = [...asking.items].sort((a, b) => a.index - b.index);
    expect(items.map(({ index, custom_id, status }) => [index, custom_id, status])).toEqual([
      [0, 'n-1', 'succeeded'],
      [1, 'n-2', 'succeeded'],
      [2, 'n-3', 'failed'],
    ]);
    expect(other.events).not.toContain('item');
    asking.close();
    other.close();
  });

  interface Item {
    index: number;
    custom_id: string;
    status: string;
  }

  function follow(id: string, query: string) {
    const events: string[] = [];
    const items: Item[] = [];
    const source = new EventSource(`${product.url}/v1/jobs/${id}/events${query}`, {
      fetch: (url, init) =>
        fetch(url, { ...init, headers: { ...init.headers, authorization: `Bearer ${product.key}` } }),
    });
    for (const event of ['snapshot', 'item', 'done']) {
      source.addEventListener(event, ({ data }) => {
        events.push(event);
        if (event === 'item') items.push(JSON.parse(data as string) as Item);
      });
    }
    return { events, items, close: () => source.close() };
  }
});
