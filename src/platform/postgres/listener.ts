/** LISTEN on a direct connection of its own, which comes back by itself. Wake-ups only: a poll must be the safety. */
import { Client } from 'pg';

export interface ListenerOptions {
  /** a direct connection, not one of a pooler in transaction mode */
  url: string;
  channel: string;
  applicationName: string;
  /** also called after each (re)connect, since what came in between was missed */
  onNotify(): void;
  /** once per outage */
  onDown(error: Error): void;
}

export interface Listener {
  close(): Promise<void>;
}

const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 5_000;

export function createListener(options: ListenerOptions): Listener {
  let client: Client | undefined;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  let failures = 0;

  const retry = (from: Client, error: Error): void => {
    if (closed || from !== client) return;
    client = undefined;
    void from.end().catch(() => undefined);
    if (failures++ === 0) options.onDown(error);
    timer = setTimeout(connect, Math.min(RETRY_MIN_MS * 2 ** (failures - 1), RETRY_MAX_MS));
  };

  const connect = (): void => {
    const next = new Client({
      connectionString: options.url,
      application_name: options.applicationName,
      connectionTimeoutMillis: 5_000,
      keepAlive: true,
      // It says nothing by itself, so only this finds out that it died without a reset.
      keepAliveInitialDelayMillis: 10_000,
    });
    client = next;
    next.on('notification', () => options.onNotify());
    next.on('error', (error) => retry(next, error));
    next.on('end', () => retry(next, new Error('the connection ended')));
    listen(next).catch((error: Error) => retry(next, error));
  };

  const listen = async (on: Client): Promise<void> => {
    await on.connect();
    await on.query(`listen ${on.escapeIdentifier(options.channel)}`);
    failures = 0;
    options.onNotify();
  };

  connect();
  return {
    async close() {
      closed = true;
      clearTimeout(timer);
      await client?.end().catch(() => undefined);
    },
  };
}
