/** The bytes of a request at the pace of who reads them, cut off where the client is slower than it may be. */
import type { IncomingMessage } from 'node:http';
import { AppError } from '../../../domain/errors';

export interface Pace {
  /** the least rate, averaged over `windowMs` of waiting for the client; time that we take ourselves does not count */
  bytesPerSecond: number;
  windowMs: number;
}

export interface RequestBody {
  /** @throws AppError `upload_incomplete` where the connection is cut, `upload_too_slow` */
  chunks: AsyncIterable<Buffer>;
  /** Ends a wait for more, and leaves the request to whoever reads on. */
  release(): void;
}

export function requestBody(req: IncomingMessage, pace: Pace): RequestBody {
  const body = new PacedBody(req, pace);
  return { chunks: body.chunks(), release: () => body.release() };
}

class PacedBody {
  readonly #req: IncomingMessage;
  readonly #pace: Pace;
  #ready: Buffer[] = [];
  #ended = false;
  #error: AppError | undefined;
  #wake: () => void = () => undefined;
  /** of the window under way */
  #waitedMs = 0;
  #bytes = 0;

  constructor(req: IncomingMessage, pace: Pace) {
    this.#req = req;
    this.#pace = pace;
    req.on('data', this.#onData).on('end', this.#onEnd).on('close', this.#onCut).on('error', this.#onCut);
    req.pause();
    if (req.destroyed && !req.complete) this.#onCut();
  }

  async *chunks(): AsyncGenerator<Buffer, void, void> {
    for (;;) {
      if (this.#ready.length === 0 && !this.#isOver()) await this.#wait();
      const chunks = this.#ready;
      this.#ready = [];
      yield* chunks;
      if (this.#error !== undefined) throw this.#error;
      if (this.#ended && this.#ready.length === 0) return;
    }
  }

  release(): void {
    this.#req
      .off('data', this.#onData)
      .off('end', this.#onEnd)
      .off('close', this.#onCut)
      .off('error', this.#onCut);
    this.#req.on('error', () => undefined);
    this.#onCut();
  }

  #isOver(): boolean {
    return this.#ended || this.#error !== undefined;
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#ready.push(chunk);
    this.#bytes += chunk.length;
    this.#req.pause();
    this.#wake();
  };

  readonly #onEnd = (): void => {
    this.#ended = true;
    this.#wake();
  };

  readonly #onCut = (): void => {
    if (!this.#isOver()) {
      this.#error = new AppError(
        'upload_incomplete',
        'The connection was cut before the upload was complete.',
      );
    }
    this.#wake();
  };

  /** Until there is something, however long that takes at the least rate. */
  async #wait(): Promise<void> {
    while (this.#ready.length === 0 && !this.#isOver()) {
      const startedMs = performance.now();
      await this.#nextEvent(this.#pace.windowMs - this.#waitedMs);
      this.#waitedMs += performance.now() - startedMs;
      if (this.#waitedMs >= this.#pace.windowMs) this.#endWindow();
    }
  }

  #nextEvent(limitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.max(0, limitMs));
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#req.resume();
    });
  }

  #endWindow(): void {
    const rate = (this.#bytes * 1000) / this.#waitedMs;
    this.#bytes = 0;
    this.#waitedMs = 0;
    if (rate >= this.#pace.bytesPerSecond || this.#isOver()) return;
    const detail = `An upload must bring ${this.#pace.bytesPerSecond} bytes a second at least.`;
    this.#error = new AppError('upload_too_slow', detail);
  }
}
