/**
 * Who works beside whom in this process. Ordinary attempts share it. An attempt under suspicion to hold an item that ends the
 * process gets it alone or not at all, so that what it marks is the only thing that could have ended the process.
 *
 *   ordinary ones at work -- a suspect asks: they hand back, no new ones --> empty -> the suspect alone
 *            ^------------------- time for those that were turned away ------------------'
 *
 * Nobody waits here for long, a slot is too dear: who can't have its turn is told so, hands back and comes again.
 */
export interface Isolation {
  /** An ordinary attempt begins; `onWanted`: a suspect asks for the process. @returns its end, or undefined: not now */
  share(onWanted: () => void): (() => void) | undefined;
  /** A suspect asks for the process. @returns the end of its turn, or undefined: not now, or `signal` aborted */
  alone(signal: AbortSignal): Promise<(() => void) | undefined>;
}

export interface IsolationOptions {
  /** ms of a clock that only grows */
  now(): number;
  /** longest that a suspect waits inside for the others to leave */
  waitMs: number;
  /** longest that the process is kept free for a suspect that went to come again */
  keepMs: number;
  /** within which those who were turned away have come again */
  returnMs: number;
  /** what they get before the next suspect, as long as one of them is at work */
  sharedMs: number;
}

const DEFAULTS: IsolationOptions = {
  now: () => performance.now(),
  waitMs: 2_000,
  keepMs: 10_000,
  returnMs: 2_500,
  sharedMs: 20_000,
};

export function createIsolation(options: Partial<IsolationOptions> = {}): Isolation {
  return new Turns({ ...DEFAULTS, ...options });
}

class Turns implements Isolation {
  readonly #options: IsolationOptions;
  readonly #sharing = new Map<object, () => void>();
  #suspect: 'none' | 'waits' | 'works' = 'none';
  #onEmpty: () => void = () => undefined;
  /** no ordinary one begins before */
  #keptUntil = Number.NEGATIVE_INFINITY;
  /** the end of the last turn that others had to make way for */
  #sharedFrom = Number.NEGATIVE_INFINITY;
  /** ordinary ones had to make way */
  #owed = false;

  constructor(options: IsolationOptions) {
    this.#options = options;
  }

  share(onWanted: () => void): (() => void) | undefined {
    if (this.#suspect !== 'none' || this.#options.now() < this.#keptUntil) {
      this.#owed = true;
      return undefined;
    }
    const key = {};
    this.#sharing.set(key, onWanted);
    return () => {
      this.#sharing.delete(key);
      if (this.#sharing.size === 0) this.#onEmpty();
    };
  }

  async alone(signal: AbortSignal): Promise<(() => void) | undefined> {
    const now = this.#options.now();
    if (signal.aborted || this.#suspect !== 'none' || this.#isOthersTime(now)) return undefined;
    if (this.#sharing.size > 0) {
      this.#keptUntil = now + this.#options.keepMs;
      this.#owed = true;
      for (const onWanted of this.#sharing.values()) onWanted();
      this.#suspect = 'waits';
      await this.#empty(signal);
      this.#suspect = 'none';
    }
    // Synchronous from here, so that nobody slips in between.
    if (signal.aborted || this.#sharing.size > 0) return undefined;
    this.#suspect = 'works';
    return () => this.#end();
  }

  #end(): void {
    this.#suspect = 'none';
    this.#keptUntil = Number.NEGATIVE_INFINITY;
    if (this.#owed) this.#sharedFrom = this.#options.now();
    this.#owed = false;
  }

  #isOthersTime(now: number): boolean {
    const { returnMs, sharedMs } = this.#options;
    return now - this.#sharedFrom < (this.#sharing.size > 0 ? sharedMs : returnMs);
  }

  /** Resolves when no ordinary one is at work, after `waitMs`, or when `signal` aborts. */
  #empty(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        this.#onEmpty = () => undefined;
        resolve();
      };
      const timer = setTimeout(done, this.#options.waitMs);
      signal.addEventListener('abort', done, { once: true });
      this.#onEmpty = done;
    });
  }
}
