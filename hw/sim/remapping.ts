import {
  IRTE,
  IRTE_WORDS,
  type RemapFault,
  type RemapFaultReason,
  type RemappingUnit,
  hasReservedData,
  irteAccepts,
  isRemappable,
  isValidIrte,
  remapIndex,
} from '../../core/hal/index.js';
import { Errno, Signal, type Subscription, checkRange } from '../../core/lib/index.js';
import type { Journal } from './journal.js';
import { ALL_CPUS, type LocalApics } from './lapic.js';
import type { PhysicalMemory } from './memory.js';

const ENTRIES = 65_536;
/** Entries that there is room for at first; more when they are written. */
const FIRST_ROOM = 256;

/** A posted-interrupt descriptor: 256 request bits, then the word with these fields, then the notified CPU. */
const DESCRIPTOR_BYTES = 64;
const CONTROL_OFFSET = 32;
const NOTIFY_OFFSET = 36;
const OUTSTANDING = 0x1;
const SUPPRESS = 0x2;

/** In the decoded form of an entry: it has one. */
const SIMPLE = 0x1_0000;
/** Entries of the decoded form deliver like this: present, fixed, physical, to whom is told; the rest may be what it will. */
const SIMPLE_MASK = IRTE.PRESENT | IRTE.LOGICAL | IRTE.POSTED | 0xe0;
/** And check all of the requester id: word 2 without source id. */
const CHECK_ALL = 0x4;

/** What a unit is. */
export interface RemappingOptions {
  readonly isVirtual: boolean;
  readonly x2apic: boolean;
}

/**
 * The interrupt remapping unit: it has the message name an entry, checks who sent it, and delivers what the entry says.
 *
 * It decodes an entry at the first message that names it and keeps that until it is told to forget, whatever is written
 * meanwhile. Entries that deliver nothing are not kept.
 * @see Intel VT-d Architecture Specification 4.1, 5.1 (remapping), 5.2 (posting), 9.10 to 9.12
 */
export class SimRemapping implements RemappingUnit {
  readonly entries = ENTRIES;
  readonly isVirtual: boolean;
  readonly canPost: boolean;
  readonly x2apic: boolean;
  readonly #apics: LocalApics;
  readonly #memory: PhysicalMemory;
  readonly #journal: Journal;
  readonly #faults = new Signal<[RemapFault]>();
  /** Entries that there is room for; those beyond are all zero. */
  #room = FIRST_ROOM;
  #table = new Uint32Array(FIRST_ROOM * IRTE_WORDS);
  #cache = new Uint32Array(FIRST_ROOM * IRTE_WORDS);
  /** What most entries are, decoded further: {@link SIMPLE} and the requester allowed; CPU in bits 18:8, vector below. */
  #sources = new Int32Array(FIRST_ROOM);
  #targets = new Int32Array(FIRST_ROOM);

  constructor(apics: LocalApics, memory: PhysicalMemory, journal: Journal, options: RemappingOptions) {
    this.isVirtual = options.isVirtual;
    this.canPost = !options.isVirtual;
    this.x2apic = options.x2apic;
    this.#apics = apics;
    this.#memory = memory;
    this.#journal = journal;
  }

