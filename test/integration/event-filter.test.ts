import fc from 'fast-check';
import type { Json } from '../../src/domain/batch/job';
import { compileFilter } from '../../src/domain/events/filter-jsonpath';
import type { PostgresDatabase } from '../../src/platform/postgres/pool';
import { createTestDatabase, type TestDatabase } from '../support/servers';
import { openDatabase } from './realtime-support';

let testDatabase: TestDatabase;
let db: PostgresDatabase;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  db = openDatabase(testDatabase.url);
});
afterAll(async () => {
  await db.close();
  await testDatabase.drop();
});

interface Case {
  filter: unknown;
  data: unknown;
}

/** As PostgreSQL decides it: null would be an answer that is neither yes nor no. */
async function decide(cases: readonly { filter: string; data: string }[]): Promise<(boolean | null)[]> {
  const rows = await db.run<{ passes: boolean | null }>(
    {
      name: 'test.filter',
      text: `select case when p is null then true else jsonb_build_object('type', 'order.paid', 'data', d::jsonb) @@ p::jsonpath end as passes
        from unnest($1::text[], $2::text[]) with ordinality as c (p, d, n) order by n`,
    },
    [cases.map(({ filter }) => compileFilter(filter)), cases.map(({ data }) => data)],
  );
  return rows.map(({ passes }) => passes);
}

const ask = async ({ filter, data }: Case): Promise<boolean | null> =>
  (await decide([{ filter: JSON.stringify({ data: filter }), data: JSON.stringify(data) }]))[0] ?? null;

describe('a filter passes', () => {
  test.each<[string, unknown, unknown, boolean]>([
    ['an equal text', { a: 'x' }, { a: 'x', b: 1 }, true],
    ['no other text', { a: 'x' }, { a: 'X' }, false],
    ['no number for a text', { a: '1' }, { a: 1 }, false],
    ['a number however it is written', { a: 1 }, { a: 1.0 }, true],
    ['null for null', { a: null }, { a: null }, true],
    ['no missing field for null', { a: null }, {}, false],
    ['false for false', { a: false }, { a: false }, true],
    ['what is nested', { a: { b: { c: 1 } } }, { a: { b: { c: 1 } } }, true],
    ['no text where an object is asked for', { a: { b: 1 } }, { a: 'b' }, false],
    ['an array that holds it', { a: 'x' }, { a: ['w', 'x'] }, true],
    ['no array without it', { a: 'x' }, { a: ['w'] }, false],
    ['an array that holds each', { a: ['x', 'y'] }, { a: ['y', 'z', 'x'] }, true],
    ['no array that holds some', { a: ['x', 'y'] }, { a: ['x'] }, false],
    ['no text for an array', { a: ['x'] }, { a: 'x' }, false],
    [
      'an array of which one element has it all',
      { a: { b: 1, c: 2 } },
      { a: [{ b: 1 }, { b: 1, c: 2 }] },
      true,
    ],
    ['no array whose elements share it', { a: { b: 1, c: 2 } }, { a: [{ b: 1 }, { c: 2 }] }, false],
    ['an element within both bounds', { a: { $gt: 1, $lt: 3 } }, { a: [0, 2] }, true],
    ['no two elements, one within each bound', { a: { $gt: 1, $lt: 3 } }, { a: [0, 4] }, false],
    ['exactly this array by $eq', { a: { $eq: ['x', 'y'] } }, { a: ['x', 'y'] }, true],
    ['no other order by $eq', { a: { $eq: ['x', 'y'] } }, { a: ['y', 'x'] }, false],
    ['exactly this object by $eq', { a: { $eq: { b: [1, null] } } }, { a: { b: [1, null] } }, true],
    ['no object with more by $eq', { a: { $eq: { b: 1 } } }, { a: { b: 1, c: 1 } }, false],
    ['no object with less by $eq', { a: { $eq: { b: 1, c: 1 } } }, { a: { b: 1 } }, false],
    ['an empty object by $eq', { a: { $eq: {} } }, { a: {} }, true],
    ['no array for what it holds, within $eq', { a: { $eq: { b: 1 } } }, { a: { b: [1] } }, false],
    ['another text by $neq', { a: { $neq: 'x' } }, { a: 'y' }, true],
    ['another kind by $neq', { a: { $neq: 'x' } }, { a: 1 }, true],
    ['no missing field by $neq', { a: { $neq: 'x' } }, {}, false],
    ['no array that holds it by $neq', { a: { $neq: 'x' } }, { a: ['y', 'x'] }, false],
    ['another object by $neq', { a: { $neq: { b: 1 } } }, { a: { b: 2 } }, true],
    ['greater numbers', { a: { $gt: 10 } }, { a: 10.5 }, true],
    ['no text for a number', { a: { $gt: 10 } }, { a: '11' }, false],
    ['texts in the order of their code points', { a: { $gte: '2026-01-02' } }, { a: '2026-01-10' }, true],
    ['a bound itself', { a: { $lte: -3 } }, { a: -3 }, true],
    ['one of several', { a: { $in: [1, 'x', null] } }, { a: null }, true],
    ['none of several', { a: { $nin: [1, 'x'] } }, { a: 2 }, true],
    ['no missing field by $nin', { a: { $nin: [1] } }, {}, false],
    ['a field that is there, null as well', { a: { $exist: true } }, { a: null }, true],
    ['a field that is not there', { a: { $exist: false } }, { b: 1 }, true],
    ['no empty array for a missing field', { a: { $exist: false } }, { a: [] }, false],
    ['how a text begins', { a: { $startsWith: 'ab' } }, { a: 'abc' }, true],
    ['how a text ends, letter by letter', { a: { $endsWith: '.b)*' } }, { a: 'a.b)*' }, true],
    ['no pattern for a letter', { a: { $endsWith: '.b' } }, { a: 'axb' }, false],
    ['no line that ends so', { a: { $endsWith: 'b' } }, { a: 'b\nc' }, false],
    ['what a text contains, letter by letter', { a: { $contains: '%_.*\\' } }, { a: 'x%_.*\\y' }, true],
    ['no other case', { a: { $contains: 'B' } }, { a: 'abc' }, false],
    ['no number that looks so', { a: { $contains: '1' } }, { a: 123 }, false],
    ['one of two', { $or: [{ a: 1 }, { b: 1 }] }, { b: 1 }, true],
    ['two for one field', { a: { $or: ['x', { $startsWith: 'y' }] } }, { a: 'yy' }, true],
    ['both', { $and: [{ a: { $gt: 1 } }, { a: { $lt: 3 } }] }, { a: 2 }, true],
    ['not', { a: { $not: 'x' } }, { a: 'y' }, true],
    ['a missing field by $not', { $not: { a: 'x' } }, {}, true],
    ['no array that holds it by $not', { a: { $not: 'x' } }, { a: ['x', 'y'] }, false],
    ['another kind by $not of a comparison', { a: { $not: { $gt: 5 } } }, { a: 'text' }, true],
    ['names with quotes and dollars inside', { 'a"$b\\': 1 }, { 'a"$b\\': 1 }, true],
    ['letters of all the world', { a: { $endsWith: '日本😀' } }, { a: 'x日本😀' }, true],
  ])('%s', async (_what, filter, data, passes) => {
    expect(await ask({ filter, data })).toBe(passes);
  });

  test('numbers that a double cannot tell apart', async () => {
    const filter = '{"data":{"id":9007199254740993}}';
    const cases = ['9007199254740992', '9007199254740993', '9007199254740993.0'];
    expect(await decide(cases.map((id) => ({ filter, data: `{"id":${id}}` })))).toEqual([false, true, true]);
  });

  test('the event itself by its other fields', async () => {
    const cases = [
      { type: 'order.paid' },
      { type: 'order.made' },
      { $not: { type: { $startsWith: 'order.' } } },
    ];
    const data = '{}';
    expect(await decide(cases.map((filter) => ({ filter: JSON.stringify(filter), data })))).toEqual([
      true,
      false,
      false,
    ]);
  });
});

