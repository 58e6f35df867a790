import { checkRange } from '../lib/bits.js';
import { Errno } from '../lib/errno.js';
import { formatRanges, lowestBit } from './bitmap.js';

/** How many CPUs a mask can name: 0 to 1023. */
export const MAX_CPUS = 1024;

/** What the functions that take CPUs accept: a mask, or CPU numbers in any order. */
export type CpuSet = CpuMask | Iterable<number>;

/** The mask of a set of CPUs: a mask as it is, anything else through {@link CpuMask.from}. */
export function toMask(set: CpuSet): CpuMask {
  return set instanceof CpuMask ? set : CpuMask.from(set);
}

/**
 * An immutable set of CPU numbers, 0 to 1023.
 * @see Linux 7.2 include/linux/cpumask.h, lib/bitmap-str.c
 */
export class CpuMask implements Iterable<number> {
  /** No CPU. */
  static readonly EMPTY = new CpuMask([]);

  /** 32 CPUs a word, as signed 32-bit integers; the last word is never 0, so that equal sets have equal words. */
  readonly #words: readonly number[];

  private constructor(words: number[]) {
    while (words.length > 0 && words[words.length - 1] === 0) words.pop();
    this.#words = words;
  }

  /** @throws {Errno} ERANGE when a number is not an integer of 0 to 1023 */
  static of(...cpus: number[]): CpuMask {
    return CpuMask.from(cpus);
  }

  /** @throws {Errno} ERANGE when a number is not an integer of 0 to 1023; EINVAL for what is no set of numbers */
  static from(cpus: Iterable<number>): CpuMask {
    if (!isIterable(cpus)) throw new Errno('EINVAL', `cpu mask: ${typeof cpus} is no set of cpus: give a mask or an array`);
    const words: number[] = [];
    for (const cpu of cpus) setBit(words, cpu);
    return new CpuMask(words);
  }

  /**
   * The CPUs 0 to `count` - 1.
   * @param count 0 to 1024
   * @throws {Errno} ERANGE
   */
  static all(count: number): CpuMask {
    checkRange('cpu mask', 'the number of cpus', count, 0, MAX_CPUS);
    const words: number[] = Array.from({ length: count >>> 5 }, () => -1);
    if ((count & 31) !== 0) words.push((1 << (count & 31)) - 1);
    return new CpuMask(words);
  }

  /**
   * Reads a list such as `0-3,8`; an empty text is the empty mask. The opposite of {@link toString}.
   * @throws {Errno} EINVAL when it is not a list; ERANGE when it names a CPU above 1023
   * @see Linux 7.2 lib/bitmap-str.c bitmap_parselist
   */
  static parse(list: string): CpuMask {
    const words: number[] = [];
    const text = textOf(list).trim();
    if (text === '') return CpuMask.EMPTY;
    for (const part of text.split(',')) {
      const range = /^(\d+)(?:-(\d+))?$/.exec(part);
      const first = Number(range?.[1]);
      const last = Number(range?.[2] ?? first);
      if (!(first <= last)) throw new Errno('EINVAL', `cpu mask: '${list}' is not a list of cpus: write it like 0-3,8`);
      checkCpu(last);
      for (let cpu = first; cpu <= last; cpu++) setBit(words, cpu);
    }
    return new CpuMask(words);
  }

