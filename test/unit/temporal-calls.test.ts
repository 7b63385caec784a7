import { connectTemporal, type TemporalClient } from '../../src/platform/temporal/connection';

/** Nothing is asked of a server: it is about what Node has to follow while a call is under way, and after it. */
let temporal: TemporalClient;
const storeNow = (): unknown => temporal.connection.callContextStorage.getStore();

beforeEach(() => {
  temporal = connectTemporal({ address: '127.0.0.1:1', namespace: 'none' });
});
afterEach(() => temporal.close());

test('a call carries its deadline, also behind what it waits for', async () => {
  const before = Date.now();
  const store = await temporal.within(5_000, async () => {
    await new Promise((resolve) => setImmediate(resolve));
    return storeNow();
  });
  const { deadline } = store as { deadline: number };
  expect(deadline).toBeGreaterThanOrEqual(before + 5_000);
});

test('when no call is under way, nothing is followed any more', async () => {
  let look = Promise.resolve<unknown>('not yet');
  const first = temporal.within(1_000, async () => {
    look = new Promise((resolve) => setTimeout(() => resolve(storeNow()), 20));
  });
  await first;
  expect(await look).toBeUndefined();
});

test('the end of one call takes nothing from another that is under way, nor does a failure', async () => {
  let goOn = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const long = temporal.within(9_000, async () => {
    await held;
    return storeNow();
  });
  await temporal.within(1_000, async () => undefined);
  await expect(temporal.within(1_000, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  goOn();
  expect(await long).toMatchObject({ deadline: expect.any(Number) as unknown });
});
