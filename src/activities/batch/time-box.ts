/**
 * How long an attempt begins new items. Slow items get more time: while the last ones of a box end, their lane begins none,
 * and that should be a small part of it.
 */
export interface TimeBoxOptions {
  minMs: number;
  maxMs: number;
  onEnd(): void;
}

export interface TimeBox {
  /** an item ended after so long */
  note(durationMs: number): void;
  close(): void;
}

const ITEMS_PER_BOX = 5;
const LOOK_AGAIN_MS = 5_000;

export function openTimeBox({ minMs, maxMs, onEnd }: TimeBoxOptions): TimeBox {
  const startedAt = performance.now();
  let [items, spentMs] = [0, 0];
  const look = (): void => {
    const elapsedMs = performance.now() - startedAt;
    // As long as none has ended, each takes at least as long as this.
    const itemMs = items === 0 ? elapsedMs : spentMs / items;
    const leftMs = Math.min(maxMs, Math.max(minMs, ITEMS_PER_BOX * itemMs)) - elapsedMs;
    if (leftMs <= 0) onEnd();
    else timer = setTimeout(look, items === 0 ? Math.min(leftMs, LOOK_AGAIN_MS) : leftMs);
  };
  let timer = setTimeout(look, minMs);
  return {
    note(durationMs) {
      items++;
      spentMs += durationMs;
    },
    close: () => clearTimeout(timer),
  };
}
