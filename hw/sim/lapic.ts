import { DELIVERY_MODES, DELIVER_FIXED, DELIVER_LOWEST, type InterruptEntry } from '../../core/hal/index.js';
import type { Journal } from './journal.js';

/** Vectors of a CPU. */
export const VECTORS = 256;
/** Most CPUs that there can be: a bit each in 32 words, and one word that tells which of those are not 0. */
export const MAX_CPUS = 1024;
/** Every CPU, as a physical id of 32 bits or a logical one. */
export const ALL_CPUS = 0xffff_ffff;
/** The lower ones are exceptions: an APIC refuses to deliver them. */
const FIRST_VECTOR = 16;
const NONE = -1;

/**
 * Words of one CPU: two sets of vectors, each as its highest member, -1 for none, and the others: a bit for each vector, and
 * which of those words are not 0. There is hardly ever more than one: that is one word to write, and one to read.
 */
const STRIDE = 32;
const IRR = 0;
const ISR = 16;
const USED = VECTORS / 32;
const TOP = USED + 1;
const ONLINE = 31;
/** In the words of the set of CPUs: which of the others are not 0. */
const SUMMARY = MAX_CPUS / 32;

/**
 * The local APICs of all CPUs; that of CPU n has id n. Each keeps which vectors are requested (IRR) and which are in service
 * (ISR); a vector is taken, highest first, only when its class (bits 7:4) is above that of the highest in service.
 *
 * There is no task priority, hence no spurious vector: what a CPU is offered, it can take.
 * @see Intel SDM volume 3, 11.6.2 (destinations), 11.8.3 (priorities), 11.8.4 (acceptance), 11.12.10 (logical ids)
 */
export class LocalApics {
  readonly #words: Int32Array;
  /** The CPUs that would take an interrupt now, a bit each. */
  readonly #ready = new Int32Array(SUMMARY + 1);
  readonly #journal: Journal;
  #entry: InterruptEntry | undefined = undefined;
  /** Whether the entry has been told since it last found nothing. */
  #isTold = false;

  constructor(
    readonly cpus: number,
    journal: Journal,
  ) {
    this.#words = new Int32Array(cpus * STRIDE);
    for (let cpu = 0; cpu < cpus; cpu++) this.#clear(cpu, true);
    this.#journal = journal;
  }

  attach(entry: InterruptEntry | undefined): void {
    this.#entry = entry;
    this.#isTold = false;
    if (this.#ready[SUMMARY] !== 0) this.#tell();
  }

  get entry(): InterruptEntry | undefined {
    return this.#entry;
  }

  /** A CPU is asked to take a vector; an offline one never hears of it. */
  request(cpu: number, vector: number): void {
    const words = this.#words;
    const base = cpu * STRIDE;
    if (vector < FIRST_VECTOR || words[base + ONLINE] !== 1) {
      this.#lose(cpu, vector);
      return;
    }
    if (vector <= words[base + IRR + TOP]!) {
      if (vector !== words[base + IRR + TOP]) addOther(words, base + IRR, vector);
      return;
    }
    push(words, base + IRR, vector);
    if (vector >> 4 > words[base + ISR + TOP]! >> 4) this.#offer(cpu);
  }

  /**
   * A message arrives.
   * @param id physical: an APIC id or {@link ALL_CPUS}; logical: 16 CPUs a cluster, its number in bits 31:16
   * @param oneOf one CPU of those named takes it: the one of lowest priority
   * @param mode index of `DELIVERY_MODES`
   */
  deliver(id: number, logical: boolean, oneOf: boolean, mode: number, vector: number): void {
    if (mode > DELIVER_LOWEST) {
      this.#journal.guestError(`cpu${id}`, `delivery mode ${DELIVERY_MODES[mode]!} is not modelled: use fixed`);
    } else if (!logical && id < this.cpus) {
      this.request(id, vector);
    } else if (logical || id === ALL_CPUS) {
      this.#deliverToSet(id, logical, oneOf || mode !== DELIVER_FIXED, vector);
    } else {
      this.#lose(id, vector);
    }
  }

  /** The lowest CPU that would take an interrupt, -1 for none. */
  nextCpu(): number {
    const ready = this.#ready;
    const used = ready[SUMMARY]!;
    if (used === 0) {
      this.#isTold = false;
      return NONE;
    }
    const word = lowestBit(used);
    return word * 32 + lowestBit(ready[word]!);
  }

  take(cpu: number): number {
    return this.#isReady(cpu) ? this.#take(cpu) : NONE;
  }

  #take(cpu: number): number {
    const words = this.#words;
    const base = cpu * STRIDE;
    const vector = words[base + IRR + TOP]!;
    pop(words, base + IRR);
    push(words, base + ISR, vector);
    // What is left is at most of the class that is in service now.
    this.#withdraw(cpu);
    return vector;
  }

