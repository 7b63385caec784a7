/** The realtime log as it stands in Redis: what those who follow a topic must have been told. */
import type { Redis } from 'ioredis';
import { toMessage } from '../../src/api/realtime/job-message';
import { realtimeKeys } from '../../src/platform/redis/realtime-log';

export interface Logged {
  cursor: number;
  type: string;
  /** as a subscriber of a job is told it */
  data: unknown;
}

/** @param at the log, as `prefix` and topic have it; `after` a cursor */
export async function logOf(
  redis: Redis,
  at: { prefix: string; topic: string; after: number },
): Promise<Logged[]> {
  const entries = await redis.xrange(realtimeKeys(at.prefix).log(at.topic), `${at.after + 1}-0`, '+');
  return entries.flatMap(([id, fields]) => {
    const of = (name: string): string => fields[fields.indexOf(name) + 1] ?? '';
    const [cursor, type] = [Number.parseInt(id, 10), of('t')];
    // An anchor is nothing that anybody is told.
    if (type === '') return [];
    return [
      { cursor, type, data: JSON.parse(toMessage({ id: cursor, type, payload: of('p') }).data) as unknown },
    ];
  });
}
