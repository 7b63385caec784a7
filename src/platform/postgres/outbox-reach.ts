/**
 * How far the outbox is known to be passed on. What is passed on is deleted, and as long as some transaction is older than that,
 * its index entries stay: a look from the beginning would read them all, each time.
 *
 * Numbers are drawn in order, but not committed in order. So what is remembered is a number, and the snapshot by which it was
 * reached: all that is left, or may still come, has a number from there on, or is of a transaction that this snapshot does not
 * see. An event is inserted before its row of the outbox, so whoever has drawn a number has its id as a transaction already.
 */

/** Which transactions a snapshot does not see. Ids are text, since they outgrow a double. */
export interface Unseen {
  /** all from this one on */
  up_to: string;
  /** and those before it that were under way */
  under_way: string[];
}

/** `drawn`: the last number that was; read after the snapshot was taken, so that it says something of later snapshots only. */
export type Seen = Unseen & { drawn: string };

export interface Reach {
  /** Parameters of a look: the number to look from, and the transactions of which lower ones may come. */
  bounds(): [from: string, underWay: readonly string[], upTo: string];
  /** @param first what a look found in front; null: nothing was left. @returns false: the bounds were wrong, look again */
  look(seen: Seen, first: string | null): boolean;
  /** Everything up to `last` that the snapshot shows is passed on, and that is committed. */
  passed(last: string, unseen: Unseen): void;
}

const NOTHING: Unseen = { up_to: '0', under_way: [] };
/**
 * About ten minutes. A standby that takes over and lacks the last moments draws their numbers anew; where that doesn't show by
 * itself, what lies below is found the next time.
 */
const LOOKS_BEFORE_ANEW = 1_200;

export function createOutboxReach(looksBeforeAnew = LOOKS_BEFORE_ANEW): Reach {
  let from = 0n;
  let unseen = NOTHING;
  let drawn = 0n;
  let looks = 0;
  const forget = (): void => {
    from = 0n;
    unseen = NOTHING;
    drawn = 0n;
    looks = 0;
  };
  // Bounds that held once hold for ever, so the higher number is kept.
  const reach = (next: bigint, { up_to, under_way }: Unseen): void => {
    if (next < from) return;
    from = next;
    unseen = { up_to, under_way };
  };
  return {
    bounds: () => [String(from), unseen.under_way, unseen.up_to],
    look(seen, first) {
      if (BigInt(seen.drawn) < drawn || ++looks > looksBeforeAnew) {
        forget();
        return false;
      }
      // What was drawn before this snapshot is gone, or not seen by it.
      reach(first === null ? drawn + 1n : BigInt(first), seen);
      drawn = BigInt(seen.drawn);
      return true;
    },
    passed: (last, by) => reach(BigInt(last) + 1n, by),
  };
}
