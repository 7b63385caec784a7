/** What one WebSocket asks for: its commands are carried out, each topic's in the order in which they came. */
import { AppError, isAppError } from '../../domain/errors';
import { typeFilter } from '../../domain/events/type-filter';
import type { Principal } from '../../domain/key/scopes';
import type { Log } from '../ports';
import type { Stay } from './admission';
import { CLOSE, type SocketConnection } from './socket-connection';
import type { SocketHub } from './socket-hub';
import { createPace, type Pace } from './socket-pace';
import { type Command, errorMessage, parseCommand, type Refused, type Subscribe } from './socket-protocol';
import { SocketSubscription } from './socket-subscription';
import type { Streams } from './streams';
import { parseTopic, TOPIC_SCOPES, type TopicAsker, type TopicGate, type TopicName } from './topic-name';
import type { EndReason } from './transport';
import { createTurnstile } from './turnstile';

export interface SessionDeps {
  sockets: SocketHub;
  gate: TopicGate;
  streams: Streams;
  /** ms; never goes back */
  monotonicMs(): number;
}

export interface SessionOf {
  connection: SocketConnection;
  asker: TopicAsker;
  topicsMax: number;
  stay: Pick<Stay, 'needs'>;
  log: Log;
}

/** Where the plan sets no limit. */
const TOPICS_MAX = 10_000;
/** Each right message makes up for a wrong one. */
const WRONG_MAX = 100;
/** Beyond one for each topic that it may follow, which it needs at once when it comes back. */
const COMMANDS_AT_ONCE = 100;
const COMMANDS_PER_SECOND = 20;
/** Further ones are not read before some of them are done. */
const UNDER_WAY_MAX = 64;
/** Topics that are read from the log at once: a client that comes back may be behind on all of them. */
const CATCH_UPS_AT_ONCE = 4;

export function topicsMaxOf({ plan }: Pick<Principal, 'plan'>): number {
  return Math.min(plan.limits.realtimeTopics ?? TOPICS_MAX, TOPICS_MAX);
}

export class SocketSession {
  readonly #deps: SessionDeps;
  readonly #of: SessionOf;
  readonly #pace: Pace;
  /** also those whose admission is under way: undefined */
  readonly #subscriptions = new Map<string, SocketSubscription | undefined>();
  /** the last command on each topic that has one under way */
  readonly #turns = new Map<string, Promise<void>>();
  readonly #catchUps = createTurnstile(CATCH_UPS_AT_ONCE);
  #underWay = 0;
  #wrong = 0;
  #waiting: NodeJS.Timeout | undefined;