  eoi(cpu: number): void {
    const base = cpu * STRIDE;
    if (this.#words[base + ISR + TOP]! >= 0) this.#end(cpu, base);
  }

  #end(cpu: number, base: number): void {
    const words = this.#words;
    pop(words, base + ISR);
    // None, -1, is of the class -1.
    if (words[base + IRR + TOP]! >> 4 > words[base + ISR + TOP]! >> 4) this.#offer(cpu);
  }

  /** The vector that the CPU would take now, -1 for none. */
  offered(cpu: number): number {
    return this.#isReady(cpu) ? this.#words[cpu * STRIDE + IRR + TOP]! : NONE;
  }

  isPending(cpu: number, vector: number): boolean {
    const words = this.#words;
    const set = cpu * STRIDE + IRR;
    return vector === words[set + TOP] || (words[set + (vector >>> 5)]! & (1 << (vector & 31))) !== 0;
  }

  isServing(cpu: number): boolean {
    return this.#serving(cpu) >= 0;
  }

  isOnline(cpu: number): boolean {
    return this.#words[cpu * STRIDE + ONLINE] === 1;
  }

  setOnline(cpu: number, online: boolean): void {
    if (online === this.isOnline(cpu)) return;
    this.#clear(cpu, online);
    this.#withdraw(cpu);
  }

  #clear(cpu: number, online: boolean): void {
    const base = cpu * STRIDE;
    this.#words.fill(0, base, base + STRIDE);
    this.#words[base + IRR + TOP] = this.#words[base + ISR + TOP] = NONE;
    this.#words[base + ONLINE] = online ? 1 : 0;
  }

  /** The highest vector in service, -1 for none. */
  #serving(cpu: number): number {
    return this.#words[cpu * STRIDE + ISR + TOP]!;
  }

  #isReady(cpu: number): boolean {
    return (this.#ready[cpu >>> 5]! & (1 << (cpu & 31))) !== 0;
  }

  #offer(cpu: number): void {
    const ready = this.#ready;
    ready[cpu >>> 5]! |= 1 << (cpu & 31);
    ready[SUMMARY]! |= 1 << (cpu >>> 5);
    if (!this.#isTold) this.#tell();
  }

  #withdraw(cpu: number): void {
    const ready = this.#ready;
    const word = cpu >>> 5;
    if ((ready[word]! &= ~(1 << (cpu & 31))) === 0) ready[SUMMARY]! &= ~(1 << word);
  }

  #tell(): void {
    if (this.#entry === undefined) return;
    this.#isTold = true;
    this.#entry.pending();
  }

  #deliverToSet(id: number, logical: boolean, oneOf: boolean, vector: number): void {
    const isAll = id === ALL_CPUS;
    const first = isAll ? 0 : (id >>> 16) * 16;
    const end = isAll ? this.cpus : Math.min(first + 16, this.cpus);
    let lowest = -1;
    let found = false;
    for (let cpu = first; cpu < end; cpu++) {
      if (!this.isOnline(cpu) || (!isAll && (id & (1 << (cpu - first))) === 0)) continue;
      found = true;
      if (!oneOf) this.request(cpu, vector);
      else if (lowest < 0 || this.#serving(cpu) >> 4 < this.#serving(lowest) >> 4) lowest = cpu;
    }
    if (lowest >= 0) this.request(lowest, vector);
    if (!found)
      this.#journal.guestError('apic', `vector ${vector} for ${logical ? 'logical ' : ''}id ${id}: no such CPU is online`);
  }

  #lose(cpu: number, vector: number): void {
    const why =
      vector < FIRST_VECTOR ? `is illegal: must be ${FIRST_VECTOR} to ${VECTORS - 1}` : 'is lost: no such CPU is online';
    this.#journal.guestError(`cpu${cpu}`, `vector ${vector} ${why}`);
  }
}

/** Puts a vector into a set, above all its members. */
function push(words: Int32Array, set: number, vector: number): void {
  const top = words[set + TOP]!;
  if (top >= 0) addOther(words, set, top);
  words[set + TOP] = vector;
}

/** Takes the highest member of a set out of it. */
function pop(words: Int32Array, set: number): void {
  words[set + TOP] = words[set + USED] === 0 ? NONE : takeOther(words, set);
}

function addOther(words: Int32Array, set: number, vector: number): void {
  const word = vector >>> 5;
  words[set + word]! |= 1 << (vector & 31);
  words[set + USED]! |= 1 << word;
}

/** Takes the highest of the others out, of which there are some. */
function takeOther(words: Int32Array, set: number): number {
  const word = 31 - Math.clz32(words[set + USED]!);
  const bit = 31 - Math.clz32(words[set + word]!);
  if ((words[set + word]! &= ~(1 << bit)) === 0) words[set + USED]! &= ~(1 << word);
  return word * 32 + bit;
}

/** @param word not 0 */
function lowestBit(word: number): number {
  // Mostly it is the first: what is guessed needs not be waited for.
  return word === 1 ? 0 : 31 - Math.clz32(word & -word);
}