const NAMES = ['a', 'b"'];
const scalar = fc.constantFrom<Json>(null, true, 0, 1, 'a', 'ab');
const value = fc.letrec<{ node: Json }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    scalar,
    fc.array(tie('node'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...NAMES), tie('node'), { maxKeys: 3 }),
  ),
})).node;
const text = fc.constantFrom('a', 'b', 'ab');
const filter = fc.letrec<{ test: Json; fields: Json; object: Json }>((tie) => {
  const tests = fc.array(tie('test'), { minLength: 1, maxLength: 2 });
  const scalars = fc.array(scalar, { minLength: 1, maxLength: 3 });
  const under = (name: string, operand: fc.Arbitrary<unknown>): fc.Arbitrary<Json> =>
    operand.map((made) => ({ [name]: made as Json }));
  const operator = fc.oneof(
    ...['$eq', '$neq'].map((name) => under(name, value)),
    ...['$gt', '$lte'].map((name) => under(name, fc.constantFrom(0, 1, 'a'))),
    ...['$in', '$nin'].map((name) => under(name, scalars)),
    ...['$startsWith', '$endsWith', '$contains'].map((name) => under(name, text)),
    ...['$or', '$and'].map((name) => under(name, tests)),
    under('$exist', fc.boolean()),
    under('$not', tie('test')),
  );
  return {
    test: fc.oneof(
      { maxDepth: 2, withCrossShrink: true },
      scalar,
      operator,
      tests as fc.Arbitrary<Json>,
      tie('object'),
    ),
    fields: fc.oneof(...NAMES.map((name) => under(name, tie('test')))),
    object: fc
      .array(fc.oneof(tie('fields'), operator), { minLength: 1, maxLength: 2 })
      .map((parts) => Object.assign({}, ...(parts as object[])) as Json),
  };
}).object;
const document = fc.record(Object.fromEntries(NAMES.map((name) => [name, value])), { requiredKeys: ['a'] });

