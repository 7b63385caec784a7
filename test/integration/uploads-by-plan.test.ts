import { connect } from 'node:net';
import { decodeId } from '../../src/domain/ids';
import { statement } from '../../src/platform/postgres/statement';
import { type BatchApi, startBatchApi } from '../support/batch-api';
import { NO_LIMITS } from '../support/principal';
import { createPlanStore } from '../../src/platform/postgres/plan-store';
import { until } from '../support/wait';

const COUNT_ITEMS = statement<{ n: number }>(
  'test.count_items',
  'select count(*)::int as n from items where job_id = $1',
);

let api: BatchApi;
let key: string;

beforeAll(async () => {
  api = await startBatchApi({ itemsMax: 5 });
  const plans = createPlanStore(api.database);
  await plans.insert({ name: 'three', limits: { ...NO_LIMITS, itemsPerJob: 3 } });
  await plans.insert({ name: 'six', limits: { ...NO_LIMITS, itemsPerJob: 6 } });
  ({ key } = await api.newTenant(['jobs:read', 'jobs:write'], 'three'));
});
afterAll(() => api.close());

async function newJob(by = key): Promise<string> {
  return (await api.call('/v1/jobs', { key: by, body: { handler: 'echo' } })).body.id;
}

const put = (id: string, contentType: string, body: string, by = key) =>
  api.call(`/v1/jobs/${id}/items`, {
    key: by,
    method: 'PUT',
    body,
    headers: { 'Content-Type': contentType },
  });

describe('an upload with more items than the plan allows', () => {
  it.each([
    ['application/x-ndjson', '1\n2\n\n3\n', '4\n5\n', 5],
    ['text/csv', 'a\n1\n2\n3\n', '4\n5\n', 5],
    ['application/json', '[1,2,\n3', ',\n4,5]', 3],
  ])('as %s is refused with the line of the first one too many', async (type, allowed, more, line) => {
    const id = await newJob();
    const fits = type === 'application/json' ? `${allowed}]` : allowed;
    expect((await put(id, type, fits)).body.counts.total).toBe(3);
    const { status, body } = await put(id, type, allowed + more);
    expect([status, body.code]).toEqual([422, 'too_many_items']);
    expect(body.errors).toEqual([{ line, detail: 'A job has at most 3 items.' }]);
    const [left] = await api.database.run(COUNT_ITEMS, [decodeId('job', id)]);
    expect(left?.n).toBe(3);
  });

  it('is told so while most of it has yet to be sent', async () => {
    const id = await newJob();
    const socket = connect(api.port, '127.0.0.1');
    let answer = '';
    socket.on('data', (chunk) => (answer += String(chunk)));
    const head = [
      `PUT /v1/jobs/${id}/items HTTP/1.1`,
      ...['Host: x', `Authorization: Bearer ${key}`, 'Content-Type: application/x-ndjson'],
      'Content-Length: 10000000',
    ];
    const line = `${JSON.stringify('x'.repeat(997))}\n`;
    socket.write(`${head.join('\r\n')}\r\n\r\n${line.repeat(10)}`);
    await until('the answer', () => answer.includes('too_many_items'));
    expect(answer).toMatch(/^HTTP\/1.1 422 /);
    socket.destroy();
  });

  it('or more than any plan allows: the smaller of the two counts', async () => {
    const large = await api.newTenant(['jobs:read', 'jobs:write'], 'six');
    const id = await newJob(large.key);
    const type = 'application/x-ndjson';
    expect((await put(id, type, '1\n'.repeat(5), large.key)).status).toBe(200);
    const { body } = await put(id, type, '1\n'.repeat(6), large.key);
    expect(body.errors).toEqual([{ line: 6, detail: 'A job has at most 5 items.' }]);
  });
});
