/**
 * Requests that ask to go on as another protocol (RFC 9110 §7.8). They run through the same list of middleware as all others:
 * until a handler takes the connection over, whatever refuses them is answered as on any request.
 */
import { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Route } from './route';

/** Whether a request that asks for it may leave HTTP; all others are answered as if they had not asked. */
export type MayUpgrade = (req: IncomingMessage) => boolean;

export function upgradesOf(routes: readonly Route[]): MayUpgrade {
  const offered = new Map(routes.flatMap(({ path, upgrade }) => (upgrade ? [[path, upgrade] as const] : [])));
  return ({ method, url = '', headers, httpVersion }) => {
    if (method !== 'GET' || httpVersion !== '1.1' || hasBody(headers)) return false;
    const path = url.split('?', 1)[0] ?? '';
    const protocol = offered.get(path) ?? offered.get(path.replace(/\/$/, ''));
    return protocol !== undefined && headers.upgrade?.toLowerCase() === protocol;
  };
}

/** RFC 9112 §6: a request without these has none. */
export function hasBody(headers: IncomingMessage['headers']): boolean {
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
}

/**
 * The class of requests of a server that listens for upgrades. With such a listener Node takes every request that asks for one
 * off its parser, also those that Java's client sends with `Upgrade: h2c` and a body; here only what may go on elsewhere.
 */
export function upgradableMessage(mayUpgrade: MayUpgrade): typeof IncomingMessage {
  class UpgradableMessage extends IncomingMessage {
    /** As the parser has it. Without an initialiser: the class above sets it while it is constructed. */
    declare private asked: boolean | null;

    get upgrade(): boolean {
      return this.asked === true && (this.method === 'CONNECT' || mayUpgrade(this));
    }

    set upgrade(asked: boolean | null) {
      this.asked = asked;
    }
  }
  return UpgradableMessage;
}

/** A connection that is no longer HTTP's. */
export interface Handed {
  socket: Socket;
  /** what the client has sent beyond its request */
  head: Buffer;
}

const NOTHING = Buffer.alloc(0);

/** The answer to a request that Node has taken off its parser: an ordinary one, unless the connection is handed over. */
export class UpgradeResponse extends ServerResponse {
  readonly #socket: Socket;
  #head: Buffer;

  /** @param socket carries no other answer */
  constructor(req: IncomingMessage, { socket, head }: Handed) {
    super(req);
    this.#socket = socket;
    this.#head = head;
    // Nobody parses what would follow.
    this.shouldKeepAlive = false;
    this.assignSocket(socket);
    // What the server does for its own.
    this.once('finish', () => {
      this.detachSocket(socket);
      process.nextTick(() => this.#close());
      socket.destroySoon();
    });
  }

  /**
   * Gives the connection to another protocol. Of the response only the end remains: it closes with the connection.
   * @param take writes the beginning (101), in one go; where it throws, the response is still to be given
   * @returns undefined where the client has left
   */
  handOver<T>(take: (handed: Handed) => T): T | undefined {
    const socket = this.#socket;
    if (this.headersSent || socket.destroyed) return undefined;
    const taken = take({ socket, head: this.#head });
    // It is a part of all that was read, which would stay for as long as the connection.
    this.#head = NOTHING;
    this.statusCode = 101;
    this.detachSocket(socket);
    // Nothing is left to be written, so it ends whole.
    this.finished = true;
    socket.once('close', () => this.#close());
    return taken;
  }

  #close(): void {
    this.destroyed = true;
    this.emit('close');
  }
}

/** Whether an answer to an earlier request of the connection is still being written. */
export function carriesAnswer(socket: Socket): boolean {
  return ((socket as Socket & { _httpMessage?: ServerResponse | null })._httpMessage ?? null) !== null;
}
