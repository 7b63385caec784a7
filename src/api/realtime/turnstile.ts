/** Lets so many through at once; the others wait in line. */
export type Turnstile = <T>(work: () => Promise<T>) => Promise<T>;

export function createTurnstile(atOnce: number): Turnstile {
  const line: (() => void)[] = [];
  let inside = 0;
  return async (work) => {
    if (inside >= atOnce) await new Promise<void>((resolve) => line.push(resolve));
    else inside++;
    try {
      return await work();
    } finally {
      // Whoever is next takes this place over, so that nobody slips in between.
      const next = line.shift();
      if (next === undefined) inside--;
      else next();
    }
  };
}
