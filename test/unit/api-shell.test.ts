import { encodeCursor, decodeCursor, toPage } from '../../src/api/paging';
import { toProblem } from '../../src/api/problem';
import { parseKey } from '../../src/api/middleware/idempotency';
import { parseBody } from '../../src/api/middleware/read-body';
import { parseQuery } from '../../src/api/middleware/readable-url';
import { toErrorDetails, toPointer } from '../../src/api/validation';
import { AppError } from '../../src/domain/errors';
import { isDeeperThan, JSON_DEPTH_MAX } from '../../src/domain/json-text';
import fc from 'fast-check';
import { z } from 'zod';

const occurrence = { requestId: 'req_1', instance: '/v1/x' };

describe('problems', () => {
  test('what nobody foresaw shows nothing of itself', () => {
    const { status, body } = toProblem(new Error('password=hunter2'), occurrence);
    expect([status, body.code]).toEqual([500, 'internal']);
    expect(JSON.stringify(body)).not.toContain('hunter2');
    expect(toProblem('text', occurrence).status).toBe(500);
    expect(toProblem(undefined, occurrence).status).toBe(500);
  });

  test('what is for the log stays in the log', () => {
    const error = new AppError('not_found', 'There is none.', {
      internal: 'row 7',
      cause: new Error('deep'),
    });
    expect(JSON.stringify(toProblem(error, occurrence))).not.toMatch(/row 7|deep/);
  });

  test('Retry-After is in whole seconds, never too early', () => {
    const error = new AppError('dependency_unavailable', 'away', { retryAfterSeconds: 0.2 });
    expect(toProblem(error, occurrence).headers['Retry-After']).toBe('1');
  });
});

describe('cursors', () => {
  test('lead back to where they were made, and only in their own list', () => {
    fc.assert(
      fc.property(fc.string(), fc.oneof(fc.string(), fc.integer()), (list, position) => {
        expect(decodeCursor(list, encodeCursor(list, position))).toBe(position);
        expect(() => decodeCursor(`${list}?`, encodeCursor(list, position))).toThrow(/malformed_cursor/);
      }),
    );
  });

  test('whatever else is a 400 and no crash', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(() => decodeCursor('list', text)).toThrow(/malformed_cursor/);
      }),
    );
  });

  test('a page says there is more exactly where there is more', () => {
    const positionOf = (row: number): number => row;
    expect(toPage('l', [1, 2], { limit: 2, positionOf })).toEqual({ data: [1, 2], next_cursor: null });
    const page = toPage('l', [1, 2, 3], { limit: 2, positionOf });
    expect(page.data).toEqual([1, 2]);
    expect(decodeCursor('l', page.next_cursor ?? '')).toBe(2);
    expect(toPage('l', [], { limit: 2, positionOf })).toEqual({ data: [], next_cursor: null });
  });
});

describe('JSON bodies', () => {
  test('are read as JSON.parse reads them', () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: true }), (value) => {
        const text = JSON.stringify(value);
        if (text.includes('\\u0000')) return;
        expect(parseBody(Buffer.from(text))).toEqual(JSON.parse(text));
      }),
    );
  });

  test('of any text end in a value or in an error of ours', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        try {
          parseBody(Buffer.from(text));
        } catch (error) {
          expect((error as AppError).code).toMatch(/malformed_json|not_storable/);
        }
      }),
    );
  });

  test('may nest to the limit and not one level deeper', () => {
    const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;
    expect(isDeeperThan(nested(JSON_DEPTH_MAX), JSON_DEPTH_MAX)).toBe(false);
    expect(isDeeperThan(nested(JSON_DEPTH_MAX + 1), JSON_DEPTH_MAX)).toBe(true);
    expect(isDeeperThan(`"${'['.repeat(600)}\\"${'{'.repeat(600)}"`, JSON_DEPTH_MAX)).toBe(false);
    expect(isDeeperThan('[[],[],[],[]]', 2)).toBe(false);
  });
});

describe('queries', () => {
  test('are decoded as forms are', () => {
    expect(parseQuery('a=1+2&b=%2B&c&&d=%C3%A4=')).toEqual({ a: '1 2', b: '+', c: '', d: 'ä=' });
  });

  test('may hold a parameter named __proto__ without harm', () => {
    const query = parseQuery('__proto__=x');
    expect(Object.getPrototypeOf(query)).toBe(Object.prototype);
    expect(Object.keys(query)).toEqual(['__proto__']);
  });

  test('of any text end in parameters or in an error of ours', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        try {
          parseQuery(text);
        } catch (error) {
          expect((error as AppError).code).toMatch(/malformed_request|not_storable|validation_failed/);
        }
      }),
    );
  });
});

describe('findings', () => {
  test('a pointer escapes as RFC 6901 has it', () => {
    expect(toPointer(['a/b', 'c~d', 0])).toBe('/a~1b/c~0d/0');
    expect(toPointer([])).toBe('');
  });

  test('of a union are those of the branch that was meant', () => {
    const schema = z.union([z.strictObject({ a: z.strictObject({ b: z.number() }) }), z.string()]);
    const parsed = schema.safeParse({ a: { b: 'x' } });
    expect(parsed.error && toErrorDetails(parsed.error, 'pointer')).toEqual([
      expect.objectContaining({ pointer: '/a/b' }),
    ]);
  });
});

test('an Idempotency-Key is read bare or quoted', () => {
  expect(parseKey('abc')).toBe('abc');
  expect(parseKey('"abc"')).toBe('abc');
  expect(parseKey('"a\\"b\\\\c"')).toBe('a"b\\c');
  expect(parseKey('"a')).toBe('"a');
  expect(() => parseKey('')).toThrow(/malformed_request/);
});
