/**
 * The subscribers of jobs in this process. One topic per job: it is attached to the live feed before anything is read, and what
 * each subscriber has seen is one number, so that log and feed join without a gap and without doubles.
 *
 *   snapshot -> behind   the state was sent with the cursor that was read before it
 *   behind   -> live     the log has been read to its end, and the feed has brought nothing newer meanwhile
 *   live     -> reset    the feed may have missed something: reset, then snapshot
 *   behind   -> reset    the log doesn't know the cursor
 *   any      -> done     the job's last event: the job as it ended, or that it was deleted, then the stream ends
 *
 * While a subscriber is not live the feed only says how far the topic is; entries come from the log, at the reader's pace.
 */
import { isFinal } from '../../domain/batch/status';
import { topicFor } from '../../domain/realtime/event';
import { isDeletion } from '../../domain/realtime/publication';
import type { LogEntry } from '../../domain/realtime/topic-log';
import { doneMessage, isLast, RESET_MESSAGE, snapshotMessage, toMessage } from './job-message';
import type { JobRef, LiveFeed, ReadJob, TopicLog } from './ports';
import type { Exchange, SseClient, SseHub, SseMessage } from './sse-hub';
import type { Turnstile } from './turnstile';

export interface JobStreamsOptions {
  hub: SseHub;
  feed: LiveFeed;
  log: TopicLog;
  readJob: ReadJob;
  /** bounds the snapshots read at once, e.g. when Redis restarts and every subscriber starts anew */
  snapshots: Turnstile;
  onFailure(error: unknown, ref: JobRef): void;
}

/** Where a client wants to go on: after a known entry, from the present, or from a place that can't be known. */
export type Start = number | 'now' | 'unknown';

export interface JobStreams {
  /** Whether a client that has seen `cursor` has seen all. */
  hasEnded(ref: JobRef, cursor: number): Promise<boolean>;
  /** Takes the response over. The caller has made sure that the asker may see the job. */
  open(ref: JobRef, exchange: Exchange, start: Start): void;
}

export function createJobStreams(options: JobStreamsOptions): JobStreams {
  const topics = new Map<string, JobTopic>();
  return {
    async hasEnded(ref, cursor) {
      return (await options.log.replay(topicFor.job(ref.jobId), cursor, 1)).state === 'ended';
    },
    open(ref, exchange, start) {
      let topic = topics.get(ref.jobId);
      if (topic === undefined) {
        topic = new JobTopic(ref, options, () => topics.delete(ref.jobId));
        topics.set(ref.jobId, topic);
      }
      topic.join(exchange, start);
    },
  };
}

interface Follower {
  client: SseClient;
  /** id of the last entry it was sent */
  seen: number;
  state: 'snapshot' | 'reset' | 'behind' | 'live' | 'done';
}

type Shown = Awaited<ReturnType<ReadJob>>;

interface View {
  job: Shown;
  /** undefined while Redis is away */
  cursor: number | undefined;
}

const PAGE_ENTRIES = 256;

class JobTopic {
  readonly #name: string;
  readonly #followers = new Set<Follower>();
  readonly #detach: () => void;
  /** id of the newest entry that the feed has brought */
  #newest = 0;
  /** counts resets */
  #life = 0;
  #view: Promise<View> | undefined;
  #ended: Promise<Shown> | undefined;

