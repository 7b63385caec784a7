/**
 * The followers of one topic in this process. The topic is attached to the live feed before anything is read, and what each
 * follower has seen is one number, so that log and feed join without a gap and without doubles.
 *
 *   opening -> behind   the state was told with the cursor that was read before it
 *   behind  -> live     the log has been read to its end, and the feed has brought nothing newer meanwhile
 *   live    -> reset    the feed may have missed something: reset, then as opening
 *   behind  -> reset    the log doesn't know the cursor
 *   any     -> done     the topic is over, or nobody can tell how it goes on: the follower is ended
 *
 * While a follower is not live the feed only says how far the topic is; entries come from the log, at the reader's pace.
 */
import type { TypeFilter } from '../../domain/events/type-filter';
import { FLEETING, type LogEntry } from '../../domain/realtime/topic-log';
import type { LiveFeed, TopicLog } from './ports';
import type { FollowOptions } from './follow';
import type { Opening, Subject } from './subject';
import type { EndReason, Message, Subscriber, Transport } from './transport';
import type { Turnstile } from './turnstile';

export interface TopicFollowersOptions {
  subject: Subject;
  feed: LiveFeed;
  log: TopicLog;
  /** bounds the states read at once, e.g. when Redis restarts and everybody starts anew */
  openings: Turnstile;
  /** Called with the first follower who wants each item; what it returns, after the last. */
  watchItems(): () => void;
  onFailure(error: unknown): void;
  onEmpty(): void;
}

interface Follower {
  readonly subscriber: Subscriber;
  readonly types: TypeFilter | undefined;
  readonly items: boolean;
  /** id of the last entry that was told, or passed over as not wanted */
  seen: number;
  /** id of the last that was told */
  told: number;
  state: 'opening' | 'reset' | 'behind' | 'live' | 'done';
  /** for `reset` */
  reason: 'cursor_unknown' | 'log_lost';
}

const PAGE_ENTRIES = 256;
const ITEM = 'job.item';
const RESETS: Readonly<Record<Follower['reason'], Message>> = {
  cursor_unknown: { event: 'reset', data: '{"reason":"cursor_unknown"}' },
  log_lost: { event: 'reset', data: '{"reason":"log_lost"}' },
};

export class TopicFollowers {
  readonly #options: TopicFollowersOptions;
  readonly #topic: string;
  readonly #followers = new Set<Follower>();
  readonly #detach: () => void;
  /** id of the newest entry that the feed has brought */
  #newest = 0;
  /** counts resets */
  #life = 0;
  #opening: Promise<Opening> | undefined;
  #last: Promise<Message | undefined> | undefined;
  #unwatchItems: (() => void) | undefined;

