import fc from 'fast-check';
import { createLifecycle } from '../../src/platform/lifecycle';
import { createLogger } from '../../src/platform/logger';
import { createSecretBox, SecretBoxError } from '../../src/platform/secrets/secret-box';

const quiet = { info: () => undefined, error: () => undefined };

describe('the lifecycle', () => {
  test('closes in reverse order, each step after the one before has ended', async () => {
    const seen: string[] = [];
    const lifecycle = createLifecycle(quiet);
    for (const name of ['first', 'second', 'third']) {
      lifecycle.onClose(name, async () => {
        seen.push(`${name} begins`);
        await Promise.resolve();
        seen.push(`${name} ends`);
      });
    }
    expect(lifecycle.closing).toBe(false);
    const closed = lifecycle.close();
    expect(lifecycle.closing).toBe(true);
    expect(await closed).toBe(true);
    expect(seen).toEqual(['third', 'second', 'first'].flatMap((name) => [`${name} begins`, `${name} ends`]));
  });

  test('closes once, however often it is asked', async () => {
    let closes = 0;
    const lifecycle = createLifecycle(quiet);
    lifecycle.onClose('x', () => closes++);
    await Promise.all([lifecycle.close(), lifecycle.close()]);
    await lifecycle.close();
    expect(closes).toBe(1);
  });

  test('goes on past a step that fails, throws or never ends, and says so', async () => {
    const failed: unknown[] = [];
    const seen: string[] = [];
    const lifecycle = createLifecycle({ info: () => undefined, error: (fields) => failed.push(fields) });
    lifecycle.onClose('last', () => seen.push('last'));
    lifecycle.onClose('hangs', () => new Promise(() => undefined), 10);
    lifecycle.onClose('rejects', () => Promise.reject(new Error('no')));
    lifecycle.onClose('throws', () => {
      throw new Error('no');
    });
    expect(await lifecycle.close()).toBe(false);
    expect(seen).toEqual(['last']);
    expect(failed).toMatchObject([{ step: 'throws' }, { step: 'rejects' }, { step: 'hangs' }]);
  });

  test('takes nothing more once it closes', async () => {
    const lifecycle = createLifecycle(quiet);
    await lifecycle.close();
    expect(() => lifecycle.onClose('late', () => undefined)).toThrow(/late/);
  });
});

describe('the secret box', () => {
  const key = (fill: number): Uint8Array => Buffer.alloc(32, fill);

  test('opens what it sealed, in the same context only', () => {
    const box = createSecretBox([key(1)]);
    fc.assert(
      fc.property(fc.uint8Array(), fc.string(), (plain, context) => {
        const sealed = box.seal(plain, context);
        expect(Buffer.from(box.open(sealed, context))).toEqual(Buffer.from(plain));
        expect(() => box.open(sealed, `${context}x`)).toThrow(SecretBoxError);
      }),
      { numRuns: 50 },
    );
  });

  test('notices any changed byte', () => {
    const box = createSecretBox([key(1)]);
    const sealed = box.seal(Buffer.from('secret'), 'x');
    for (let at = 0; at < sealed.length; at++) {
      const altered = Uint8Array.from(sealed);
      altered[at] = (altered[at] ?? 0) ^ 1;
      expect(() => box.open(altered, 'x')).toThrow(SecretBoxError);
    }
    for (const length of [0, 5, 32])
      expect(() => box.open(sealed.slice(0, length), 'x')).toThrow(SecretBoxError);
  });

  test('seals the same text differently each time', () => {
    const box = createSecretBox([key(1)]);
    expect(box.seal(Buffer.from('a'), 'x')).not.toEqual(box.seal(Buffer.from('a'), 'x'));
  });

  test('after a change of keys opens what the old one sealed, and seals with the new one', () => {
    const sealed = createSecretBox([key(1)]).seal(Buffer.from('old'), 'x');
    const both = createSecretBox([key(2), key(1)]);
    expect(Buffer.from(both.open(sealed, 'x')).toString()).toBe('old');
    const fresh = both.seal(Buffer.from('new'), 'x');
    expect(Buffer.from(createSecretBox([key(2)]).open(fresh, 'x')).toString()).toBe('new');
    expect(() => createSecretBox([key(1)]).open(fresh, 'x')).toThrow(/MILLRACE_SECRET_KEYS/);
  });

  test('wants keys of 32 bytes, at least one', () => {
    expect(() => createSecretBox([])).toThrow(SecretBoxError);
    expect(() => createSecretBox([Buffer.alloc(16)])).toThrow(SecretBoxError);
  });
});

describe('the log', () => {
  function logged(write: (log: ReturnType<typeof createLogger>) => void): string {
    let text = '';
    const destination = { write: (line: string) => void (text += line) };
    write(createLogger({ level: 'info', role: 'api', destination }));
    return text;
  }

  const key = `mrk_${'a1B2'.repeat(9)}`;

  test.each<[string, (log: ReturnType<typeof createLogger>) => void]>([
    [
      'in a field of that name',
      (log) => log.info({ authorization: 'hunter2', req: { cookie: 'hunter2' } }, 'x'),
    ],
    ['in a message', (log) => log.info({}, `key ${key}`)],
    ['deep in an object', (log) => log.info({ a: { b: { c: [key] } } }, 'x')],
    ['in the address of a server', (log) => log.info({ url: 'postgres://user:hunter2@host/db' }, 'x')],
    ['in an error and its cause', (log) => log.info({ err: new Error('x', { cause: new Error(key) }) }, 'x')],
    ['in a query', (log) => log.info({ path: '/v1/x?ticket=hunter2&a=1' }, 'x')],
  ])('never shows a secret %s', (_title, write) => {
    expect(logged(write)).toContain('redacted');
    expect(logged(write)).not.toMatch(/hunter2|a1B2a1B2/);
  });

  test('is one JSON object a line, with level, role and time', () => {
    const line = logged((log) => log.child({ request_id: 'r' }).warn({ job_id: 'j' }, 'hello'));
    expect(JSON.parse(line)).toMatchObject({
      level: 'warn',
      role: 'api',
      request_id: 'r',
      job_id: 'j',
      message: 'hello',
    });
  });
});
