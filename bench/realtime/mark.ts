/**
 * What each published event says of itself, found in the bytes of whatever protocol brings it: its number within its topic,
 * from 1, and when it was published, in microseconds of a clock that all processes of the machine share.
 */
const name = 'mark":"';
const numberDigits = 10;
const microsDigits = 16;
const zero = 0x30;

export const markStart = Buffer.from(name);
export const markBytes = markStart.length + numberDigits + 1 + microsDigits;

/** The value of the field `mark`. */
export function markOf(number: number, micros: number): string {
  return `${digits(number, numberDigits)}:${digits(micros, microsDigits)}`;
}

/** @param at where `markStart` begins; `markBytes` from there must be in the buffer */
export function readMark(buffer: Buffer, at: number): { number: number; micros: number } {
  const from = at + markStart.length;
  return {
    number: readDigits(buffer, from, numberDigits),
    micros: readDigits(buffer, from + numberDigits + 1, microsDigits),
  };
}

/** CLOCK_MONOTONIC, on Linux: the same in every process. */
export function clockMicros(): number {
  return Number(process.hrtime.bigint() / 1_000n);
}

function digits(value: number, count: number): string {
  return String(Math.floor(value)).padStart(count, '0');
}

function readDigits(buffer: Buffer, from: number, count: number): number {
  let value = 0;
  for (let at = from; at < from + count; at += 1) value = value * 10 + ((buffer[at] ?? zero) - zero);
  return value;
}
