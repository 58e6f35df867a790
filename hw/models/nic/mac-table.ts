const FIRST_LOG_SLOTS = 6;
const NONE = -1;
/** Odd numbers with their bits well spread. */
const SPREAD_HIGH = 0x9e37_79b1;
const SPREAD_LOW = 0x85eb_ca6b;
const SPREAD_PORT = 0xc2b2_ae35;

/**
 * Numbers by port and hardware address, which is in two halves of 24 bits. The same key may be there more than once: the one that was
 * added first counts.
 *
 * Open addressing: the entries of a chain lie side by side, and are moved up when one is taken out. Grows, and never shrinks.
 */
export class MacTable {
  #mask = 2 ** FIRST_LOG_SLOTS - 1;
  #shift = 32 - FIRST_LOG_SLOTS;
  #high = new Int32Array(this.#mask + 1);
  #low = new Int32Array(this.#mask + 1);
  #ports = new Int32Array(this.#mask + 1);
  /** By slot; -1: it is free. */
  #values = new Int32Array(this.#mask + 1).fill(NONE);
  #size = 0;

  /** Entries that are in use. */
  get size(): number {
    return this.#size;
  }

  /** @returns -1 when there is none */
  find(high: number, low: number, port: number): number {
    const at = this.#find(high, low, port);
    return at === NONE ? NONE : this.#values[at]!;
  }

  /** @param value not negative */
  add(high: number, low: number, port: number, value: number): void {
    if (2 * ++this.#size > this.#mask) this.#grow();
    this.#insert(high, low, port, value);
  }

  /** Takes one entry out. @returns false when there was none like this */
  remove(high: number, low: number, port: number, value: number): boolean {
    for (let at = this.#home(high, low, port); this.#values[at] !== NONE; at = (at + 1) & this.#mask) {
      if (this.#values[at] === value && this.#is(at, high, low, port)) {
        this.#size--;
        this.#close(at);
        return true;
      }
    }
    return false;
  }

  clear(): void {
    this.#values.fill(NONE);
    this.#size = 0;
  }

  #find(high: number, low: number, port: number): number {
    for (let at = this.#home(high, low, port); this.#values[at] !== NONE; at = (at + 1) & this.#mask) {
      if (this.#is(at, high, low, port)) return at;
    }
    return NONE;
  }

  #is(at: number, high: number, low: number, port: number): boolean {
    return this.#low[at] === low && this.#high[at] === high && this.#ports[at] === port;
  }

  #home(high: number, low: number, port: number): number {
    const mixed = Math.imul(high, SPREAD_HIGH) ^ Math.imul(low, SPREAD_LOW) ^ Math.imul(port + 1, SPREAD_PORT);
    return Math.imul(mixed ^ (mixed >>> 15), SPREAD_HIGH) >>> this.#shift;
  }

  #insert(high: number, low: number, port: number, value: number): void {
    let at = this.#home(high, low, port);
    while (this.#values[at] !== NONE) at = (at + 1) & this.#mask;
    this.#put(at, high, low, port, value);
  }

  #put(at: number, high: number, low: number, port: number, value: number): void {
    this.#high[at] = high;
    this.#low[at] = low;
    this.#ports[at] = port;
    this.#values[at] = value;
  }

  /** Moves entries behind a gap into it, as far as they may be there. */
  #close(from: number): void {
    let gap = from;
    for (let at = (gap + 1) & this.#mask; this.#values[at] !== NONE; at = (at + 1) & this.#mask) {
      const home = this.#home(this.#high[at]!, this.#low[at]!, this.#ports[at]!);
      if (((at - home) & this.#mask) < ((at - gap) & this.#mask)) continue;
      this.#put(gap, this.#high[at]!, this.#low[at]!, this.#ports[at]!, this.#values[at]!);
      gap = at;
    }
    this.#values[gap] = NONE;
  }

  #grow(): void {
    const [high, low, ports, values] = [this.#high, this.#low, this.#ports, this.#values];
    this.#shift--;
    const slots = 2 * values.length;
    this.#mask = slots - 1;
    this.#high = new Int32Array(slots);
    this.#low = new Int32Array(slots);
    this.#ports = new Int32Array(slots);
    this.#values = new Int32Array(slots).fill(NONE);
    // From a gap on, so that a chain that goes round keeps its order.
    const from = values.indexOf(NONE);
    for (let n = 1; n < values.length; n++) {
      const i = (from + n) % values.length;
      if (values[i] !== NONE) this.#insert(high[i]!, low[i]!, ports[i]!, values[i]!);
    }
  }
}
