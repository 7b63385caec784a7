/** How fast one connection may send commands: so many at once, then so many a second. Who sends more is read later. */
export interface Pace {
  /** Takes one command in. @returns ms until the next should be read; 0: now */
  take(): number;
}

export interface PaceOptions {
  atOnce: number;
  perSecond: number;
  monotonicMs(): number;
}

export function createPace({ atOnce, perSecond, monotonicMs }: PaceOptions): Pace {
  let left = atOnce;
  let at = monotonicMs();
  return {
    take: () => {
      const now = monotonicMs();
      left = Math.min(atOnce, left + ((now - at) / 1000) * perSecond) - 1;
      at = now;
      return left >= 0 ? 0 : Math.ceil((-left / perSecond) * 1000);
    },
  };
}