  /**
   * Reads groups of up to 8 hexadecimal digits, highest first, as in `smp_affinity`: `ff,ffffffff` is the CPUs 0 to 39.
   * @throws {Errno} EINVAL when it is not such a text; ERANGE when it names a CPU above 1023
   * @see Linux 7.2 lib/bitmap-str.c bitmap_parse
   */
  static parseHex(text: string): CpuMask {
    const words: number[] = [];
    for (const group of textOf(text).trim().split(',').reverse()) {
      if (!/^[\da-f]{1,8}$/i.test(group)) {
        throw new Errno('EINVAL', `cpu mask: '${text}' is not a bitmap: write groups of up to 8 hex digits like ff,ffffffff`);
      }
      words.push(Number.parseInt(group, 16) | 0);
    }
    const mask = new CpuMask(words);
    checkCpu(mask.#last);
    return mask;
  }

  has(cpu: number): boolean {
    return Number.isInteger(cpu) && cpu >= 0 && cpu < MAX_CPUS && ((this.#words[cpu >>> 5] ?? 0) & (1 << (cpu & 31))) !== 0;
  }

  /** The lowest CPU, -1 when there is none. */
  get first(): number {
    return this.next(-1);
  }

  /**
   * The lowest CPU above `after`, -1 when there is none: `for (let cpu = mask.first; cpu >= 0; cpu = mask.next(cpu))`.
   * @param after -1 to 1023
   */
  next(after: number): number {
    const words = this.#words;
    const start = after + 1;
    let i = start >>> 5;
    if (i >= words.length) return -1;
    let word = words[i]! & (-1 << (start & 31));
    while (word === 0) {
      if (++i === words.length) return -1;
      word = words[i]!;
    }
    return i * 32 + lowestBit(word);
  }

  /** How many CPUs are in it. */
  get size(): number {
    let size = 0;
    for (const word of this.#words) size += bitCount(word);
    return size;
  }

  get isEmpty(): boolean {
    return this.#words.length === 0;
  }

  /** The CPUs of both. */
  and(other: CpuMask): CpuMask {
    // Mostly one of them says nothing new: no mask is made then.
    if (this.isSubsetOf(other)) return this;
    if (other.isSubsetOf(this)) return other;
    const words = this.#words.slice(0, other.#words.length);
    for (let i = 0; i < words.length; i++) words[i]! &= other.#words[i]!;
    return new CpuMask(words);
  }

  /** The CPUs of either. */
  or(other: CpuMask): CpuMask {
    const [short, long] = this.#words.length < other.#words.length ? [this, other] : [other, this];
    const words = long.#words.slice();
    for (let i = 0; i < short.#words.length; i++) words[i]! |= short.#words[i]!;
    return new CpuMask(words);
  }

  /** The CPUs of this one that are not in the other. Linux's `cpumask_andnot`. */
  without(other: CpuMask): CpuMask {
    const words = this.#words.slice();
    const common = Math.min(words.length, other.#words.length);
    for (let i = 0; i < common; i++) words[i]! &= ~other.#words[i]!;
    return new CpuMask(words);
  }

  /** These CPUs and `cpu`. @throws {Errno} ERANGE when it is not an integer of 0 to 1023 */
  with(cpu: number): CpuMask {
    if (this.has(cpu)) return this;
    const words = this.#words.slice();
    setBit(words, cpu);
    return new CpuMask(words);
  }

  /** These CPUs but `cpu`. */
  minus(cpu: number): CpuMask {
    if (!this.has(cpu)) return this;
    const words = this.#words.slice();
    words[cpu >>> 5]! &= ~(1 << (cpu & 31));
    return new CpuMask(words);
  }

  intersects(other: CpuMask): boolean {
    const common = Math.min(this.#words.length, other.#words.length);
    for (let i = 0; i < common; i++) if ((this.#words[i]! & other.#words[i]!) !== 0) return true;
    return false;
  }

  isSubsetOf(other: CpuMask): boolean {
    if (this === other) return true;
    if (this.#words.length > other.#words.length) return false;
    for (let i = 0; i < this.#words.length; i++) if ((this.#words[i]! & ~other.#words[i]!) !== 0) return false;
    return true;
  }

  equals(other: CpuMask): boolean {
    return this.#words.length === other.#words.length && this.isSubsetOf(other) && other.isSubsetOf(this);
  }

  /** The CPUs, ascending. */
  *[Symbol.iterator](): IterableIterator<number> {
    for (let cpu = this.first; cpu >= 0; cpu = this.next(cpu)) yield cpu;
  }

  /** The list, as in `smp_affinity_list`: `0-3,8`; empty for no CPU. */
  toString(): string {
    return formatRanges(this);
  }

  /**
   * The bitmap as in `smp_affinity`: groups of 8 digits, the first as wide as the machine's CPUs need; CPUs beyond them are left out.
   * @param cpus how many CPUs the machine has, 1 to 1024
   * @throws {Errno} ERANGE
   * @see Linux 7.2 lib/vsprintf.c bitmap_string
   */
  toHex(cpus: number): string {
    checkRange('cpu mask', 'the number of cpus', cpus, 1, MAX_CPUS);
    const shown = this.and(CpuMask.all(cpus));
    const groups: string[] = [];
    for (let left = cpus, i = 0; left > 0; left -= 32, i++) {
      const digits = Math.ceil(Math.min(left, 32) / 4);
      groups.unshift(((shown.#words[i] ?? 0) >>> 0).toString(16).padStart(digits, '0'));
    }
    return groups.join(',');
  }

  get #last(): number {
    const top = this.#words.length - 1;
    return top < 0 ? 0 : top * 32 + 31 - Math.clz32(this.#words[top]!);
  }
}

/** Who writes JavaScript may give anything. */
function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  throw new Errno('EINVAL', `cpu mask: ${typeof value} is no text`);
}

function isIterable(value: unknown): boolean {
  return typeof value === 'string' || (typeof value === 'object' && value !== null && Symbol.iterator in value);
}

function checkCpu(cpu: number): void {
  checkRange('cpu mask', 'a cpu', cpu, 0, MAX_CPUS - 1);
}

function setBit(words: number[], cpu: number): void {
  checkCpu(cpu);
  const index = cpu >>> 5;
  while (words.length <= index) words.push(0);
  words[index]! |= 1 << (cpu & 31);
}

function bitCount(word: number): number {
  let n = word - ((word >>> 1) & 0x5555_5555);
  n = (n & 0x3333_3333) + ((n >>> 2) & 0x3333_3333);
  return Math.imul((n + (n >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}
