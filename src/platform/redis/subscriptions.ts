/** Who in this process listens to which topic: one map, whatever the transport. */
import type { LogEntry } from '../../domain/realtime/topic-log';

export interface TopicListener {
  onEntry(entry: LogEntry): void;
  /** Something may have been missed: read the state again. */
  onReset(): void;
}

export interface Subscriptions {
  readonly size: number;
  has(topic: string): boolean;
  /** @returns how to stop listening */
  add(topic: string, listener: TopicListener): () => void;
  entry(topic: string, entry: LogEntry): void;
  resetAll(): void;
}

/** @param onFailure a listener that throws must not take the others' entries with it */
export function createSubscriptions(onFailure: (error: unknown, topic: string) => void): Subscriptions {
  const listeners = new Map<string, Set<TopicListener>>();
  const each = (topic: string, tell: (listener: TopicListener) => void): void => {
    for (const listener of listeners.get(topic) ?? []) {
      try {
        tell(listener);
      } catch (error) {
        onFailure(error, topic);
      }
    }
  };
  return {
    get size() {
      return listeners.size;
    },
    has: (topic) => listeners.has(topic),
    add(topic, listener) {
      const own = listeners.get(topic) ?? new Set();
      listeners.set(topic, own.add(listener));
      return () => {
        own.delete(listener);
        if (own.size === 0 && listeners.get(topic) === own) listeners.delete(topic);
      };
    },
    entry: (topic, entry) => each(topic, (listener) => listener.onEntry(entry)),
    resetAll() {
      for (const topic of [...listeners.keys()]) each(topic, (listener) => listener.onReset());
    },
  };
}
