/** Which numbers, written as JSON has them, a column of numbers can hold without losing a digit. */

const INTEGER = /^-?\d+$/;
const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
/** Integers of so many characters are always within 64 bits. */
const INT64_LENGTH_SAFE = 18;
/** Decimals of so many significant digits survive a double (IEEE 754: DBL_DIG). */
const DOUBLE_LENGTH_SAFE = 15;

/** An integer as it is written, without point and exponent: `1.0` is none, nor is `-0`, which a whole number can't be. */
export function isInt64(json: string): boolean {
  if (!INTEGER.test(json) || json === '-0') return false;
  if (json.length <= INT64_LENGTH_SAFE) return true;
  const value = BigInt(json);
  return value >= INT64_MIN && value <= INT64_MAX;
}

/** Whether the double nearest to it is written with the same digits again. */
export function isExactDouble(json: string): boolean {
  if (json.length <= DOUBLE_LENGTH_SAFE && !/[eE]/.test(json)) return true;
  const value = Number(json);
  return Number.isFinite(value) && digitsOf(json) === digitsOf(String(value));
}

const NUMBER = /^-?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;

/** The value's digits from the first to the last that is not 0, and where they stand; the sign is not at stake. */
function digitsOf(json: string): string {
  const [, whole = '', fraction = '', exponent = '0'] = NUMBER.exec(json) ?? [];
  const digits = (whole + fraction).replace(/^0+/, '');
  const significant = digits.replace(/0+$/, '');
  if (significant === '') return '0';
  return `${significant}e${Number(exponent) - fraction.length + digits.length - significant.length}`;
}
