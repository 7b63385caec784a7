/** Decimals without bounds, to check PostgreSQL's by: in units of 10^-20000, as BigInt. */
export interface Decimal {
  readonly units: bigint;
}

const PLACES = 20_000;
const ONE = 10n ** BigInt(PLACES);

/** @param json a number as JSON writes it */
export function decimal(json: string): Decimal {
  const match = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(json);
  if (match === null) throw new TypeError(`no number: ${json.slice(0, 50)}`);
  const [, sign, whole = '', fraction = '', exponent = '0'] = match;
  const zeros = PLACES - fraction.length + Number(exponent);
  if (zeros < 0) throw new RangeError(`too many places: ${json.slice(0, 50)}`);
  const units = BigInt(whole + fraction) * 10n ** BigInt(zeros);
  return { units: sign === '-' ? -units : units };
}

/** All digits, without zeros at the end of a fraction. */
export function text({ units }: Decimal): string {
  const digits = (units < 0n ? -units : units).toString().padStart(PLACES + 1, '0');
  const fraction = digits.slice(-PLACES).replace(/0+$/, '');
  return `${units < 0n ? '-' : ''}${digits.slice(0, -PLACES)}${fraction === '' ? '' : `.${fraction}`}`;
}

export function plus(values: readonly Decimal[]): Decimal {
  return { units: values.reduce((sum, { units }) => sum + units, 0n) };
}

/** @param sorted ascending, not empty */
export function median(sorted: readonly Decimal[]): Decimal {
  const middle = (sorted.length - 1) / 2;
  const low = (sorted[Math.floor(middle)] as Decimal).units;
  const high = (sorted[Math.ceil(middle)] as Decimal).units;
  // Of two huge neighbours the fraction is dropped.
  const whole = (units: bigint): bigint =>
    abs(units) < 10n ** 131_060n * ONE ? units : units - (units % ONE);
  return { units: low === high && middle % 1 === 0 ? low : (whole(low) + whole(high)) / 2n };
}

/** `right` where an average is so to 15 digits or 1,000 places, else what was given. */
export function average(of: readonly Decimal[], given: Decimal): string {
  const sum = plus(of).units;
  const off = abs(given.units * BigInt(of.length) - sum);
  const places = 10n ** BigInt(PLACES - 999) * BigInt(of.length);
  return off * 10n ** 15n <= abs(sum) || off <= places ? 'right' : text(given);
}

function abs(value: bigint): bigint {
  return value < 0n ? -value : value;
}
