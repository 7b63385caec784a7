/** What holds a key in, beside its scopes. Names are those of the API. */
import { encloses, toCidrs } from '../net/cidr';

export interface KeyBounds {
  /** null: never */
  expires_at: Date | null;
  /** none: it may be used from anywhere */
  allowed_cidrs: readonly string[];
  /** null: as the plan of its tenant has it */
  requests_per_minute: number | null;
  requests_per_day: number | null;
}

export const UNBOUND: KeyBounds = {
  expires_at: null,
  allowed_cidrs: [],
  requests_per_minute: null,
  requests_per_day: null,
};

/** The bounds in which `wanted` is looser than `holder`; what it leaves out is not looked at. */
export function boundsBeyond(holder: KeyBounds, wanted: Partial<KeyBounds>): (keyof KeyBounds)[] {
  const looser = {
    expires_at: wanted.expires_at !== undefined && isAbove(wanted.expires_at, holder.expires_at),
    allowed_cidrs: wanted.allowed_cidrs !== undefined && isWider(wanted.allowed_cidrs, holder.allowed_cidrs),
    requests_per_minute:
      wanted.requests_per_minute !== undefined &&
      isAbove(wanted.requests_per_minute, holder.requests_per_minute),
    requests_per_day:
      wanted.requests_per_day !== undefined && isAbove(wanted.requests_per_day, holder.requests_per_day),
  };
  return (Object.keys(looser) as (keyof KeyBounds)[]).filter((name) => looser[name]);
}

/** null: without end */
function isAbove<T extends Date | number>(value: T | null, limit: T | null): boolean {
  if (limit === null) return false;
  return value === null || value > limit;
}

function isWider(wanted: readonly string[], allowed: readonly string[]): boolean {
  if (allowed.length === 0) return false;
  const outer = toCidrs(allowed);
  return wanted.length === 0 || !toCidrs(wanted).every((inner) => outer.some((one) => encloses(one, inner)));
}
