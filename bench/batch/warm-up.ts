const itemsMax = 10_000;

/** Enough that code is compiled and plans are cached, and never more than what is measured. */
export function warmUpItems(itemCount: number): number {
  return Math.min(itemCount, itemsMax);
}
