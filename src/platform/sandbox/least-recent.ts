/** A map that forgets what was asked for longest ago. */
export interface LeastRecent<V> {
  /** The value under `key`, made by `make` where it is not there (any more). */
  get(key: string, make: () => V): V;
}

/** @param keyCharactersMax of all keys together, where what is kept is the larger the longer its key is; one is kept always */
export function createLeastRecent<V>(
  entriesMax: number,
  keyCharactersMax = Number.POSITIVE_INFINITY,
): LeastRecent<V> {
  const entries = new Map<string, V>();
  let characters = 0;
  const isTooMuch = (): boolean =>
    entries.size > entriesMax || (entries.size > 1 && characters > keyCharactersMax);
  return {
    get(key, make) {
      const known = entries.get(key);
      const value = known ?? make();
      if (known === undefined) characters += key.length;
      else entries.delete(key);
      entries.set(key, value);
      while (isTooMuch()) {
        const oldest = entries.keys().next().value as string;
        entries.delete(oldest);
        characters -= oldest.length;
      }
      return value;
    },
  };
}
