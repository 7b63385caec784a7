/** One topic that one WebSocket follows. */
import type { SocketConnection } from './socket-connection';
import type { EndReason, Subscriber, Transport } from './transport';
import type { Turnstile } from './turnstile';

export interface SubscriptionOptions {
  connection: SocketConnection;
  transport: Transport;
  /** the topic, as the client calls it */
  name: string;
  /** of the connection */
  catchUps: Turnstile;
  /** Nothing more is told on the topic. */
  onEnd(why: EndReason): void;
}

export class SocketSubscription implements Subscriber {
  readonly connection: SocketConnection;
  readonly transport: Transport;
  readonly name: string;
  readonly catchUps: Turnstile;
  #closed = false;
  #onClose: (() => void)[] = [];
  readonly #onEnd: (why: EndReason) => void;

  constructor({ connection, transport, name, catchUps, onEnd }: SubscriptionOptions) {
    this.connection = connection;
    this.transport = transport;
    this.name = name;
    this.catchUps = catchUps;
    this.#onEnd = onEnd;
  }

  get closed(): boolean {
    return this.#closed || this.connection.closed;
  }

  onClose(listener: () => void): void {
    if (this.#closed) listener();
    else this.#onClose.push(listener);
  }

  end(why: EndReason): void {
    if (this.#closed) return;
    this.close();
    this.#onEnd(why);
  }

  /** The client wants no more of it, or has left. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const listener of this.#onClose.splice(0)) listener();
  }

  drained(): Promise<void> {
    return this.#closed ? Promise.resolve() : this.connection.drained();
  }
}
