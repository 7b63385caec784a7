/** Days and months of usage: calendar ones in UTC. A day is `YYYY-MM-DD`, a month its first day. */
const DAY_MS = 86_400_000;

export function dayOf(at: Date): string {
  return at.toISOString().slice(0, 10);
}

export function monthOf(at: Date): string {
  return `${at.toISOString().slice(0, 7)}-01`;
}

/** 00:00 UTC of a day. */
export function startOf(day: string): Date {
  return new Date(`${day}T00:00:00.000Z`);
}

/** When the day is over. */
export function dayEnd(day: string): Date {
  return new Date(startOf(day).getTime() + DAY_MS);
}

/** When the month that the day lies in is over. */
export function monthEnd(day: string): Date {
  const start = startOf(day);
  return new Date(Date.UTC(start.getUTCFullYear(), start.getUTCMonth() + 1, 1));
}

/** How many days a range has, both ends counted; none where it ends before it begins. */
export function daysIn({ from, to }: DayRange): number {
  return Math.max(0, (startOf(to).getTime() - startOf(from).getTime()) / DAY_MS + 1);
}

/** Both ends belong to it. */
export interface DayRange {
  from: string;
  to: string;
}

/** Each day of a range. */
export function eachDay(range: DayRange): string[] {
  const first = startOf(range.from).getTime();
  return Array.from({ length: daysIn(range) }, (_, n) => dayOf(new Date(first + n * DAY_MS)));
}
