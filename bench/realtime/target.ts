/** How a subscriber is reached. */
export type Protocol = 'sse' | 'websocket' | 'socket-io';

/** So many subscribers, spread evenly over the topics. */
export interface Audience {
  readonly protocol: Protocol;
  readonly connections: number;
}

/** Where subscribers find the topics. */
export interface Place {
  readonly host: string;
  readonly port: number;
  /** Only ours asks for one. */
  readonly key: string;
  /** Each is a job of ours; peers take the ids as they are. */
  readonly topics: readonly string[];
}

/** What a peer's server is given, and what it answers when it listens. */
export interface ServerRequest {
  readonly redisUrl: string;
  readonly topics: readonly string[];
}

export interface ServerAnswer {
  readonly port: number;
}

/** The name of the event that tells a subscriber of a peer that it is one; ours sends the job's state. */
export const first = 'snapshot';
/** The name of the events that are measured. */
export const later = 'progress';
