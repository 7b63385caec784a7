/** Tells where time went: each lap takes what has passed since the last one. */
export interface Stopwatch {
  lap(name: string): void;
  /** Milliseconds by name. */
  laps(): Readonly<Record<string, number>>;
}

export function createStopwatch(): Stopwatch {
  const laps: Record<string, number> = {};
  let lastAt = performance.now();
  return {
    lap: (name) => {
      const now = performance.now();
      laps[name] = now - lastAt;
      lastAt = now;
    },
    laps: () => laps,
  };
}