test('PostgreSQL decides as the language is described, and always one way or the other', async () => {
  const sampled = fc.sample(fc.tuple(filter, fc.oneof(document, value)), { numRuns: 4_000, seed: 7 });
  const cases = JSON.parse(JSON.stringify(sampled)) as [Json, Json][];
  const asked = cases.flatMap(([one, data]) => {
    const whole = JSON.stringify({ data: one });
    return compiles(whole) ? [{ one, data, whole }] : [];
  });
  expect(asked.length).toBeGreaterThan(2_000);
  const decided = await decide(
    asked.map(({ whole, data }) => ({ filter: whole, data: JSON.stringify(data) })),
  );
  const expected = asked.map(({ one, data }) => fits(one, [data]));
  const wrong = asked.flatMap((one, i) =>
    decided[i] === expected[i] ? [] : [{ ...one, decided: decided[i] }],
  );
  expect(wrong).toEqual([]);
  // The property says little unless both answers are common.
  const yes = expected.filter((passes) => passes).length;
  expect(Math.min(yes, expected.length - yes)).toBeGreaterThan(300);
});

/** Too many tests in one is a refusal, not a decision. */
function compiles(whole: string): boolean {
  try {
    compileFilter(whole);
    return true;
  } catch {
    return false;
  }
}

/*
 * The language once more, in plain words. `at` is what a path leads to: nothing, or one value, or, through an array, several.
 */
function fits(test: Json, at: readonly Json[]): boolean {
  if (Array.isArray(test)) return at.some((one) => Array.isArray(one)) && test.every((one) => fits(one, at));
  if (typeof test !== 'object' || test === null) return elements(at).some((one) => equalLoosely(one, test));
  const entries = Object.entries(test);
  const ofElement = entries.filter(([name, operand]) => isOfElement(name, operand));
  const ofWhole = entries.filter(([name, operand]) => !isOfElement(name, operand));
  return (
    (ofElement.length === 0 ||
      elements(at).some((one) => ofElement.every(([name, operand]) => elementFits(name, operand, one)))) &&
    ofWhole.every(([name, operand]) => wholeFits(name, operand, at))
  );
}

function isOfElement(name: string, operand: Json): boolean {
  if (name === '$eq') return !Array.isArray(operand);
  return !['$neq', '$in', '$nin', '$exist', '$or', '$and', '$not'].includes(name);
}

function elementFits(name: string, operand: Json, one: Json): boolean {
  if (name === '$eq') {
    return typeof operand === 'object' && operand !== null ? same(one, operand) : equalLoosely(one, operand);
  }
  if (!name.startsWith('$')) return fits(operand, fieldOf(one, name));
  return elements([one]).some((each) => compares(name, operand, each));
}

function compares(name: string, operand: Json, one: Json): boolean {
  if (typeof one !== typeof operand) return false;
  if (name === '$gt') return (one as number) > (operand as number);
  if (name === '$lte') return (one as number) <= (operand as number);
  const [all, piece] = [one as string, operand as string];
  if (name === '$startsWith') return all.startsWith(piece);
  return name === '$endsWith' ? all.endsWith(piece) : all.includes(piece);
}

function wholeFits(name: string, operand: Json, at: readonly Json[]): boolean {
  const list = operand as Json[];
  switch (name) {
    case '$eq':
      return at.some((one) => same(one, operand));
    case '$neq':
      return at.length > 0 && !fits({ $eq: operand }, at);
    case '$in':
      return list.some((one) => fits(one, at));
    case '$nin':
      return at.length > 0 && !wholeFits('$in', operand, at);
    case '$exist':
      return at.length > 0 === operand;
    case '$or':
      return list.some((one) => fits(one, at));
    case '$and':
      return list.every((one) => fits(one, at));
    default:
      return !fits(operand, at);
  }
}

function elements(at: readonly Json[]): Json[] {
  return at.flatMap((one) => (Array.isArray(one) ? one : [one]));
}

function fieldOf(one: Json, name: string): Json[] {
  return elements([one]).flatMap((each) =>
    typeof each === 'object' && each !== null && !Array.isArray(each) && Object.hasOwn(each, name)
      ? [each[name] as Json]
      : [],
  );
}

function equalLoosely(one: Json, scalarValue: Json): boolean {
  return elements([one]).some((each) => each === scalarValue);
}

function same(one: Json, other: Json): boolean {
  if (Array.isArray(one) || Array.isArray(other)) {
    const both = Array.isArray(one) && Array.isArray(other) ? ([one, other] as const) : undefined;
    return (
      both !== undefined &&
      both[0].length === both[1].length &&
      both[0].every((each, i) => same(each, both[1][i] as Json))
    );
  }
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null)
    return one === other;
  const names = Object.keys(one);
  return (
    names.length === Object.keys(other).length &&
    names.every((name) => Object.hasOwn(other, name) && same(one[name] as Json, other[name] as Json))
  );
}
