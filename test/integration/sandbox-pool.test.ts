import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createTransform } from '../../src/activities/handlers/transform';
import {
  EXPRESSION_LENGTH_MAX,
  type EvaluateMany,
  type Evaluation,
} from '../../src/domain/handler/expression';
import {
  createExpressionSandbox,
  type ExpressionSandbox,
  type SandboxOptions,
} from '../../src/platform/sandbox/sandbox';
import { runAll } from '../support/handler-batch';
import { until } from '../support/wait';

const open: ExpressionSandbox[] = [];

function sandboxOf(options: Partial<SandboxOptions> = {}): ExpressionSandbox {
  const sandbox = createExpressionSandbox({
    threads: 2,
    memoryMb: 64,
    expressionTimeoutMs: 300,
    log: { warn: () => {} },
    ...options,
  });
  open.push(sandbox);
  return sandbox;
}
afterEach(async () => {
  await Promise.all(open.splice(0).map((sandbox) => sandbox.close()));
});

function evaluate(sandbox: ExpressionSandbox, call: Partial<EvaluateMany>): Promise<(Evaluation | null)[]> {
  return sandbox.evaluateMany({
    expression: '$',
    inputs: ['1'],
    timeoutMs: 10_000,
    signal: new AbortController().signal,
    fairnessKey: ['tnt', 'job'],
    ...call,
  });
}

const LOOP = '($f := function($x) { $f($x) }; $f(1))';
const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => `${i}`);
const isUp = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

describe('a call', () => {
  test('answers in the order of its inputs, exact text for exact text', async () => {
    const inputs = ['{"a":[1,{"b":"é😀"}]}', '"\\u2028"', '[[]]', 'null', '1.50', '{"a":{}}'];
    const outcomes = await evaluate(sandboxOf(), { inputs });
    expect(outcomes.map((outcome) => outcome?.ok && outcome.output)).toEqual(
      inputs.map((text) => JSON.stringify(JSON.parse(text))),
    );
  });

  test.each([
    ['nothing.here', 'null'],
    ['$$.list[k = 1].v', '["a","b"]'],
    ['list[0].v', '"a"'],
    ['list.v[]', '["a","b","c"]'],
    ['$millis() = $millis()', 'true'],
    ['$random() < 1', 'true'],
    ['$base64decode($base64encode("héllo"))', '"héllo"'],
    ['$ ~> |list|{"toString": 1}, ["k", "v"]|', '{"list":[{"toString":1},{"toString":1},{"toString":1}]}'],
  ])('%s is %s', async (expression, output) => {
    const inputs = ['{"list":[{"k":1,"v":"a"},{"k":1,"v":"b"},{"k":2,"v":"c"}]}'];
    expect(await evaluate(sandboxOf({ threads: 1 }), { expression, inputs })).toMatchObject([
      { ok: true, output },
    ]);
  });

  test('an array as input is one value', async () => {
    const outcomes = await evaluate(sandboxOf({ threads: 1 }), {
      expression: '$count($)',
      inputs: ['[1,2,3]', '[]', '[[1]]'],
    });
    expect(outcomes.map((outcome) => outcome?.ok && outcome.output)).toEqual(['3', '0', '1']);
  });

  test("the smaller of the call's and the sandbox's time-out counts", async () => {
    const sandbox = sandboxOf({ expressionTimeoutMs: 60_000 });
    const [outcome] = await evaluate(sandbox, { expression: LOOP, timeoutMs: 50 });
    expect(outcome).toMatchObject({
      ok: false,
      code: 'handler_timeout',
      message: 'The expression took longer than 50 ms.',
    });
  });

  test('ends at once when its signal aborts, though an item loops, with what is known', async () => {
    const controller = new AbortController();
    const sandbox = sandboxOf({ threads: 1, expressionTimeoutMs: 60_000 });
    const outcomes = await evaluate(sandbox, {
      expression: `$ = 1 ? ${LOOP} : $`,
      inputs: ['0', '1', '2'],
      signal: controller.signal,
      onEvaluation: () => controller.abort(),
    });
    expect(outcomes).toMatchObject([{ output: '0' }, null, null]);
  });

  test('begins nothing more when mayStart says no, and keeps what was done', async () => {
    let may = true;
    const outcomes = await evaluate(sandboxOf({ threads: 1 }), {
      inputs: numbers(1_000),
      mayStart: () => may,
      onEvaluation: (input) => {
        if (input === 250) may = false;
      },
    });
    const done = outcomes.findIndex((outcome) => outcome === null);
    expect(done).toBeGreaterThan(250);
    expect(done).toBeLessThan(1_000);
    expect(outcomes.slice(done).every((outcome) => outcome === null)).toBe(true);
  });

  test('of an expression that cannot be parsed fails each item', async () => {
    expect(await evaluate(sandboxOf(), { expression: 'a.', inputs: ['1', '2'] })).toMatchObject(
      Array(2).fill({ ok: false, code: 'expression_failed', message: expect.stringContaining('S0207') }),
    );
  });

  test('survives that its host is killed from outside', async () => {
    const sandbox = sandboxOf({ threads: 1, expressionTimeoutMs: 5_000 });
    const expression = '$sum([1..30000].($ * 2))';
    const outcomes = evaluate(sandbox, { expression, inputs: numbers(30) });
    await until('a host', () => sandbox.pids().length === 1);
    process.kill(sandbox.pids()[0] as number, 'SIGKILL');
    expect((await outcomes).map((outcome) => outcome?.ok && outcome.output)).toEqual(
      Array(30).fill('900030000'),
    );
  });
});

