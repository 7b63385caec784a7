/** The kinds of values that variables have: from text, with what is wrong for people. */
import { z } from 'zod';
import { parseCidr } from '../domain/net/cidr';

export function url(protocols: readonly string[]) {
  const expected = `expected a URL that starts with ${protocols.map((p) => `${p}//`).join(' or ')}`;
  return z.string().refine((text) => URL.canParse(text) && protocols.includes(new URL(text).protocol), {
    error: expected,
  });
}

export function wholeNumber(min: number, max: number) {
  return z
    .string()
    .regex(/^\d{1,15}$/, { error: 'expected a whole number' })
    .transform(Number)
    .pipe(z.number().min(min).max(max));
}

const SECRET_KEY = /^[A-Za-z0-9+/]{43}=$/;

export const secretKeys = z
  .string()
  .transform((text) => text.split(',').map((key) => key.trim()))
  .refine((keys) => keys.every((key) => SECRET_KEY.test(key)), {
    error: 'expected keys of 32 bytes in base64, comma-separated (openssl rand -base64 32)',
  })
  .transform((keys) => keys.map((key) => Buffer.from(key, 'base64')));

export const ranges = z
  .string()
  .transform((text) => text.split(',').map((range) => range.trim()))
  .refine((list) => list.every((range) => parseCidr(range) !== undefined), {
    error: 'expected addresses in CIDR notation, comma-separated (127.0.0.0/8,fd00::/8)',
  });

export const yesOrNo = z
  .enum(['true', 'false'], { error: 'expected true or false' })
  .transform((text) => text === 'true');
