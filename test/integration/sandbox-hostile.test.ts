/**
 * Each hostile expression costs its item and nothing else: not its neighbours in the message, not another tenant's call, not
 * the event loop of the process that asks, and not that process itself.
 */
import type { Evaluation } from '../../src/domain/handler/expression';
import { createExpressionSandbox, type ExpressionSandbox } from '../../src/platform/sandbox/sandbox';

const TIMEOUT_MS = 500;
let sandbox: ExpressionSandbox;

beforeAll(() => {
  sandbox = createExpressionSandbox({
    threads: 2,
    memoryMb: 64,
    expressionTimeoutMs: TIMEOUT_MS,
    log: { warn: () => {} },
  });
});
afterAll(() => sandbox.close());

function evaluate(
  expression: string,
  inputs: string[],
  tenant = 'tnt_hog',
  job = 'job',
): Promise<(Evaluation | null)[]> {
  return sandbox.evaluateMany({
    expression,
    inputs,
    timeoutMs: 10_000,
    signal: new AbortController().signal,
    fairnessKey: [tenant, job],
  });
}

const inputs = Array.from({ length: 7 }, (_, n) => JSON.stringify({ n }));
const BAD = 3;
const doubling = '$f := function($s, $n) { $n = 0 ? $s : $f($s & $s, $n - 1) };';

/** Which of its two limits such an item meets first is the machine's pace; that it meets one is the guarantee. */
const MEMORY = ['handler_out_of_memory', 'handler_timeout'];

const hostile: [name: string, expression: string, codes: string[]][] = [
  ['loops for ever', '($f := function($x) { $f($x) }; $f(1))', ['handler_timeout']],
  ['loops for ever within $eval', '$eval("($f := function($x) { $f($x) }; $f(1))")', ['handler_timeout']],
  [
    'switches the guards off and loops',
    '($g := function() { 1 }; $g.**.options ~> |$|{"timeout": 0}|; $f := function($x) { $f($x) }; $f(1))',
    ['handler_timeout', 'expression_failed'],
  ],
  ['recurses without end', '($f := function($x) { 1 + $f($x) }; $f(1))', ['expression_failed']],
  ['matches a catastrophic regex', '$match($pad("", 40, "a") & "!", /(a+)+$/)', ['handler_timeout']],
  [
    'matches a catastrophic regex of the input',
    '$contains($pad("", 60, "ab") & "!", /^(([a-z])+.)+[A-Z]([a-z])+$/)',
    ['handler_timeout'],
  ],
  ['builds a huge range', '[1..10000000]', ['expression_failed']],
  [
    'nests ranges',
    '[1..100000].[1..100000]',
    ['handler_timeout', 'handler_out_of_memory', 'expression_failed'],
  ],
  [
    'appends for ever',
    '($f := function($a) { $f($append($a, $a)) }; $f([1, 2]))',
    ['expression_failed', 'handler_timeout'],
  ],
  ['fills the heap with small objects', '[1..900000].{"a": [$, $], "b": {"c": $}}', MEMORY],
  ['pads to a huge string', '$length($pad("x", 400000000))', MEMORY],
  ['doubles a string and writes it out', `(${doubling} $string({"a": $f("abcdefgh", 25)}))`, MEMORY],
  ['splits a huge string', '$count($split($pad("é", 30000000), ""))', MEMORY],
  ['piles up memory outside the heap', '($p := $pad("x", 5000000); [1..300].$base64encode($p))', MEMORY],
  ['answers a function', '$sum', ['expression_failed']],
  ['answers a lambda in an object', '{"f": function($x) { $x }}', ['expression_failed']],
  ['answers itself in itself', '$ ~> |$|{"self": $}|', ['expression_failed']],
  ['answers what JSON cannot hold', '1 / 0', ['expression_failed']],
  ['answers more than 1 MB', '$pad("x", 2000000)', ['output_too_large']],
  [
    'answers one value shared without end',
    '$reduce([1..40], function($a, $b) { [[$a], [$a]] }, [1])',
    ['output_too_large'],
  ],
  ['answers U+0000', '"a\\u0000b"', ['output_not_storable']],
  ['answers a lone surrogate', '"\\ud83d"', ['output_not_storable']],
  ['has $eval of no expression', '$eval("1 +")', ['expression_failed']],
  ['throws', '$error("no luck")', ['expression_failed']],
];

test.each(hostile)('an expression that %s fails its item only', async (_name, expression, codes) => {
  let beats = 0;
  const heart = setInterval(() => beats++, 20);
  const startedAt = performance.now();
  const [outcomes, neighbour] = await Promise.all([
    evaluate(`n = ${BAD} ? (${expression}) : n`, inputs),
    evaluate('n * 2', inputs, 'tnt_neighbour'),
  ]);
  clearInterval(heart);
  const elapsedMs = performance.now() - startedAt;

  const bad = outcomes[BAD];
  expect(bad).toMatchObject({ ok: false });
  expect(codes).toContain(bad?.ok === false && bad.code);
  expect(outcomes.map((outcome) => (outcome?.ok ? outcome.output : 'failed'))).toEqual(
    inputs.map((_, n) => (n === BAD ? 'failed' : `${n}`)),
  );
  expect(neighbour.map((outcome) => outcome?.ok && outcome.output)).toEqual(inputs.map((_, n) => `${n * 2}`));
  // A loop that stood still would have next to none of its beats.
  expect(beats).toBeGreaterThanOrEqual(Math.floor(elapsedMs / 20 / 4));
});

