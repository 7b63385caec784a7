import fc from 'fast-check';
import { withOpenSecrets } from '../../src/activities/handlers/open-secrets';
import { defineHandler } from '../../src/activities/handlers/define-handler';
import type { Json } from '../../src/domain/batch/job';
import { openParams, redactParams, sealParams } from '../../src/domain/handler/secret-params';
import { createParamsCipher } from '../../src/platform/secrets/params-cipher';
import { createSecretBox } from '../../src/platform/secrets/secret-box';
import { recordBatch, toItems } from '../support/handler-batch';

const OLD = Buffer.alloc(32, 1);
const NEW = Buffer.alloc(32, 2);
const cipherOf = (...keys: Buffer[]) => createParamsCipher(createSecretBox(keys));
const { sealFor, openFor } = cipherOf(OLD);

/** JSON in which the mark itself is a likely name. */
const name = fc.oneof(fc.constantFrom('$sealed', 'a', 'b', '__proto__'), fc.string());
const { json } = fc.letrec<{ json: Json }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 4 },
    fc.oneof(
      fc.string(),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.boolean(),
      fc.constant(null),
    ),
    fc.array(tie('json'), { maxLength: 3 }),
    fc.dictionary(name, tie('json'), { maxKeys: 3, noNullPrototype: true }),
  ),
}));
/** As it comes out of a request. */
const plain = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

describe('secret params', () => {
  test('come back as they were, whatever they look like, and what is none is not touched', () => {
    fc.assert(
      fc.property(json, json, (secret, open) => {
        const params = plain({ secret, open, half: { KEY: secret, open } });
        const sealed = sealParams(params, ['secret', 'half.key'], sealFor('tnt_a'));
        expect(openParams(sealed, ['secret', 'half.key'], openFor('tnt_a'))).toEqual(params);
        expect(sealed).toMatchObject({ open: plain(open) });
      }),
    );
  });

  test('show their names and none of their values', () => {
    const params = {
      url: 'https://example.com',
      secret_headers: {
        Authorization: 'Bearer hunter2',
        'X-Pin': 4711,
        deep: [true, null, { x: 'hunter2' }],
      },
      headers: { COOKIE: 'hunter2', accept: '*/*' },
    };
    const sealed = sealParams(params, ['secret_headers', 'headers.cookie'], sealFor('tnt_a'));
    expect(JSON.stringify(sealed)).not.toMatch(/hunter2|4711/);
    expect(redactParams(sealed)).toEqual({
      url: 'https://example.com',
      secret_headers: {
        Authorization: '[redacted]',
        'X-Pin': '[redacted]',
        deep: ['[redacted]', null, { x: '[redacted]' }],
      },
      headers: { COOKIE: '[redacted]', accept: '*/*' },
    });
  });

  test('a ciphertext that is handed in as a param is a text like any other: nobody has it opened', () => {
    const [foreign] = Object.values(
      sealParams({ k: 'hunter2' }, ['k'], sealFor('tnt_a')) as object,
    ) as Json[];
    const handedIn = { secret: foreign as Json, plain: foreign as Json };
    const kept = sealParams(handedIn, ['secret'], sealFor('tnt_a'));
    expect(openParams(kept, ['secret'], openFor('tnt_a'))).toEqual(handedIn);
  });

  test('open neither for another tenant nor without their key, and with each of the keys there are', () => {
    const sealed = sealParams({ k: 'hunter2' }, ['k'], sealFor('tnt_a'));
    expect(() => openParams(sealed, ['k'], openFor('tnt_b'))).toThrow();
    expect(() => openParams(sealed, ['k'], cipherOf(NEW).openFor('tnt_a'))).toThrow();
    expect(openParams(sealed, ['k'], cipherOf(NEW, OLD).openFor('tnt_a'))).toEqual({ k: 'hunter2' });
  });
});

describe('a handler with secret params', () => {
  const seen: unknown[] = [];
  const handler = defineHandler({
    name: 'h',
    description: 'd',
    secretParams: ['key'],
    run: (_item, ctx) => void seen.push(ctx.params),
  });
  const params = sealParams({ key: 'hunter2', url: 'x' }, ['key'], sealFor('tnt_1'));
  beforeEach(() => void seen.splice(0));

  test('gets them in clear', async () => {
    const record = recordBatch({ params });
    await withOpenSecrets(handler, openFor).runItems(toItems([1]), record.batch);
    expect(seen).toEqual([{ key: 'hunter2', url: 'x' }]);
    expect(record.outcomes).toMatchObject([{ status: 'succeeded' }]);
  });

  test('is not called where they cannot be decrypted: each item fails once, and nothing is told of the secret', async () => {
    const logged: unknown[] = [];
    const note = (...words: unknown[]): void => void logged.push(words);
    const record = recordBatch({ params, log: { debug: note, info: note, warn: note, error: note } });
    await withOpenSecrets(handler, cipherOf(NEW).openFor).runItems(toItems([1, 2]), record.batch);
    expect(seen).toEqual([]);
    expect(record.byIndex()).toMatchObject([
      { index: 0, status: 'failed', error: { code: 'secret_unreadable' }, attempts: 1 },
      { index: 1, status: 'failed', error: { code: 'secret_unreadable' }, attempts: 1 },
    ]);
    expect(logged).toHaveLength(1);
    expect(JSON.stringify([logged, record.outcomes])).not.toMatch(/hunter2|sealed"/);
  });

  test('that has none is left as it is', () => {
    const open = defineHandler({ name: 'h', description: 'd', run: () => 1 });
    expect(withOpenSecrets(open, openFor)).toBe(open);
  });

  test('names them as a list of texts', () => {
    const wrong = { name: 'h', description: 'd', secretParams: 'key' as never, run: () => 1 };
    expect(() => defineHandler(wrong)).toThrow('secretParams of handler h');
  });
});
