/** Those who follow topics in this process, whatever the transport: what each is told is decided in `topic-followers.ts`. */
import type { FollowedTopic, FollowOptions, Start } from './follow';
import { jobSubject } from './job-subject';
import type { ItemWatch, LiveFeed, ReadJob, TopicLog } from './ports';
import type { Subject } from './subject';
import { tenantSubject } from './tenant-subject';
import { TopicFollowers } from './topic-followers';
import type { Subscriber } from './transport';
import type { Turnstile } from './turnstile';

export type { FollowedTopic, FollowOptions, Start };

export interface Streams {
  /** Whether a client that has seen `cursor` has seen all there will ever be. Rejects while Redis is away. */
  hasEnded(topic: FollowedTopic, cursor: number): Promise<boolean>;
  /** Tells the subscriber what happens until it ends. The caller has made sure that the asker may follow the topic. */
  open(topic: FollowedTopic, subscriber: Subscriber, options: FollowOptions): void;
}

export interface StreamsOptions {
  feed: LiveFeed;
  log: TopicLog;
  readJob: ReadJob;
  /** bounds the snapshots read at once */
  snapshots: Turnstile;
  items: ItemWatch;
  onFailure(error: unknown, topic: FollowedTopic): void;
  /** how often those who get few of a topic's entries are told where it stands */
  markMs?: number;
}

const MARK_MS = 15_000;

export function createStreams(options: StreamsOptions): Streams {
  const topics = new Map<string, TopicFollowers>();
  const marks = createMarks(topics, options.markMs ?? MARK_MS);
  const subjectOf = (topic: FollowedTopic): Subject =>
    topic.kind === 'job' ? jobSubject(options, topic) : tenantSubject(options.log, topic.tenantId);
  const obtain = (topic: FollowedTopic): TopicFollowers => {
    const subject = subjectOf(topic);
    const known = topics.get(subject.topic);
    if (known !== undefined) return known;
    const made = new TopicFollowers({
      subject,
      feed: options.feed,
      log: options.log,
      openings: options.snapshots,
      watchItems: () => (topic.kind === 'job' ? options.items.watch(topic.jobId) : () => undefined),
      onFailure: (error) => options.onFailure(error, topic),
      onEmpty: () => {
        topics.delete(subject.topic);
        if (topics.size === 0) marks.stop();
      },
    });
    topics.set(subject.topic, made);
    marks.start();
    return made;
  };
  return {
    async hasEnded(topic, cursor) {
      return (await options.log.replay(subjectOf(topic).topic, cursor, 1)).state === 'ended';
    },
    open: (topic, subscriber, follow) => obtain(topic).join(subscriber, follow),
  };
}

/** One timer for all topics, and none while there are none. */
function createMarks(topics: ReadonlyMap<string, TopicFollowers>, everyMs: number) {
  let timer: NodeJS.Timeout | undefined;
  return {
    start(): void {
      timer ??= setInterval(() => {
        for (const topic of topics.values()) topic.mark();
      }, everyMs).unref();
    },
    stop(): void {
      clearInterval(timer);
      timer = undefined;
    },
  };
}
