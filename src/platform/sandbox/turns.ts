/** Who is next: outer keys take turns, and the inner keys of each take turns within its turn. */
export interface Turns<T> {
  /** Behind those of the same keys. */
  add(key: readonly [outer: string, inner: string], entry: T): void;
  /** The entry whose turn it is; its keys go to the end of their queues. */
  take(): T | undefined;
  readonly size: number;
}

/** A ring of queues: `take` gives the head of the first queue and puts that queue last. */
interface Ring<Q> {
  queues: Map<string, Q>;
}

export function createTurns<T>(): Turns<T> {
  const outer: Ring<Ring<T[]>> = { queues: new Map() };
  let size = 0;

  function take(): T | undefined {
    const [outerKey, inner] = first(outer) ?? [];
    if (outerKey === undefined || inner === undefined) return undefined;
    const [innerKey, queue] = first(inner) as [string, T[]];
    const entry = queue.shift();
    if (queue.length > 0) putLast(inner, innerKey, queue);
    else inner.queues.delete(innerKey);
    if (inner.queues.size > 0) putLast(outer, outerKey, inner);
    else outer.queues.delete(outerKey);
    size--;
    return entry;
  }

  return {
    add([outerKey, innerKey], entry) {
      const inner = outer.queues.get(outerKey) ?? { queues: new Map<string, T[]>() };
      const queue = inner.queues.get(innerKey) ?? [];
      queue.push(entry);
      inner.queues.set(innerKey, queue);
      outer.queues.set(outerKey, inner);
      size++;
    },
    take,
    get size() {
      return size;
    },
  };
}

function first<Q>(ring: Ring<Q>): [string, Q] | undefined {
  return ring.queues.entries().next().value;
}

function putLast<Q>(ring: Ring<Q>, key: string, queue: Q): void {
  ring.queues.delete(key);
  ring.queues.set(key, queue);
}
