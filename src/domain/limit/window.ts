/** When windows begin and end, and when it is worth coming back. */
import { dayEnd, dayOf } from '../usage/period';
import { DAY_SECONDS } from './policy';

const DAY_MS = DAY_SECONDS * 1000;

/** Days in UTC, counted from 1970. */
export function dayNumber(epochMs: number): number {
  return Math.floor(epochMs / DAY_MS);
}

/** The window of a calendar day in UTC. */
export function dayWindow(epochMs: number): { name: string; endsInMs: number } {
  const name = dayOf(new Date(epochMs));
  return { name, endsInMs: dayEnd(name).getTime() - epochMs };
}

/** Of the window, so that not everyone who was refused comes back in the same second. */
const JITTER = 0.05;
const JITTER_SECONDS_MAX = 30;

/** @param chance 0 to less than 1. @returns whole seconds, never before the end of the window */
export function retryAfterSeconds(
  { endsInMs, windowSeconds }: { endsInMs: number; windowSeconds: number },
  chance: number,
): number {
  const jitter = Math.min(windowSeconds * JITTER, JITTER_SECONDS_MAX);
  return Math.max(1, Math.ceil(endsInMs / 1000)) + Math.floor(chance * (jitter + 1));
}
