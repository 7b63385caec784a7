/** The time of day, wrong in this process as on a machine whose clock is; nothing that only grows is touched. */

/** @returns what sets it right again */
export function setClockWrong(aheadMs: number): () => void {
  const right = globalThis.Date;
  globalThis.Date = new Proxy(right, {
    construct: (target, parts: unknown[]): Date =>
      parts.length === 0 ? new target(target.now() + aheadMs) : (Reflect.construct(target, parts) as Date),
    get: (target, name): unknown =>
      name === 'now' ? () => target.now() + aheadMs : Reflect.get(target, name),
  });
  return () => {
    globalThis.Date = right;
  };
}
