import { z } from 'zod';
import { defineHandler } from '../../src/activities/handlers/define-handler';
import { builtInHandlers } from '../../src/activities/handlers/index';
import type { ExpressionEvaluator, HttpClient } from '../../src/activities/handlers/ports';
import { createHandlerRegistry } from '../../src/activities/handlers/registry';
import { AppError } from '../../src/domain/errors';
import type { EvaluateMany } from '../../src/domain/handler/expression';
import { recordBatch, runAll, toItem } from '../support/handler-batch';

const unused: ExpressionEvaluator = {
  check: () => Promise.resolve(),
  evaluateMany: () => Promise.reject(new Error('unused')),
};

const noHttp: HttpClient = {
  refusal: () => undefined,
  exchange: () => Promise.reject(new Error('unused')),
};

function builtIn(name: string, evaluator = unused) {
  const handler = createHandlerRegistry(builtInHandlers({ evaluator, http: noHttp })).get(name);
  if (!handler) throw new Error(`there is no ${name}`);
  return handler;
}

describe('echo', () => {
  test.each(['1.0', '12345678901234567890', ' {"a" :1, "a":2}', '"\\u00e9"', '1e2', 'null'])(
    'answers the exact text %s',
    async (text) => {
      const record = recordBatch();
      await builtIn('echo').runItems([toItem(0, text)], record.batch);
      expect(record.outcomes).toEqual([
        { index: 0, status: 'succeeded', output: text, error: null, attempts: 1, durationMs: 0 },
      ]);
    },
  );

  test('fails an input that cannot be stored as an output, and no other', async () => {
    const record = recordBatch();
    await builtIn('echo').runItems([toItem(0, '1'), toItem(1, '1e400000'), toItem(2, '2')], record.batch);
    expect(record.byIndex().map(({ output, error }) => output ?? error?.code)).toEqual([
      '1',
      'output_not_storable',
      '2',
    ]);
  });

  test('stops between items when told so', async () => {
    let asked = 0;
    const record = recordBatch({ mayStart: () => ++asked <= 3 });
    await builtIn('echo').runItems(
      [1, 2, 3, 4, 5].map((n) => toItem(n, '0')),
      record.batch,
    );
    expect(record.outcomes.map(({ index }) => index)).toEqual([1, 2, 3]);
  });
});

describe('transform', () => {
  test('hands the texts to the sandbox under its tenant and job, and reports each outcome as it comes', async () => {
    const calls: EvaluateMany[] = [];
    const evaluator: ExpressionEvaluator = {
      ...unused,
      evaluateMany: (call) => {
        calls.push(call);
        call.onEvaluation?.(1, { ok: false, code: 'expression_failed', message: 'no', durationMs: 0.4 });
        call.onEvaluation?.(0, { ok: true, output: '"x"', durationMs: 2.6 });
        return Promise.resolve([null, null]);
      },
    };
    const outcomes = await runAll(builtIn('transform', evaluator), [{ a: 1 }, 2], {
      params: { expression: 'a' },
      options: { item_timeout_ms: 77 },
    });
    expect(calls).toMatchObject([
      { expression: 'a', inputs: ['{"a":1}', '2'], timeoutMs: 77, fairnessKey: ['tnt_1', 'job_1'] },
    ]);
    expect(outcomes).toEqual([
      { index: 0, status: 'succeeded', output: '"x"', error: null, attempts: 1, durationMs: 3 },
      {
        index: 1,
        status: 'failed',
        output: null,
        error: { code: 'expression_failed', message: 'no' },
        attempts: 1,
        durationMs: 0,
      },
    ]);
  });

  test.each([
    [{}, '/params/expression'],
    [{ expression: 1 }, '/params/expression'],
    [{ expression: '' }, '/params/expression'],
    [{ expression: 'a'.repeat(16_385) }, '/params/expression'],
    [{ expression: 'a', more: 1 }, '/params'],
    [null, '/params'],
  ])('refuses the params %j, and says where', async (params, pointer) => {
    await expect(builtIn('transform').validateParams(params)).rejects.toMatchObject({
      code: 'invalid_params',
      errors: [{ pointer, detail: expect.any(String) }],
    });
  });

  test('refuses an expression that the sandbox refuses', async () => {
    const evaluator = { ...unused, check: () => Promise.reject(new AppError('invalid_expression', 'at 1')) };
    await expect(builtIn('transform', evaluator).validateParams({ expression: 'a.' })).rejects.toMatchObject({
      code: 'invalid_expression',
    });
  });

  test('passes on that the sandbox is away, so that the chunk is run again', async () => {
    const away = new AppError('dependency_unavailable', 'closed');
    const evaluator = { ...unused, evaluateMany: () => Promise.reject(away) };
    await expect(runAll(builtIn('transform', evaluator), [1], { params: { expression: 'a' } })).rejects.toBe(
      away,
    );
  });
});

describe('the registry', () => {
  const named = (name: string) => defineHandler({ name, description: 'd', run: () => 1 });

  test('knows handlers by name, lists them in order of name, and refuses two of one name', () => {
    const registry = createHandlerRegistry([named('b'), named('a')]);
    expect(registry.list().map(({ name }) => name)).toEqual(['a', 'b']);
    expect(registry.get('a')?.name).toBe('a');
    expect(registry.get('constructor')).toBeUndefined();
    expect(() => createHandlerRegistry([named('a'), named('a')])).toThrow('Two handlers have the name a.');
  });

  test('shows the schemas of a handler as JSON Schema', () => {
    const handler = defineHandler({
      name: 'h',
      description: 'd',
      params: z.object({ n: z.number().default(1) }),
      input: z.string(),
      run: () => 1,
    });
    expect(handler.paramsSchema).toMatchObject({
      type: 'object',
      properties: { n: { type: 'number', default: 1 } },
    });
    expect(handler.inputSchema).toMatchObject({ type: 'string' });
    expect(handler.outputSchema).toBeNull();
  });

  test.each<[object]>([
    [{ name: 'Bad Name', description: 'd', run: () => 1 }],
    [{ name: 'h', run: () => 1 }],
    [{ name: 'h', description: 'd' }],
    [{ name: 'h', description: 'd', run: () => 1, runMany: () => [] }],
    [{ name: 'h', description: 'd', run: () => 1, input: { type: 'string' } }],
  ])('a definition such as %p is refused', (definition) => {
    expect(() => defineHandler(definition as never)).toThrow(TypeError);
  });
});
