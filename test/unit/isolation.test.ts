import { createIsolation } from '../../src/activities/batch/isolation';

const never = new AbortController().signal;

function gate(): { opened: Promise<void>; open(): void } {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

describe('isolation', () => {
  test('one at a time, in the order of arrival', async () => {
    const isolation = createIsolation();
    const steps: string[] = [];
    const first = gate();
    const work = (name: string, until?: Promise<void>) => async () => {
      steps.push(`${name} begins`);
      await until;
      steps.push(`${name} ends`);
    };
    const all = [
      isolation.turn(never, work('a', first.opened), work('-')),
      isolation.turn(never, work('b'), work('-')),
      isolation.turn(never, work('c'), work('-')),
    ];
    first.open();
    await Promise.all(all);
    expect(steps).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
  });

  test('who gives up waiting does so at once, and whoever comes after still waits for the one at work', async () => {
    const isolation = createIsolation();
    const first = gate();
    const steps: string[] = [];
    const step = (name: string) => async () => void steps.push(name);
    const working = isolation.turn(
      never,
      async () => {
        await first.opened;
        steps.push('first');
      },
      step('-'),
    );
    const impatient = new AbortController();
    const gaveUp = isolation.turn(impatient.signal, step('-'), step('gave up'));
    const last = isolation.turn(never, step('last'), step('-'));
    impatient.abort();
    await gaveUp;
    expect(steps).toEqual(['gave up']);
    first.open();
    await Promise.all([working, last]);
    expect(steps).toEqual(['gave up', 'first', 'last']);
  });

  test('a turn that fails lets the next one in', async () => {
    const isolation = createIsolation();
    const failing = isolation.turn(
      never,
      () => Promise.reject(new Error('no')),
      () => Promise.resolve(),
    );
    await expect(failing).rejects.toThrow('no');
    await expect(
      isolation.turn(
        never,
        async () => 'in',
        async () => 'out',
      ),
    ).resolves.toBe('in');
  });
});
