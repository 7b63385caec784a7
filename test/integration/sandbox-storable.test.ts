/** What `unstorableReason` says, held against PostgreSQL itself. */
import fc from 'fast-check';
import { Client } from 'pg';
import { unstorableReason } from '../../src/domain/batch/storable';
import { testServers } from '../support/servers';

let client: Client;
beforeAll(async () => {
  client = new Client({ connectionString: testServers().databaseUrl });
  await client.connect();
});
afterAll(() => client.end());

/** As the results table does it: kept as json, and proven to be readable as jsonb. */
async function isStorable(text: string): Promise<boolean> {
  try {
    await client.query('select ($1::json)::jsonb', [text]);
    return true;
  } catch {
    return false;
  }
}

const digits = fc.stringMatching(/^[0-9]{1,5}$/);
const number = fc
  .tuple(
    fc.constantFrom('', '-'),
    fc.constantFrom('0', '7', '12'),
    fc.option(fc.oneof(digits, fc.constantFrom('0', '000', '001')), { nil: undefined }),
    fc.option(fc.tuple(fc.constantFrom('e', 'E', 'e+', 'e-'), edge()), { nil: undefined }),
  )
  .map(([sign, whole, fraction, exponent]) => {
    const point = fraction === undefined ? '' : `.${fraction}`;
    return `${sign}${whole}${point}${exponent === undefined ? '' : exponent.join('')}`;
  });

/** Exponents around where numeric ends, on either side. */
function edge(): fc.Arbitrary<number> {
  const around = (middle: number): fc.Arbitrary<number> =>
    fc.integer({ min: Math.max(0, middle - 5), max: middle + 5 });
  return fc.oneof(around(0), around(16_383), around(131_072), fc.integer({ min: 0, max: 999_999 }));
}

const piece = fc.constantFrom(
  '\\\\',
  '\\"',
  'u',
  '0000',
  '\\u0000',
  '\\ud83d',
  '\\ude00',
  '\\uDBFF',
  '\\n',
  'a',
  '1e99999',
);
const string = fc.array(piece, { maxLength: 6 }).map((pieces) => `"${pieces.join('')}"`);

test('numbers, strings and keys are refused exactly where PostgreSQL refuses them', async () => {
  const scalar = fc.oneof(number, string);
  const text = fc.oneof(
    scalar,
    fc.array(scalar, { maxLength: 3 }).map((parts) => `[${parts.join(', ')}]`),
    fc
      .array(fc.tuple(string, scalar), { maxLength: 3 })
      .map((fields) => `{${fields.map((f) => f.join(':')).join(',')}}`),
  );
  await fc.assert(
    fc.asyncProperty(text, async (json) => {
      expect({ json, storable: unstorableReason(json) === undefined }).toEqual({
        json,
        storable: await isStorable(json),
      });
    }),
    { numRuns: 3_000 },
  );
});

test.each([
  ['digits before the point', 131_072, (n: number) => '1'.repeat(n)],
  ['digits after the point', 16_383, (n: number) => `0.${'1'.repeat(n)}`],
  ['zeros after the point', 16_383, (n: number) => `0.${'0'.repeat(n)}`],
])('%s: %i are stored, one more is not', async (_name, most, write) => {
  for (const [count, storable] of [
    [most, true],
    [most + 1, false],
  ] as const) {
    expect(await isStorable(write(count))).toBe(storable);
    expect(unstorableReason(write(count)) === undefined).toBe(storable);
  }
});
