/** A map that forgets what was asked for longest ago. */
export interface LeastRecent<V> {
  /** The value under `key`, made by `make` where it is not there (any more). */
  get(key: string, make: () => V): V;
}

export function createLeastRecent<V>(entriesMax: number): LeastRecent<V> {
  const entries = new Map<string, V>();
  return {
    get(key, make) {
      const known = entries.get(key);
      const value = known ?? make();
      if (known !== undefined) entries.delete(key);
      entries.set(key, value);
      if (entries.size > entriesMax) entries.delete(entries.keys().next().value as string);
      return value;
    },
  };
}
