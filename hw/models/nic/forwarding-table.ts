import { MacTable } from './mac-table.js';
import type { Mac } from './vport.js';

const NONE = -1;

/** Rules of the switch: by where a packet comes from and its destination, the places of the ports it goes to. */
export class ForwardingTable {
  readonly #keys = new MacTable();
  readonly #outputs: (Int32Array | undefined)[] = [];
  readonly #free: number[] = [];

  /** Rules in force. */
  get size(): number {
    return this.#keys.size;
  }

  find(slot: number, high: number, low: number): Int32Array | undefined {
    const rule = this.#keys.find(high, low, slot);
    return rule === NONE ? undefined : this.#outputs[rule];
  }

  has(slot: number, { high, low }: Mac): boolean {
    return this.#keys.find(high, low, slot) !== NONE;
  }

  /** Makes a rule, or changes it. */
  set(slot: number, { high, low }: Mac, outputs: Int32Array): void {
    let rule = this.#keys.find(high, low, slot);
    if (rule === NONE) {
      rule = this.#free.pop() ?? this.#outputs.length;
      this.#keys.add(high, low, slot, rule);
    }
    this.#outputs[rule] = outputs;
  }

  /** @returns false when there is no such rule */
  delete(slot: number, { high, low }: Mac): boolean {
    const rule = this.#keys.find(high, low, slot);
    if (rule === NONE) return false;
    this.#keys.remove(high, low, slot, rule);
    this.#outputs[rule] = undefined;
    this.#free.push(rule);
    return true;
  }

  clear(): void {
    this.#keys.clear();
    this.#outputs.length = this.#free.length = 0;
  }
}
