/** What is followed, and from where. */
import type { TypeFilter } from '../../domain/events/type-filter';

/** What is followed, after it was made sure that the asker may. */
export type FollowedTopic =
  | { kind: 'job'; tenantId: string; jobId: string }
  | { kind: 'tenant'; tenantId: string };

/** Where a client wants to go on: after a known entry, from the present, or from a place that can't be known. */
export type Start = number | 'now' | 'unknown';

export interface FollowOptions {
  start: Start;
  /** what is told of the topic's entries; left out, all of them */
  types?: TypeFilter | undefined;
  /** of a job: each item as it ends */
  items?: boolean | undefined;
}