  write(index: number, words: Uint32Array): void {
    checkRange('remapping', 'index', index, 0, ENTRIES - 1);
    if (words.length !== IRTE_WORDS) {
      throw new Errno('EINVAL', `remapping: an entry of ${words.length} words: must be ${IRTE_WORDS}`);
    }
    if (index >= this.#room) this.#makeRoom(index);
    copyEntry(words, 0, this.#table, index * IRTE_WORDS);
  }

  invalidate(index: number, count: number): void {
    checkRange('remapping', 'index', index, 0, ENTRIES - 1);
    checkRange('remapping', 'count', count, 1, ENTRIES - index);
    const end = Math.min(index + count, this.#room);
    for (let n = index; n < end; n++) {
      // Present is a bit of its first word: what is 0 there is not kept.
      this.#cache[n * IRTE_WORDS] = 0;
      this.#sources[n] = 0;
    }
  }

  onFault(listener: (fault: RemapFault) => void): Subscription {
    return this.#faults.on(listener);
  }

  /** A message to an interrupt address arrives; the words may be signed. */
  message(requesterId: number, addressLo: number, data: number): void {
    const index = remapIndex(addressLo, data);
    const isPlain = isRemappable(addressLo) && data >>> 16 === 0 && index < this.#room;
    if (isPlain && this.#sources[index] === (SIMPLE | requesterId)) {
      const target = this.#targets[index]!;
      this.#apics.request(target >>> 8, target & 0xff);
    } else if (!isRemappable(addressLo)) {
      this.#fault(requesterId, addressLo, data, undefined, 'compatibility format blocked');
    } else if (hasReservedData(addressLo, data)) {
      this.#fault(requesterId, addressLo, data, undefined, 'bad message');
    } else {
      this.#remap(requesterId, addressLo, data, index);
    }
  }

  #remap(requesterId: number, addressLo: number, data: number, index: number): void {
    const at = index * IRTE_WORDS;
    const cache = this.#cache;
    if (index >= this.#room || (cache[at]! & IRTE.PRESENT) === 0) {
      const reason = this.#load(index);
      if (reason !== undefined) {
        this.#refuse(requesterId, addressLo, data, index, reason, this.#table);
        return;
      }
    }
    if (!irteAccepts(cache[at + 2]!, requesterId)) {
      this.#refuse(requesterId, addressLo, data, index, 'wrong requester', cache);
      return;
    }
    const word0 = cache[at]!;
    if ((word0 & IRTE.POSTED) === 0) {
      const id = this.#apicId(cache[at + 1]!);
      this.#apics.deliver(
        id,
        (word0 & IRTE.LOGICAL) !== 0,
        (word0 & IRTE.REDIRECTION_HINT) !== 0,
        (word0 >>> 5) & 7,
        (word0 >>> 16) & 0xff,
      );
    } else if (!this.#post(cache[at + 3]! * 2 ** 32 + cache[at + 1]!, (word0 >>> 16) & 0xff, (word0 & IRTE.URGENT) !== 0)) {
      this.#refuse(requesterId, addressLo, data, index, 'bad entry', cache);
    }
  }

  /** Decodes an entry into the cache. @returns why it cannot be used; undefined when it can */
  #load(index: number): RemapFaultReason | undefined {
    if (index >= ENTRIES) return 'index too large';
    const at = index * IRTE_WORDS;
    const table = this.#table;
    if (index >= this.#room || (table[at]! & IRTE.PRESENT) === 0) return 'entry not present';
    if (!isValidIrte(table, at) || (!this.canPost && (table[at]! & IRTE.POSTED) !== 0)) return 'bad entry';
    copyEntry(table, at, this.#cache, at);
    const [word0, id, word2] = [table[at]!, this.#apicId(table[at + 1]!), table[at + 2]!];
    if ((word0 & SIMPLE_MASK) === IRTE.PRESENT && word2 >>> 16 === CHECK_ALL && id < this.#apics.cpus) {
      this.#sources[index] = SIMPLE | (word2 & 0xffff);
      this.#targets[index] = (id << 8) | ((word0 >>> 16) & 0xff);
    }
    return undefined;
  }

  /** @returns whether the descriptor is in memory */
  #post(descriptor: number, vector: number, urgent: boolean): boolean {
    const memory = this.#memory;
    if (!memory.contains(descriptor, DESCRIPTOR_BYTES)) return false;
    const word = descriptor + (vector >>> 5) * 4;
    memory.write32(word, memory.read32(word) | (1 << (vector & 31)));
    const control = memory.read32(descriptor + CONTROL_OFFSET);
    if ((control & OUTSTANDING) !== 0 || ((control & SUPPRESS) !== 0 && !urgent)) return true;
    memory.write32(descriptor + CONTROL_OFFSET, control | OUTSTANDING);
    const id = this.#apicId(memory.read32(descriptor + NOTIFY_OFFSET));
    this.#apics.deliver(id, false, false, 0, (control >>> 16) & 0xff);
    return true;
  }

  #apicId(destination: number): number {
    if (this.x2apic) return destination;
    const id = (destination >>> 8) & 0xff;
    return id === 0xff ? ALL_CPUS : id;
  }

  /** As {@link SimRemapping.#fault}, unless the entry says not to tell. */
  #refuse(
    requesterId: number,
    addressLo: number,
    data: number,
    index: number,
    reason: RemapFaultReason,
    words: Uint32Array,
  ): void {
    if (index < this.#room && (words[index * IRTE_WORDS]! & IRTE.FAULT_DISABLE) !== 0) return;
    this.#fault(requesterId, addressLo, data, index, reason);
  }

  #fault(requesterId: number, addressLo: number, data: number, index: number | undefined, reason: RemapFaultReason): void {
    this.#faults.emit(this.#journal.remapFault(requesterId, addressLo >>> 0, data >>> 0, index, reason));
  }

  #makeRoom(index: number): void {
    while (this.#room <= index) this.#room *= 2;
    const [table, cache, sources, targets] = [this.#table, this.#cache, this.#sources, this.#targets];
    (this.#table = new Uint32Array(this.#room * IRTE_WORDS)).set(table);
    (this.#cache = new Uint32Array(this.#room * IRTE_WORDS)).set(cache);
    (this.#sources = new Int32Array(this.#room)).set(sources);
    (this.#targets = new Int32Array(this.#room)).set(targets);
  }
}

/** In a loop: for so few words a builtin takes longer to call than to run. */
function copyEntry(from: Uint32Array, at: number, to: Uint32Array, toAt: number): void {
  for (let n = 0; n < IRTE_WORDS; n++) to[toAt + n] = from[at + n]!;
}
