/**
 * The loop that makes notifications of events. Tenants have turns, of bounded time, one after the other; each worker process runs
 * such a loop, and no two are at the same tenant. A tenant whose filters took long rests as long as they took.
 *
 *   idle -> round   a wake-up (the relay has passed events on) or the poll
 *   round -> round  some tenant's events were more than one turn's
 *   round -> idle   nothing is left, or those that are left rest
 *   any -> waiting  Redis or PostgreSQL is away: rows stay, back-off, one line in the log per outage
 */
import { type Notification, notificationPublication } from '../domain/notification/notification';
import type { Publication } from '../domain/realtime/publication';

export interface NotifierOptions {
  /** See src/platform/postgres/notification-queue.ts. */
  queue: {
    next(after?: string): Promise<string | undefined>;
    take(
      tenantId: string,
      limit: number,
      tell: (notifications: readonly Notification[]) => Promise<void>,
    ): Promise<Turn>;
  };
  publish(publications: readonly Publication[]): Promise<void>;
  /** milliseconds of a clock that never goes back */
  ticks(): number;
  log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
    error(fields: object, message: string): void;
  };
  pollMs?: number;
}

type Turn =
  | { state: 'done'; events: number }
  | { state: 'busy' | 'too_much' }
  | { state: 'dropped'; eventId: string; error: Error };

export interface Notifier {
  /** Look at once. */
  wake(): void;
  /** Resolves when the turn under way is done. */
  stop(): Promise<void>;
}

/** Events of a turn; fewer where their filters take long. */
const EVENTS_MAX = 64;
/** What a turn may take without a rest after it. */
const SLOW_MS = 500;
const POLL_MS = 500;
const RETRY_MAX_MS = 5_000;

export function startNotifier(options: NotifierOptions): Notifier {
  const loop = new NotifierLoop(options);
  const running = loop.run();
  return {
    wake: () => loop.wake(),
    async stop() {
      loop.stop();
      await running;
    },
  };
}

class NotifierLoop {
  readonly #options: NotifierOptions;
  /** Events a turn of tenants whose filters take long; and until when they rest. */
  readonly #limits = new Map<string, number>();
  readonly #rests = new Map<string, number>();
  #stopped = false;
  #woken = false;
  #endPause: (() => void) | undefined;

  constructor(options: NotifierOptions) {
    this.#options = options;
  }

  wake(): void {
    this.#woken = true;
    this.#endPause?.();
  }

  stop(): void {
    this.#stopped = true;
    this.#endPause?.();
  }

  async run(): Promise<void> {
    const { log, pollMs = POLL_MS } = this.#options;
    let failures = 0;
    while (!this.#stopped) {
      this.#woken = false;
      try {
        const more = await this.#round();
        if (failures > 0) log.info({ failures }, 'Notifications are made again');
        failures = 0;
        if (!more && !this.#woken) await this.#pause(pollMs);
      } catch (err) {
        if (failures++ === 0) log.warn({ err }, 'Notifications cannot be made; their events wait');
        await this.#pause(Math.min(pollMs * failures, RETRY_MAX_MS));
      }
    }
  }

  /** @returns whether there is more to do at once */
  async #round(): Promise<boolean> {
    let more = false;
    let tenant = await this.#options.queue.next();
    while (tenant !== undefined && !this.#stopped) {
      if (!this.#isResting(tenant)) more = (await this.#turn(tenant)) || more;
      tenant = await this.#options.queue.next(tenant);
    }
    return more;
  }

  #isResting(tenant: string): boolean {
    const until = this.#rests.get(tenant);
    if (until !== undefined && until > this.#options.ticks()) return true;
    this.#rests.delete(tenant);
    return false;
  }

  async #turn(tenant: string): Promise<boolean> {
    const { queue, ticks, publish, log } = this.#options;
    const limit = this.#limits.get(tenant) ?? EVENTS_MAX;
    const begun = ticks();
    const turn = await queue.take(tenant, limit, (made) => publish(made.map(notificationPublication)));
    const tookMs = ticks() - begun;
    if (tookMs > SLOW_MS) this.#rests.set(tenant, ticks() + tookMs);
    switch (turn.state) {
      case 'busy':
        return false;
      case 'too_much':
        this.#limits.set(tenant, Math.ceil(limit / 2));
        return true;
      case 'dropped':
        log.error(
          { err: turn.error, event_id: turn.eventId, tenant_id: tenant },
          'No notifications could be made of an event',
        );
        return true;
      case 'done':
        if (limit * 2 >= EVENTS_MAX) this.#limits.delete(tenant);
        else this.#limits.set(tenant, limit * 2);
        return turn.events === limit;
    }
  }

  #pause(ms: number): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
