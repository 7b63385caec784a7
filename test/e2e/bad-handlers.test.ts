/** Whatever a handler does costs the item it does it to, by a code that says so, and no other. */
import { createJob, jobEnded, type ResultLine, resultLines } from '../support/job-client';
import { startSupervised, type SupervisedProduct } from '../support/supervisor';

describe('a handler that misbehaves', () => {
  let supervised: SupervisedProduct;
  beforeAll(async () => {
    supervised = await startSupervised();
  });
  afterAll(() => supervised.close());

  /** What each way of an item came to; items that behave stand between them. */
  const run = async (handler: string, ways: readonly string[]): Promise<Map<string, ResultLine>> => {
    const { product } = supervised;
    const items = ways.flatMap((how, i) => [{ n: 2 * i }, { n: 2 * i + 1, how }]);
    const { id } = await createJob(product, { handler, items, options: { item_timeout_ms: 1_000 } });
    await jobEnded(product, id, 240_000);
    const lines = await resultLines(product, id);
    expect(lines.map(({ index }) => index)).toEqual([...items.keys()]);
    return new Map(lines.map((line) => [items[line.index]?.how ?? `well ${line.index}`, line]));
  };
  const expectWell = (lines: Map<string, ResultLine>): void => {
    for (const [how, { index, status, output }] of lines) {
      if (how.startsWith('well')) expect([status, output]).toEqual(['succeeded', { n: index }]);
    }
  };

  const FAILURES = {
    throw: 'handler_failed',
    reject: 'handler_failed',
    'throw-nothing': 'handler_failed',
    bigint: 'output_not_storable',
    circle: 'output_not_storable',
    function: 'output_not_storable',
    large: 'output_too_large',
    nul: 'output_not_storable',
    'wrong-shape': 'output_invalid',
    never: 'handler_timeout',
    deaf: 'handler_timeout',
    'no-such-way': 'input_invalid',
  };

  test('fails the item by a code that says how, and the items beside it succeed', async () => {
    const lines = await run('bad', Object.keys(FAILURES));
    expectWell(lines);
    const codes = Object.keys(FAILURES).map((how) => [how, lines.get(how)?.error?.code]);
    expect(Object.fromEntries(codes)).toEqual(FAILURES);
    expect(lines.get('throw')?.error?.message).toBe('no luck');
  });

  test('that answers for many fails those that it says, those it forgets, and all of a call that throws', async () => {
    const ways = ['fail', 'wrong-shape', 'silent', 'well'];
    const lines = await run('bad-many', ways);
    expectWell(lines);
    expect(ways.map((how) => lines.get(how)?.error?.code)).toEqual([
      'out_of_stock',
      'output_invalid',
      'handler_failed',
      undefined,
    ]);
    const thrown = await run('bad-many', ['throw']);
    expect([...thrown.values()].map(({ error }) => error?.message)).toEqual(
      Array(2).fill('no luck with this call'),
    );
  });

  test('ends the process by an error that nobody catches: the item fails as handler_crashed', async () => {
    const lines = await run('bad', ['throw', 'throw-later']);
    expectWell(lines);
    expect(['throw', 'throw-later'].map((how) => lines.get(how)?.error?.code)).toEqual([
      'handler_failed',
      'handler_crashed',
    ]);
  }, 300_000);
});