  constructor(deps: SessionDeps, of: SessionOf) {
    this.#deps = deps;
    this.#of = of;
    this.#pace = createPace({
      atOnce: of.topicsMax + COMMANDS_AT_ONCE,
      perSecond: COMMANDS_PER_SECOND,
      monotonicMs: deps.monotonicMs,
    });
  }

  start(): void {
    const { connection } = this.#of;
    connection.ws.on('message', (data, isBinary) => this.#receive(data as Buffer, isBinary));
    connection.onClosing(() => this.#close());
  }

  #receive(data: Buffer, isBinary: boolean): void {
    const { connection } = this.#of;
    if (connection.closed) return;
    connection.heard();
    if (isBinary) return connection.close(CLOSE.unsupportedData);
    this.#readLater(this.#pace.take());
    const command = parseCommand(data.toString());
    if (command.type === 'refused') return this.#refuse(command);
    this.#wrong = Math.max(0, this.#wrong - 1);
    this.#obey(command);
  }

  #refuse(refused: Refused): void {
    const { connection } = this.#of;
    connection.send(errorMessage(refused.error, refused));
    if (++this.#wrong >= WRONG_MAX) connection.close(CLOSE.policyViolation);
  }

  #obey(command: Command): void {
    if (command.type === 'ping') return this.#of.connection.send({ type: 'pong', id: command.id });
    const work = command.type === 'subscribe' ? this.#subscribe : this.#unsubscribe;
    this.#inTurn(command.topic, async () => {
      try {
        await work.call(this, command as Subscribe);
      } catch (error) {
        this.#tellFailure(error, command);
      }
    });
  }

  async #subscribe(command: Subscribe): Promise<void> {
    const { connection, asker, stay } = this.#of;
    if (connection.closed) return;
    const name = topicOf(command);
    this.#reserve(command.topic);
    try {
      const topic = await this.#deps.gate.admit(name, asker);
      if (connection.closed) return;
      // Another tenant's topic is there for `admin` alone.
      stay.needs(topic.tenantId === asker.principal.tenantId ? TOPIC_SCOPES[name.kind] : ['admin']);
      const subscription = this.#begin(command.topic);
      connection.send({ type: 'subscribed', id: command.id, topic: command.topic });
      this.#deps.streams.open(topic, subscription, {
        start: command.start,
        types: command.types && typeFilter(command.types),
        items: command.items,
      });
    } finally {
      if (this.#subscriptions.get(command.topic) === undefined) this.#subscriptions.delete(command.topic);
    }
  }

  #reserve(topic: string): void {
    const { topicsMax } = this.#of;
    if (this.#subscriptions.has(topic)) {
      throw new AppError('already_followed', 'This connection follows the topic already.');
    }
    if (this.#subscriptions.size >= topicsMax) {
      throw new AppError('too_many_topics', `One connection may follow ${topicsMax} topics.`);
    }
    this.#subscriptions.set(topic, undefined);
  }

  #begin(name: string): SocketSubscription {
    const { connection } = this.#of;
    const leaveRoom = this.#deps.sockets.takeRoom();
    if (leaveRoom === undefined) {
      throw new AppError('at_capacity', 'On this server as many topics are followed as it takes.');
    }
    const onEnd = (why: EndReason): void => {
      this.#subscriptions.delete(name);
      const retryAfterMs = why === 'over' ? undefined : this.#deps.sockets.retryAfterMs();
      connection.send({ type: 'unsubscribed', topic: name, reason: why, retry_after_ms: retryAfterMs });
    };
    const of = { connection, transport: this.#deps.sockets, catchUps: this.#catchUps };
    const subscription = new SocketSubscription({ ...of, name, onEnd });
    subscription.onClose(leaveRoom);
    this.#subscriptions.set(name, subscription);
    return subscription;
  }

  /** Also of a topic that it does not follow, which may just have ended: what was wanted is so. */
  async #unsubscribe({ id, topic }: { id?: string | undefined; topic: string }): Promise<void> {
    this.#subscriptions.get(topic)?.close();
    this.#subscriptions.delete(topic);
    this.#of.connection.send({ type: 'unsubscribed', id, topic });
  }

  #tellFailure(error: unknown, command: { id?: string | undefined; topic: string }): void {
    const { connection, log } = this.#of;
    if (!isAppError(error)) log.error({ err: error, topic: command.topic }, 'command failed');
    connection.send(errorMessage(error, command));
  }

  /** @param work never rejects */
  #inTurn(topic: string, work: () => Promise<void>): void {
    const before = this.#turns.get(topic) ?? Promise.resolve();
    if (++this.#underWay === UNDER_WAY_MAX) this.#read();
    const turn = before.then(work).then(() => {
      if (this.#turns.get(topic) === turn) this.#turns.delete(topic);
      if (this.#underWay-- === UNDER_WAY_MAX) this.#read();
    });
    this.#turns.set(topic, turn);
  }

  #readLater(waitMs: number): void {
    if (waitMs === 0) return;
    clearTimeout(this.#waiting);
    this.#waiting = setTimeout(() => {
      this.#waiting = undefined;
      this.#read();
    }, waitMs).unref();
    this.#read();
  }

  /** Reads on, unless there is a reason not to. */
  #read(): void {
    const { ws } = this.#of.connection;
    if (this.#waiting === undefined && this.#underWay < UNDER_WAY_MAX) ws.resume();
    else ws.pause();
  }

  #close(): void {
    clearTimeout(this.#waiting);
    this.#waiting = undefined;
    // Its answer to the close has to be read.
    this.#of.connection.ws.resume();
    for (const subscription of this.#subscriptions.values()) subscription?.close();
    this.#subscriptions.clear();
  }
}

/** @throws AppError `validation_failed` */
function topicOf({ topic, types, items }: Subscribe): TopicName {
  const name = parseTopic(topic);
  if (name === undefined) throw invalid('topic', 'expected job:{job_id} or tenant');
  if (types !== undefined && name.kind !== 'tenant') throw invalid('types', 'only of a tenant topic');
  if (items !== undefined && name.kind !== 'job') throw invalid('items', 'only of the topic of a job');
  return name;
}

function invalid(field: string, detail: string): AppError {
  const errors = [{ pointer: `/${field}`, detail }];
  return new AppError('validation_failed', `/${field}: ${detail}`, { errors });
}
