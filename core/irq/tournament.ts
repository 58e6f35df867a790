import type { CpuMask } from './cpu-mask.js';

/** The key of a CPU that does not take part. */
const ABSENT = -(2 ** 31);

/**
 * Keeps the CPU with the highest key at hand: asking costs nothing, a changed key O(log n).
 *
 * A complete binary tree whose inner nodes name the winner of their two halves.
 * @internal
 */
export class Tournament {
  readonly #cpus: number;
  readonly #leaves: number;
  readonly #keys: Int32Array;
  /** Node 1 is the root, node n has the children 2n and 2n + 1; the leaves, from `#leaves` on, need no entry. */
  readonly #winners: Int32Array;
  readonly #highestOfEquals: boolean;

  /**
   * @param cpus how many there are, at least 1; none takes part until it has a key
   * @param ties which CPU wins among equals
   */
  constructor(cpus: number, ties: 'lowest' | 'highest') {
    this.#cpus = cpus;
    this.#leaves = 2 ** Math.ceil(Math.log2(Math.max(cpus, 2)));
    this.#highestOfEquals = ties === 'highest';
    this.#keys = new Int32Array(this.#leaves).fill(ABSENT);
    this.#winners = new Int32Array(this.#leaves);
    for (let node = this.#leaves - 1; node > 0; node--) this.#winners[node] = this.#winnerOf(2 * node);
  }

  /** Who has the highest key, -1 when nobody takes part. */
  get winner(): number {
    const winner = this.#winners[1]!;
    return this.#keys[winner] === ABSENT ? -1 : winner;
  }

  /** The same among the CPUs of a mask, by looking at each of them. */
  winnerAmong(mask: CpuMask): number {
    const keys = this.#keys;
    let best = -1;
    for (let cpu = mask.first; cpu >= 0 && cpu < this.#cpus; cpu = mask.next(cpu)) {
      if (keys[cpu] !== ABSENT && (best < 0 || this.#beats(cpu, best))) best = cpu;
    }
    return best;
  }

  /** @param key an integer above -2^31 */
  set(cpu: number, key: number): void {
    if (this.#keys[cpu] === key) return;
    this.#keys[cpu] = key;
    for (let node = (this.#leaves + cpu) >>> 1; node > 0; node >>>= 1) {
      const left = this.#winnerOf(2 * node);
      const right = this.#winnerOf(2 * node + 1);
      this.#winners[node] = this.#beats(right, left) ? right : left;
    }
  }

  /** Takes a CPU out. */
  remove(cpu: number): void {
    this.set(cpu, ABSENT);
  }

  /** Whether the higher of two CPUs wins against the lower. */
  #beats(higher: number, lower: number): boolean {
    const difference = this.#keys[higher]! - this.#keys[lower]!;
    return difference > 0 || (difference === 0 && this.#highestOfEquals);
  }

  #winnerOf(node: number): number {
    return node < this.#leaves ? this.#winners[node]! : node - this.#leaves;
  }
}
