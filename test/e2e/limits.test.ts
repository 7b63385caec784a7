import { createExecutionLog, type ExecutionLog, type Step } from '../support/execution-log';
import { control, createJob, expectOneResultEach, jobEnded, numbered } from '../support/job-client';
import { HANDLERS_DIR, type Product, startProduct } from '../support/product';
import { until } from '../support/wait';

/** The guarantee is 2 s; five times that tells it from an item's 30 s on any machine. */
const EFFECT_MS = 10_000;

/** On two workers, since the limits hold over all of them. */
describe('limits that change while the job runs', () => {
  let product: Product;

  beforeAll(async () => {
    product = await startProduct({ env: { MILLRACE_HANDLERS_DIR: HANDLERS_DIR } });
    await Promise.all([product.startWorker(), product.startWorker()]);
  });
  afterAll(() => product.close());

  const change = (id: string, options: object): Promise<object> =>
    product.json('PATCH', `/v1/jobs/${id}`, { options });
  const clocked = async (
    log: ExecutionLog,
    { items, ms, options }: { items: number; ms: number; options: object },
  ): Promise<string> => {
    const { id } = await createJob(product, {
      handler: 'clocked',
      items: numbered(items, { ms, log: log.file }),
      options: { item_timeout_ms: 60_000, ...options },
    });
    return id;
  };
  const end = async (id: string): Promise<void> => {
    await control(product, id, 'cancel');
    await jobEnded(product, id);
  };

  test('a higher max_concurrency begins more items at once, though those in flight take 30 s', async () => {
    const log = createExecutionLog();
    const id = await clocked(log, { items: 200, ms: 30_000, options: { max_concurrency: 2 } });
    await until('two in flight', () => log.inFlight() === 2);
    await change(id, { max_concurrency: 60 });
    await until('sixty in flight', () => log.inFlight() === 60, EFFECT_MS);
    expect(log.steps().every(({ what }) => what === 'begin')).toBe(true);
    await end(id);
    expect(highest(log.steps())).toBe(60);
  });

  test('a lower max_concurrency lets what is in flight end, and from then on holds', async () => {
    const log = createExecutionLog();
    const id = await clocked(log, { items: 150, ms: 1_000, options: { max_concurrency: 60 } });
    await until('sixty in flight', () => log.inFlight() === 60);
    await change(id, { max_concurrency: 7 });
    const from = log.steps().length;
    const down = await until(
      'seven in flight',
      () => indexOf(log, from, (step) => step.inFlight <= 7),
      EFFECT_MS,
    );
    await until('two rounds more', () => log.steps().slice(down).filter(isBegin).length >= 14);
    expect(highest(log.steps().slice(down))).toBe(7);
    await change(id, { max_concurrency: null });
    await expectOneResultEach(product, id, { total: 150 });
  });

  test('a max_rps given, changed and taken away on the way holds from then on, and no longer', async () => {
    const log = createExecutionLog();
    const id = await clocked(log, { items: 400, ms: 1_000, options: { max_concurrency: 40 } });
    await until('forty in flight', () => log.inFlight() === 40);
    await change(id, { max_rps: 4 });
    const slow = await until('a pace of 4/s', () => paced(log, 4, 12), EFFECT_MS);
    await until('12 more', () => log.begins().length >= slow + 24);
    expectPace(log.begins().slice(slow), 4);

    await change(id, { max_rps: 20 });
    const from = log.begins().length;
    // At 4/s these would take 15 s.
    await until('a higher pace', () => log.begins().length >= from + 60, EFFECT_MS);
    expectPace(log.begins().slice(from), 20);

    await change(id, { max_rps: null });
    await until('forty in flight', () => log.inFlight() === 40, EFFECT_MS);
    await end(id);
  });
});

function isBegin({ what }: Step): boolean {
  return what === 'begin';
}

function highest(steps: readonly Step[]): number {
  return Math.max(...steps.map(({ inFlight }) => inFlight));
}

/** Of the first step from `from` on that is so; false where none is. */
function indexOf(log: ExecutionLog, from: number, isSo: (step: Step) => boolean): number | false {
  const found = log.steps().findIndex((step, at) => at >= from && isSo(step));
  return found >= 0 && found;
}

/** The first of the last `count` beginnings, once they keep the pace. */
function paced(log: ExecutionLog, rps: number, count: number): number | false {
  const begins = log.begins();
  const first = begins.length - count;
  return first >= 0 && spanMs(begins.slice(first)) >= leastMs(count, rps) && first;
}

/** Beginnings are given out in blocks of a quarter of a second, and a worker may be slow to use the first of one. */
const SLACK_MS = 500;

function leastMs(count: number, rps: number): number {
  return ((count - 1) * 1_000) / rps - SLACK_MS;
}

function spanMs(begins: readonly Step[]): number {
  return (begins.at(-1)?.at ?? 0) - (begins[0]?.at ?? 0);
}

function expectPace(begins: readonly Step[], rps: number): void {
  expect(spanMs(begins)).toBeGreaterThanOrEqual(leastMs(begins.length, rps));
}
