/** Which indexes of a job were there: a bit each, in blocks made when first needed. */
const BLOCK_BITS = 16;
const BLOCK_MASK = (1 << BLOCK_BITS) - 1;

export class IndexSet {
  readonly #blocks = new Map<number, Uint8Array>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** @param index not in it yet */
  add(index: number): void {
    const no = index >>> BLOCK_BITS;
    let block = this.#blocks.get(no);
    if (block === undefined) {
      block = new Uint8Array((BLOCK_MASK + 1) / 8);
      this.#blocks.set(no, block);
    }
    const bit = index & BLOCK_MASK;
    block[bit >>> 3] = (block[bit >>> 3] ?? 0) | (1 << (bit & 7));
    this.#size++;
  }

  has(index: number): boolean {
    const byte = this.#blocks.get(index >>> BLOCK_BITS)?.[(index & BLOCK_MASK) >>> 3] ?? 0;
    return (byte & (1 << (index & 7))) !== 0;
  }
}