test("an expression's error is told with the library's message, code and place", async () => {
  const outcomes = await evaluate('$uppercase(n)', ['{"n":"a"}', '{"n":1}']);
  expect(outcomes).toMatchObject([
    { ok: true, output: '"A"' },
    {
      ok: false,
      code: 'expression_failed',
      message: expect.stringMatching(/^T0410: .*uppercase.* \(at character 11\)$/),
    },
  ]);
});

test('kill and continue: every other item of a long message keeps exactly its result', async () => {
  const many = Array.from({ length: 1_000 }, (_, n) => JSON.stringify({ n, text: `ünïcode ${n}` }));
  const bad = new Set([0, 1, 250, 251, 999]);
  const outcomes = await evaluate(
    'n in [0, 1, 250] ? $match($pad("", 40, "a") & "!", /(a+)+$/) : n in [251, 999] ? $length($pad("x", 400000000)) : {"n": n, "t": text}',
    many,
  );
  for (const [n, outcome] of outcomes.entries()) {
    if (bad.has(n)) {
      expect(outcome).toMatchObject({ ok: false });
      expect(n < 251 ? ['handler_timeout'] : MEMORY).toContain(outcome?.ok === false && outcome.code);
    } else expect(outcome).toMatchObject({ ok: true, output: JSON.stringify({ n, t: `ünïcode ${n}` }) });
  }
});

describe('no way out', () => {
  test.each([
    ['process', 'process'],
    ['$process', '$process'],
    ['require', '$require'],
    ['Function, by what ** reaches', '($f := function() { 1 }; $f.**.RegexEngine).constructor'],
    ['the prototypes, by what ** reaches', '($f := function() { 1 }; $f.**.timestamp).__proto__'],
    ['the prototype', '__proto__'],
    ['the constructor', 'constructor'],
    ['the constructor of a string', '"a".constructor'],
    ['the prototype by $lookup', '$lookup({}, "__proto__")'],
    ['the constructor of a function', '$sum.constructor'],
    ['the implementation of a function', '$sum.implementation.constructor'],
    ['a constructor anywhere', '**.constructor'],
    ['globalThis', '$eval("globalThis")'],
  ])('%s is nothing to an expression', async (_name, expression) => {
    expect(await evaluate(`$exists(${expression})`, ['{"a":{"b":1}}'])).toMatchObject([
      { ok: true, output: 'false' },
    ]);
  });
});

describe('pollution does not reach another tenant, nor another job', () => {
  const pollutions = [
    '$ ~> |$sum|{"implementation": "gone"}|',
    '$ ~> |$string|{"_jsonata_function": false}|',
    '$ ~> |$|{"__proto__": {"polluted": 1}}|',
    '$merge([{"__proto__": {"polluted": 1}}])',
    '($c := $uppercase ~> $lowercase; $ ~> |$c.**|{"type": "string", "value": "mine"}|)',
    '($f := function() { 1 }; $ ~> |$f.**|{"polluted": 1, "lookup": "gone"}|)',
  ];

  test.each(pollutions)('%s', async (pollution) => {
    // Twice as many calls as there are threads, so that each has been polluted.
    await Promise.all([1, 2, 3, 4].map(() => evaluate(pollution, ['{"a":1}'])));
    const probe =
      '{"sum": $sum([1, 2]), "s": $string(1), "c": ("A" ~> ($uppercase ~> $lowercase)), "p": $exists(polluted), "k": $keys($)}';
    const others = [1, 2, 3, 4].flatMap(() => [
      evaluate(probe, ['{"a":1}'], 'tnt_other'),
      evaluate(probe, ['{"a":1}'], 'tnt_hog', 'job_2'),
    ]);
    const outcomes = await Promise.all(others);
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject([{ ok: true, output: '{"sum":3,"s":"1","c":"a","p":false,"k":"a"}' }]);
    }
  });

  test('the same expression text, polluted by the input of one tenant, is clean for another', async () => {
    const expression = '($f := function($x) { $x + 1 }; $eval(code); $f(1))';
    const evil = JSON.stringify({ code: '$ ~> |$f.**|{"value": 100}|' });
    await Promise.all([1, 2, 3, 4].map(() => evaluate(expression, [evil])));
    const outcomes = await evaluate(expression, Array(8).fill('{"code":"1"}') as string[], 'tnt_other');
    for (const outcome of outcomes) expect(outcome).toMatchObject({ ok: true, output: '2' });
  });
});