describe('fairness', () => {
  test.each([
    ['another tenant', ['tnt_2', 'job_2']],
    ['another job of the tenant', ['tnt_1', 'job_2']],
  ] as [string, [string, string]][])(
    'a job whose every item loops does not keep %s waiting',
    async (_name, fairnessKey) => {
      const sandbox = sandboxOf({ threads: 2, expressionTimeoutMs: 200 });
      let hogged = 0;
      const controller = new AbortController();
      const hogs = [1, 2, 3, 4].map(() =>
        evaluate(sandbox, {
          expression: LOOP,
          inputs: numbers(500),
          fairnessKey: ['tnt_1', 'job_1'],
          signal: controller.signal,
          onEvaluation: () => hogged++,
        }),
      );
      await until('the hog to run', () => hogged >= 2);
      const before = hogged;
      // Five slices of the small job, so five turns.
      const outcomes = await evaluate(sandbox, { inputs: numbers(1_000), fairnessKey });
      expect(outcomes.every((outcome) => outcome?.ok)).toBe(true);
      // Two threads, five turns: the hog's 2,000 items would have been 2,000.
      expect(hogged - before).toBeLessThanOrEqual(15);
      controller.abort();
      await Promise.all(hogs);
    },
  );
});

describe('check', () => {
  test('accepts what can be parsed', async () => {
    await expect(sandboxOf().check('{"a": $uppercase(name)}')).resolves.toBeUndefined();
  });

  test.each([
    ['a path without an end', 'a.', /S0207: .* \(at character 2\)/],
    ['a regex that is none', '/(/', /S0302/],
    ['nothing', '', /S0207/],
    ['a string without an end', '"\\ud83d', /S0101/],
    ['8,000 open brackets', `${'('.repeat(8_000)}1`, /S0203|call stack/],
    ['5,000 open arrays', `${'[1,'.repeat(5_000)}`, /S02|call stack/],
  ])('refuses %s, with the reason and its place', async (_name, expression, message) => {
    await expect(sandboxOf().check(expression)).rejects.toMatchObject({
      code: 'invalid_expression',
      message: expect.stringMatching(message),
    });
  });

  test('refuses what is longer than 16 KB without looking at it', async () => {
    const sandbox = sandboxOf();
    await expect(sandbox.check(' '.repeat(EXPRESSION_LENGTH_MAX + 1))).rejects.toMatchObject({
      code: 'invalid_expression',
    });
    expect(sandbox.pids()).toEqual([]);
  });
});

describe('the processes', () => {
  test('are not started before there is work, and are all gone after close; open calls reject', async () => {
    const sandbox = sandboxOf({ expressionTimeoutMs: 60_000 });
    expect(sandbox.pids()).toEqual([]);
    const calls = [1, 2, 3].map(() => evaluate(sandbox, { expression: LOOP }));
    const settled = Promise.allSettled(calls);
    await until('two hosts', () => sandbox.pids().length === 2);
    const pids = sandbox.pids();
    await sandbox.close();
    expect(pids.filter(isUp)).toEqual([]);
    for (const end of await settled) {
      expect(end).toMatchObject({ status: 'rejected', reason: { code: 'dependency_unavailable' } });
    }
    await expect(evaluate(sandbox, {})).rejects.toMatchObject({ code: 'dependency_unavailable' });
  });

  test('end with the process that asked, even when that is killed and an item loops', async () => {
    const script = path.resolve(__dirname, '../../dist/src/platform/sandbox/sandbox.js');
    const program = `
      const { createExpressionSandbox } = require(${JSON.stringify(script)});
      const sandbox = createExpressionSandbox({ threads: 1, memoryMb: 64, expressionTimeoutMs: 600000, log: console });
      const signal = new AbortController().signal;
      sandbox.evaluateMany({ expression: ${JSON.stringify(`$ = 1 ? ${LOOP} : 0`)}, inputs: ['0', '1'], timeoutMs: 600000,
        signal, fairnessKey: ['t', 'j'], onEvaluation: () => console.log(sandbox.pids()[0]) });`;
    const owner = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(owner.stdout, 'data')) as [Buffer];
    const pid = Number(line.toString());
    expect(isUp(pid)).toBe(true);
    owner.kill('SIGKILL');
    await until('the host to end', () => !isUp(pid), 10_000);
  });

  test('that cannot be started are told to those who wait', async () => {
    const warnings: string[] = [];
    const sandbox = sandboxOf({ memoryMb: -1, log: { warn: (_, message) => warnings.push(message) } });
    await expect(evaluate(sandbox, {})).rejects.toMatchObject({ code: 'dependency_unavailable' });
    expect(warnings.length).toBeGreaterThanOrEqual(3);
  });
});

test('transform: the handler, on the real sandbox, from text to text', async () => {
  const sandbox = sandboxOf();
  const handler = createTransform(sandbox);
  await handler.validateParams({ expression: '{"twice": n * 2}' });
  await expect(handler.validateParams({ expression: '{' })).rejects.toMatchObject({
    code: 'invalid_expression',
  });
  const outcomes = await runAll(handler, [{ n: 1 }, { n: 'x' }, {}], {
    params: { expression: '{"twice": n * 2}' },
  });
  expect(outcomes).toMatchObject([
    { status: 'succeeded', output: '{"twice":2}' },
    { status: 'failed', error: { code: 'expression_failed', message: expect.stringMatching(/^T2001: /) } },
    { status: 'succeeded', output: '{}' },
  ]);
});
