/** Hosts, started when first needed and replaced when they end. */
import { type HostProcess, startHost } from './host-process';
import type { HostLimits } from './protocol';

/** After so many starts in a row that failed, those who wait are told; later calls try again. */
const START_FAILURES_MAX = 3;
const START_AGAIN_MS = 200;

export interface HostPoolOptions {
  hostsMax: number;
  limits: HostLimits;
  log: { warn(fields: object, message: string): void };
  /** A host may be free, or there may be room for one. */
  onChange(): void;
  onUnavailable(cause: unknown): void;
}

export class HostPool {
  readonly #options: HostPoolOptions;
  readonly #hosts = new Set<HostProcess>();
  readonly #starts = new Set<Promise<void>>();
  #idle: HostProcess[] = [];
  #startFailures = 0;
  #closed = false;

  constructor(options: HostPoolOptions) {
    this.#options = options;
  }

  /** A free host; undefined: one is being started, or all are busy. */
  acquire(): HostProcess | undefined {
    const host = this.#idle.pop();
    if (!host && !this.#closed && this.#hosts.size + this.#starts.size < this.#options.hostsMax)
      this.#begin();
    return host;
  }

  release(host: HostProcess): void {
    if (this.#hosts.has(host)) this.#idle.push(host);
  }

  /** Ends a host that is not to be used again. */
  async retire(host: HostProcess): Promise<void> {
    this.#forget(host);
    await host.kill();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...[...this.#hosts].map((host) => host.kill()), ...this.#starts]);
  }

  pids(): number[] {
    return [...this.#hosts].flatMap((host) => host.pid ?? []);
  }

  #begin(): void {
    const starting = this.#start().finally(() => {
      this.#starts.delete(starting);
      this.#options.onChange();
    });
    this.#starts.add(starting);
  }

  async #start(): Promise<void> {
    try {
      const host: HostProcess = await startHost(this.#options.limits, () => {
        this.#forget(host);
        this.#options.onChange();
      });
      this.#startFailures = 0;
      if (this.#closed) return await host.kill();
      this.#hosts.add(host);
      this.#idle.push(host);
    } catch (error) {
      this.#options.log.warn({ err: error }, 'a sandbox process cannot be started');
      if (++this.#startFailures >= START_FAILURES_MAX) this.#options.onUnavailable(error);
      await new Promise((resolve) => setTimeout(resolve, START_AGAIN_MS));
    }
  }

  #forget(host: HostProcess): void {
    this.#hosts.delete(host);
    this.#idle = this.#idle.filter((one) => one !== host);
  }
}
