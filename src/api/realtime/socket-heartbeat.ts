/** Pings all connections, each once an interval: one timer, whose turns spread them, and which goes with the last connection. */
export interface Beating {
  ping(): void;
  /** No sign of life since the last ping. */
  readonly silent: boolean;
}

export interface HeartbeatOptions<C extends Beating> {
  pingMs: number;
  /** within which a pong must come; less than `pingMs` */
  pongMs: number;
  onSilent(connection: C): void;
}

const TURNS = 25;

export function createHeartbeat<C extends Beating>({ pingMs, pongMs, onSilent }: HeartbeatOptions<C>) {
  const turns = Array.from({ length: TURNS }, () => new Set<C>());
  const turnsToPong = Math.min(TURNS - 1, Math.ceil((pongMs / pingMs) * TURNS));
  let turn = 0;
  let joined = 0;
  let connections = 0;
  let timer: NodeJS.Timeout | undefined;
  const beat = (): void => {
    turn = (turn + 1) % TURNS;
    const due = (turn + TURNS - turnsToPong) % TURNS;
    for (const connection of turns[due] ?? []) if (connection.silent) onSilent(connection);
    for (const connection of turns[turn] ?? []) connection.ping();
  };
  return {
    /** @returns how to leave, once */
    add(connection: C): () => void {
      if (connections++ === 0) timer = setInterval(beat, pingMs / TURNS).unref();
      const own = turns[joined++ % TURNS];
      own?.add(connection);
      return () => {
        own?.delete(connection);
        if (--connections === 0) clearInterval(timer);
      };
    },
  };
}