  constructor(
    private readonly ref: JobRef,
    private readonly options: JobStreamsOptions,
    private readonly onEmpty: () => void,
  ) {
    this.#name = topicFor.job(ref.jobId);
    this.#detach = options.feed.subscribe(this.#name, {
      onEntry: (entry) => this.#onEntry(entry),
      onReset: () => this.#onReset(),
    });
  }

  join(exchange: Exchange, start: Start): void {
    const follower: Follower = {
      client: this.options.hub.join(this.#name, exchange),
      seen: typeof start === 'number' ? start : 0,
      state: start === 'now' ? 'snapshot' : start === 'unknown' ? 'reset' : 'behind',
    };
    this.#followers.add(follower);
    follower.client.onClose(() => this.#leave(follower));
    this.#guard(follower, this.#bringUp(follower));
  }

  #leave(follower: Follower): void {
    this.#followers.delete(follower);
    if (this.#followers.size > 0) return;
    this.#detach();
    this.onEmpty();
  }

  #onEntry(entry: LogEntry): void {
    this.#newest = entry.id;
    const ready = [...this.#followers].filter(({ state, seen }) => state === 'live' && seen < entry.id);
    if (ready.length === 0) return;
    if (isLast(entry)) {
      for (const follower of ready) this.#guard(follower, this.#finish(follower, entry));
      return;
    }
    for (const follower of ready) follower.seen = entry.id;
    this.#send(toMessage(entry), ...ready);
  }

  #onReset(): void {
    this.#life++;
    this.#newest = 0;
    this.#view = undefined;
    for (const follower of this.#followers) {
      if (follower.state === 'done') continue;
      const wasLive = follower.state === 'live';
      follower.state = 'reset';
      // One that is being brought up finds its new state after the present step.
      if (wasLive) this.#guard(follower, this.#bringUp(follower));
    }
  }

  async #bringUp(follower: Follower): Promise<void> {
    while (!follower.client.closed) {
      if (follower.state === 'behind') await this.#catchUp(follower);
      else if (follower.state === 'snapshot' || follower.state === 'reset') await this.#startAnew(follower);
      else return;
    }
  }

  async #startAnew(follower: Follower): Promise<void> {
    const life = this.#life;
    const { job, cursor } = await this.#readView();
    // A reset came meanwhile: what was read may be from before it.
    if (life !== this.#life) return;
    if (follower.state === 'reset') this.#send(RESET_MESSAGE, follower);
    if (isFinal(job.status)) {
      // Only `done` has an id: a client cut off before it must not be told that it has seen all.
      this.#send(snapshotMessage(job, undefined), follower);
      this.#end(follower, doneMessage(job, cursor));
      return;
    }
    this.#send(snapshotMessage(job, cursor), follower);
    // Redis is away: the client comes back after `retry` and gets the state again, until there is a log to follow.
    if (cursor === undefined) return this.#end(follower);
    follower.seen = cursor;
    follower.state = this.#newest > cursor ? 'behind' : 'live';
  }

  async #catchUp(follower: Follower): Promise<void> {
    const page = await this.options.log.replay(this.#name, follower.seen, PAGE_ENTRIES);
    if (follower.state !== 'behind') return;
    if (page.state === 'ended') return this.#end(follower);
    if (page.state === 'lost') {
      follower.state = 'reset';
      return;
    }
    for (const entry of page.entries) {
      if (isLast(entry)) return this.#finish(follower, entry);
      follower.seen = entry.id;
      this.#send(toMessage(entry), follower);
    }
    follower.seen = page.cursor;
    if (page.more || this.#newest > follower.seen) await follower.client.drained();
    else follower.state = 'live';
  }

  /** After the job's last event: its row is final by now, or gone. */
  async #finish(follower: Follower, entry: LogEntry): Promise<void> {
    follower.state = 'done';
    if (isDeletion(entry.type)) return this.#end(follower, toMessage(entry));
    this.#ended ??= this.options.snapshots(() => this.options.readJob(this.ref));
    const job = await this.#ended;
    this.#end(follower, isFinal(job.status) ? doneMessage(job, entry.id) : undefined);
  }

  #end(follower: Follower, last?: SseMessage): void {
    follower.state = 'done';
    if (last !== undefined) this.#send(last, follower);
    follower.client.end();
  }

  #send(message: SseMessage, ...followers: Follower[]): void {
    const clients = followers.map(({ client }) => client);
    this.options.hub.send(this.#name, message, clients);
  }

  /** Shared by those who ask while it is being read: cursor and state fit each other whoever reads them. */
  #readView(): Promise<View> {
    if (this.#view !== undefined) return this.#view;
    const reading = this.options
      .snapshots(() => this.#read())
      .finally(() => {
        if (this.#view === reading) this.#view = undefined;
      });
    this.#view = reading;
    return reading;
  }

  async #read(): Promise<View> {
    const { log, readJob } = this.options;
    const cursor = await log.cursor(this.#name).catch(() => undefined);
    const job = await readJob(this.ref);
    if (!isFinal(job.status)) return { job, cursor };
    return { job, cursor: await log.finalCursor(this.#name).catch(() => undefined) };
  }

  /** A failure ends the stream; the client resumes after what it has seen. */
  #guard(follower: Follower, work: Promise<void>): void {
    work.catch((error: unknown) => {
      this.options.onFailure(error, this.ref);
      this.#ended = undefined;
      this.#end(follower);
    });
  }
}
