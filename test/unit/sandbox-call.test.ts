import fc from 'fast-check';
import type { Evaluation } from '../../src/domain/handler/expression';
import { Call, type Portion } from '../../src/platform/sandbox/call';

const ALL = { inputs: 1_000, characters: 1_000_000 };

function callOf(inputs: string[], seen?: (input: number) => void): Call {
  return new Call(
    {
      expression: '$',
      inputs,
      timeoutMs: 1_000,
      signal: new AbortController().signal,
      fairnessKey: ['t', 'j'],
      onEvaluation: seen,
    },
    'evaluate',
  );
}

const ok = (text: string): Evaluation => ({ ok: true, output: text, durationMs: 0 });

/** What a host would say of the first `count` inputs of a portion. */
function answer(call: Call, portion: Portion, count: number): void {
  const outcomes = portion.indices.slice(0, count).map((index) => ok(call.request.inputs[index] as string));
  call.record(portion, { kind: 'outcomes', id: 1, from: 0, outcomes });
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => `${i}`);

/**
 * Plays hosts against a call: each portion is answered in part, at random; an input in `poison` takes its host down, one in
 * `slow` is named as the culprit.
 */
function play(call: Call, poison: Set<number>, slow: Set<number>, answered: () => number): number {
  let portions = 0;
  for (; call.hasOpen(); portions++) {
    const portion = call.take({ inputs: 7, characters: 50 });
    const bad = portion.indices.findIndex((index) => poison.has(index) || slow.has(index));
    const reach = bad < 0 ? portion.indices.length : bad;
    // At least one input is done in a slice that ends in peace.
    const count = bad < 0 ? Math.max(1, Math.min(reach, answered())) : Math.min(reach, answered());
    answer(call, portion, count);
    const index = portion.indices[bad];
    if (index === undefined) call.giveBack(portion, undefined);
    else if (poison.has(index)) call.lost(portion, 'aborted');
    else call.giveBack(portion, { index: bad, code: 'handler_timeout', message: 'late', durationMs: 1 });
  }
  return portions;
}

test('whatever hosts do, each input has exactly one outcome, and only the guilty fail', () => {
  const indices = fc.uniqueArray(fc.integer({ min: 0, max: 39 }), { maxLength: 8 });
  fc.assert(
    fc.property(
      indices,
      indices,
      fc.infiniteStream(fc.integer({ min: 0, max: 7 })),
      (poison, slow, stream) => {
        const seen: number[] = [];
        const call = callOf(numbers(40), (input) => seen.push(input));
        play(call, new Set(poison), new Set(slow), () => stream.next().value as number);
        expect(call.isOver()).toBe(true);
        expect(seen.toSorted((a, b) => a - b)).toEqual([...Array(40).keys()]);
        const codes = call.result().map((outcome) => (outcome?.ok ? outcome.output : outcome?.code));
        expect(codes).toEqual(
          numbers(40).map((text, i) => {
            if (poison.includes(i)) return 'handler_out_of_memory';
            return slow.includes(i) ? 'handler_timeout' : text;
          }),
        );
      },
    ),
  );
});

test('a portion keeps to the limits, but always has an input', () => {
  const call = callOf(['1234', '5678', '9', '123456789']);
  expect(call.take({ inputs: 3, characters: 8 }).indices).toEqual([0, 1]);
  expect(call.take({ inputs: 1, characters: 8 }).indices).toEqual([2]);
  expect(call.take({ inputs: 3, characters: 8 }).indices).toEqual([3]);
  expect(call.hasOpen()).toBe(false);
});

test('after a host died, what was open of its slice goes one by one; what was not out does not', () => {
  const call = callOf(numbers(6));
  const first = call.take({ inputs: 3, characters: 100 });
  call.lost(first, 'killed');
  expect(
    [call.take(ALL), call.take(ALL), call.take(ALL), call.take(ALL)].map(({ indices, alone }) => ({
      indices,
      alone,
    })),
  ).toEqual([
    { indices: [0], alone: true },
    { indices: [1], alone: true },
    { indices: [2], alone: true },
    { indices: [3, 4, 5], alone: false },
  ]);
});

test('an input alone at which hosts are killed from outside fails at the third, for it may be chance', () => {
  const call = callOf(['1']);
  for (let i = 0; i < 4; i++) {
    expect(call.result()).toEqual([null]);
    call.lost(call.take(ALL), 'killed');
  }
  expect(call.result()).toMatchObject([{ ok: false, code: 'handler_crashed' }]);
});

test('a thread that ends again and again before it begins does not keep its inputs for ever', () => {
  const call = callOf(numbers(3));
  for (let i = 0; i < 20 && call.hasOpen(); i++) call.giveBack(call.take(ALL), undefined);
  expect(call.result().map((outcome) => outcome && !outcome.ok && outcome.code)).toEqual(
    Array(3).fill('handler_crashed'),
  );
});

test('an abandoned call begins nothing, takes what still comes in, and is over when it has', () => {
  const call = callOf(numbers(4));
  const portion = call.take({ inputs: 2, characters: 100 });
  call.abandon();
  expect([call.hasOpen(), call.isOver()]).toEqual([false, false]);
  answer(call, portion, 1);
  call.giveBack(portion, undefined);
  expect(call.isOver()).toBe(true);
  expect(call.result()).toEqual([ok('0'), null, null, null]);
});
