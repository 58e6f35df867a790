/** A seeded source of integers (splitmix32): the same seed gives the same sequence on every machine. */
export class Random {
  #state: number;

  /** @param seed any integer; only its low 32 bits count */
  constructor(readonly seed = 1) {
    this.#state = seed | 0;
  }

  /** An integer of 0 to 2^32 - 1. */
  next32(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let z = this.#state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  }

  /** An integer of 0 to `limit` - 1; `limit` 1 to 2^32. */
  below(limit: number): number {
    return Math.floor((this.next32() / 2 ** 32) * limit);
  }
}
