import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadHandlers } from '../../src/activities/handlers/load';
import { toRemoteHandler } from '../../src/activities/handlers/remote-handler';
import type { Json } from '../../src/domain/batch/job';
import { isRemote, remoteTaskQueue } from '../../src/domain/handler/remote';
import { recordBatch } from '../support/handler-batch';

const LEAST = { name: 'far', description: 'Elsewhere.', remote: true };

describe('the declaration of a handler in another language', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'millrace-handlers-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test('is loaded beside the others, and shows its schemas as they stand', async () => {
    const input = { type: 'object', properties: { n: { type: 'integer' } } };
    writeFileSync(path.join(folder, 'far.handler.json'), JSON.stringify({ ...LEAST, input }));
    writeFileSync(path.join(folder, 'notes.json'), 'not a handler');
    writeFileSync(
      path.join(folder, 'near.cjs'),
      `exports.handler = { name: 'near', description: '', run: () => 1 };`,
    );
    const [far, near, ...more] = await loadHandlers(folder);
    expect(more).toEqual([]);
    expect([isRemote(far), isRemote(near)]).toEqual([true, false]);
    expect(far).toMatchObject({ name: 'far', inputSchema: input, paramsSchema: null, outputSchema: null });
    expect(remoteTaskQueue('far')).toBe('handler.far');
  });

  test.each([
    ['{', /JSON/],
    [{ ...LEAST, remote: undefined }, /remote/],
    [{ ...LEAST, remote: false }, /expected true/],
    [{ ...LEAST, name: 'near' }, /declares near, but is named far/],
    [{ ...LEAST, name: 'Far away' }, /lower-case/],
    [{ ...LEAST, description: '' }, /description/],
    [{ ...LEAST, run: 'x' }, /run/],
    [{ ...LEAST, secret_params: ['headers.Authorization'] }, /lower case/],
    [{ ...LEAST, input: 'string' }, /JSON Schema/],
    [{ ...LEAST, input: { type: 'text' } }, /schema of input/],
    [{ ...LEAST, input: { minimun: 3 } }, /unknown keyword: "minimun"/],
    [{ ...LEAST, input: { format: 'e-mail' } }, /unknown format "e-mail"/],
    [{ ...LEAST, params: { $ref: 'https://example.com/schema' } }, /schema of params.*can't resolve/],
    [{ ...LEAST, output: { $async: true, type: 'string' } }, /\$async/],
    [{ ...LEAST, output: { $schema: 'http://json-schema.org/draft-07/schema#' } }, /draft-07/],
  ])('that is %j is refused with the name of its file', async (declaration, why) => {
    const text = typeof declaration === 'string' ? declaration : JSON.stringify(declaration);
    writeFileSync(path.join(folder, 'far.handler.json'), text);
    await expect(loadHandlers(folder)).rejects.toThrow(/far\.handler\.json cannot be loaded/);
    await expect(loadHandlers(folder)).rejects.toThrow(why);
  });
});

describe('the schemas of a handler in another language', () => {
  test('refuse params where the request that creates the job has them', async () => {
    const params = {
      type: 'object',
      properties: { 'a/b': { type: 'object', properties: { n: { type: 'integer', minimum: 1 } } } },
      required: ['a/b'],
      additionalProperties: false,
    };
    const { validateParams } = toRemoteHandler({ ...LEAST, params });
    await expect(validateParams({ 'a/b': { n: 1 } })).resolves.toBeUndefined();
    for (const [value, pointer, detail] of [
      [{}, '/params', /required/],
      [{ 'a/b': {}, c: 1 }, '/params', /"c"/],
      [{ 'a/b': { n: 0 } }, '/params/a~1b/n', />= 1/],
    ] as [Json, string, RegExp][]) {
      await expect(validateParams(value)).rejects.toMatchObject({
        code: 'invalid_params',
        errors: [{ pointer, detail: expect.stringMatching(detail) }],
      });
    }
  });

  test('are those of draft 2020-12, formats and unions included', () => {
    const { inputFault, outputFault } = toRemoteHandler({
      ...LEAST,
      input: {
        $schema: 'https://json-schema.org/draft/2020-12/schema',
        $defs: { day: { type: 'string', format: 'date' } },
        type: ['array', 'null'],
        prefixItems: [{ $ref: '#/$defs/day' }, { type: 'number' }],
        items: false,
      },
      output: { anyOf: [{ required: ['a'] }, { required: ['b'] }], unevaluatedProperties: false },
    });
    for (const fine of ['null', '[]', '["2026-02-28"]', '["2026-02-28", 1.5]']) {
      expect(inputFault(fine)).toBeUndefined();
    }
    expect(inputFault('["2026-02-30"]')).toBe('/0: must match format "date"');
    expect(inputFault('["2026-02-28",1,2]')).toMatch(/must NOT have more than 2 items/);
    expect(inputFault('{}')).toBe('must be array,null');
    expect(outputFault('{}')).toMatch(/required property 'a'/);
    expect(toRemoteHandler({ ...LEAST, input: false }).inputFault('1')).toBe('boolean schema is false');
    expect(toRemoteHandler(LEAST).inputFault('1')).toBeUndefined();
  });

  test('change nothing of what they look at', async () => {
    const params = { type: 'object', properties: { n: { type: 'integer', default: 3 } } };
    const given = {};
    await toRemoteHandler({ ...LEAST, params }).validateParams(given);
    expect(given).toEqual({});
  });
});

test('nothing of it runs in this process', async () => {
  const { runItems } = toRemoteHandler(LEAST);
  await expect(runItems([], recordBatch().batch)).rejects.toMatchObject({ code: 'internal' });
});
