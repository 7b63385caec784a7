/** What a topic is about: how a subscriber is brought up to date, how entries are told, and how it ends. */
import type { LogEntry } from '../../domain/realtime/topic-log';
import type { Message } from './transport';

/** What somebody who knows nothing is told first. One object serves all who ask while it is being read. */
export interface Opening {
  messages: readonly Message[];
  /** where the log goes on after it; undefined while Redis is away */
  cursor: number | undefined;
  /** Nothing can follow. */
  over: boolean;
}

export interface Subject {
  /** of the topic, as the log knows it */
  readonly topic: string;
  open(): Promise<Opening>;
  toMessage(entry: LogEntry): Message;
  /** After it there are no more entries. */
  isLast(entry: LogEntry): boolean;
  /** What is told in place of the last entry; undefined: it ended in a way that can't be shown. */
  last(entry: LogEntry): Promise<Message | undefined>;
}