  constructor(options: TopicFollowersOptions) {
    this.#options = options;
    this.#topic = options.subject.topic;
    this.#detach = options.feed.subscribe(this.#topic, {
      onEntry: (entry) => this.#onEntry(entry),
      onReset: () => this.#onReset(),
    });
  }

  join(subscriber: Subscriber, { start, types, items }: FollowOptions): void {
    const follower: Follower = {
      subscriber,
      types,
      items: items === true,
      seen: typeof start === 'number' ? start : 0,
      told: typeof start === 'number' ? start : 0,
      state: start === 'now' ? 'opening' : start === 'unknown' ? 'reset' : 'behind',
      reason: 'cursor_unknown',
    };
    this.#followers.add(follower);
    if (follower.items) this.#unwatchItems ??= this.#options.watchItems();
    subscriber.onClose(() => this.#leave(follower));
    this.#guard(follower, this.#bringUp(follower));
  }

  /** Tells those who were told nothing of late, for what they want, how far the topic is: their cursor must not grow old. */
  mark(): void {
    for (const follower of this.#followers) {
      const { subscriber, types, state, seen, told } = follower;
      if (types === undefined || state !== 'live' || told >= seen) continue;
      follower.told = seen;
      subscriber.transport.mark(this.#topic, seen, [subscriber]);
    }
  }

  #leave(follower: Follower): void {
    follower.state = 'done';
    if (!this.#followers.delete(follower)) return;
    if (follower.items && ![...this.#followers].some(({ items }) => items)) {
      this.#unwatchItems?.();
      this.#unwatchItems = undefined;
    }
    if (this.#followers.size > 0) return;
    this.#detach();
    this.#options.onEmpty();
  }

  #onEntry(entry: LogEntry): void {
    const fleeting = entry.id === FLEETING;
    if (!fleeting) this.#newest = entry.id;
    const last = !fleeting && this.#options.subject.isLast(entry);
    const wanting: Follower[] = [];
    for (const follower of this.#followers) {
      if (follower.state !== 'live' || (!fleeting && follower.seen >= entry.id)) continue;
      if (last) {
        this.#guard(follower, this.#finish(follower, entry));
        continue;
      }
      if (!fleeting) follower.seen = entry.id;
      if (wants(follower, entry)) wanting.push(follower);
    }
    if (wanting.length > 0) this.#tell(this.#options.subject.toMessage(entry), wanting);
  }

  #onReset(): void {
    this.#life++;
    this.#newest = 0;
    this.#opening = undefined;
    for (const follower of this.#followers) {
      if (follower.state === 'done') continue;
      const wasLive = follower.state === 'live';
      follower.state = 'reset';
      follower.reason = 'log_lost';
      // One that is being brought up finds its new state after the present step.
      if (wasLive) this.#guard(follower, this.#bringUp(follower));
    }
  }

  async #bringUp(follower: Follower): Promise<void> {
    const { subscriber } = follower;
    while (!subscriber.closed) {
      if (follower.state === 'behind') await subscriber.catchUps(() => this.#catchUp(follower));
      else if (follower.state === 'opening' || follower.state === 'reset') await this.#startAnew(follower);
      else return;
    }
  }

  async #startAnew(follower: Follower): Promise<void> {
    const life = this.#life;
    const { messages, cursor, over } = await this.#open();
    // A reset came meanwhile: what was read may be from before it.
    if (life !== this.#life || follower.state === 'done') return;
    if (follower.state === 'reset') this.#tell(RESETS[follower.reason], [follower]);
    for (const message of messages) this.#tell(message, [follower]);
    if (over) return this.#end(follower, 'over');
    // Redis is away: the client comes back after a while and gets the state again, until there is a log to follow.
    if (cursor === undefined) return this.#end(follower, 'unavailable');
    follower.seen = cursor;
    follower.told = cursor;
    follower.state = this.#newest > cursor ? 'behind' : 'live';
  }

  async #catchUp(follower: Follower): Promise<void> {
    // While it waited for its turn it may have left, or have to start anew.
    if (follower.state !== 'behind') return;
    const page = await this.#options.log.replay(this.#topic, follower.seen, PAGE_ENTRIES);
    if (follower.state !== 'behind') return;
    if (page.state === 'ended') return this.#end(follower, 'over');
    if (page.state === 'lost') {
      follower.state = 'reset';
      follower.reason = 'cursor_unknown';
      return;
    }
    for (const entry of page.entries) {
      if (this.#options.subject.isLast(entry)) return this.#finish(follower, entry);
      follower.seen = entry.id;
      if (!wants(follower, entry)) continue;
      this.#tell(this.#options.subject.toMessage(entry), [follower]);
      // A page may be more than can wait for any reader.
      await follower.subscriber.drained();
      if (follower.state !== 'behind') return;
    }
    follower.seen = page.cursor;
    if (!page.more && this.#newest <= follower.seen) follower.state = 'live';
  }

  async #finish(follower: Follower, entry: LogEntry): Promise<void> {
    follower.state = 'done';
    this.#last ??= this.#options.openings(() => this.#options.subject.last(entry));
    const message = await this.#last;
    if (message === undefined) return this.#end(follower, 'unavailable');
    this.#tell(message, [follower]);
    this.#end(follower, 'over');
  }

  #end(follower: Follower, why: EndReason): void {
    follower.state = 'done';
    follower.subscriber.end(why);
  }

  #tell(message: Message, followers: readonly Follower[]): void {
    const groups = new Map<Transport, Subscriber[]>();
    for (const follower of followers) {
      if (message.id !== undefined) follower.told = message.id;
      const { subscriber } = follower;
      const group = groups.get(subscriber.transport);
      if (group === undefined) groups.set(subscriber.transport, [subscriber]);
      else group.push(subscriber);
    }
    for (const [transport, subscribers] of groups) transport.tell(this.#topic, message, subscribers);
  }

  /** Shared by those who ask while it is being read: cursor and state fit each other whoever reads them. */
  #open(): Promise<Opening> {
    if (this.#opening !== undefined) return this.#opening;
    const reading = this.#options
      .openings(() => this.#options.subject.open())
      .finally(() => {
        if (this.#opening === reading) this.#opening = undefined;
      });
    this.#opening = reading;
    return reading;
  }

  /** A failure ends the follower; the client resumes after what it has seen. */
  #guard(follower: Follower, work: Promise<void>): void {
    work.catch((error: unknown) => {
      this.#options.onFailure(error);
      this.#last = undefined;
      this.#end(follower, 'unavailable');
    });
  }
}

function wants({ types, items }: Follower, { type }: LogEntry): boolean {
  if (type === ITEM) return items;
  return types === undefined || types.passes(type);
}
