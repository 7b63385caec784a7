/** Where everything of a running copy is reached. */
export interface Addresses {
  readonly apiPort: number;
  readonly apiUrl: string;
  readonly databaseUrl: string;
  readonly redisUrl: string;
  /** host:port */
  readonly temporalAddress: string;
  readonly temporalUiUrl: string | null;
}

/** A URL for a person or a log: without its password. */
export function withoutPassword(url: string): string {
  if (!URL.canParse(url)) return 'the given URL';
  const parsed = new URL(url);
  if (parsed.password) parsed.password = '***';
  return parsed.href;
}

/** The address under which this machine reaches a listener on `host`. */
export function reachable(host: string, port: number): string {
  const everywhere = host === '0.0.0.0' || host === '::';
  const name = everywhere ? '127.0.0.1' : host;
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`;
}
