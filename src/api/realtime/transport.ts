/** What the streams need of a transport: SSE (`sse-hub.ts`) and WebSocket (`socket-hub.ts`) are the two there are. */
import type { Turnstile } from './turnstile';

export interface Message {
  /** only what a client may resume after has one */
  id?: number;
  event: 'snapshot' | 'progress' | 'status' | 'item' | 'event' | 'ready' | 'reset' | 'done';
  /** JSON text, without line breaks */
  data: string;
}

/**
 * Why nothing more is told on a topic. `over`: there will never be more. `unavailable`: the realtime log is away or something
 * failed; whoever comes back later is told what was missed.
 */
export type EndReason = 'over' | 'unavailable';

/** One client on one topic. */
export interface Subscriber {
  readonly closed: boolean;
  readonly transport: Transport;
  /** Called once, however it ends; at once if it has ended. */
  onClose(listener: () => void): void;
  /** Nothing more is told on this topic; what was told still goes out. */
  end(why: EndReason): void;
  /** At once, or when the client has read what is pending; one that doesn't for 30 s is cut off. */
  drained(): Promise<void>;
  /** Bounds how much of the log is held for one client at once, however many topics it has to catch up on. */
  readonly catchUps: Turnstile;
}

export interface Transport {
  /** Framed once, whatever the number of subscribers; all of them are of this transport and this topic. */
  tell(topic: string, message: Message, subscribers: readonly Subscriber[]): void;
  /** The topic moved to `cursor` though these were told nothing: a client that resumes there misses nothing. */
  mark(topic: string, cursor: number, subscribers: readonly Subscriber[]): void;
}
