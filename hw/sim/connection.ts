import { type ClockEvent, type VirtualClock, isInterruptAddress } from '../../core/hal/index.js';
import { Random, type Signal } from '../../core/lib/index.js';
import { type DmaPort, type ModelClock, type ModelLog, NO_ADDRESS } from '../endpoint/index.js';
import type { SimInterrupts } from './interrupts.js';
import type { DmaFault, Journal } from './journal.js';
import type { PhysicalMemory } from './memory.js';

/** What all devices of a machine share. */
export interface Fabric {
  readonly clock: VirtualClock;
  readonly memory: PhysicalMemory;
  readonly journal: Journal;
  readonly seed: number;
  readonly interrupts: SimInterrupts;
  /** A device's line changed: name, whether the device asserts it. */
  readonly lines: Signal<[string, boolean]>;
}

/** What a device is to the machine, by where it is plugged in. */
export interface Requester {
  /** The wire of its interrupt pin; undefined when it has none. */
  readonly line: number | undefined;
  /** Whether it may write and read memory now. */
  isMaster(): boolean;
  /** What its accesses carry: bus, device and function as 16 bits. */
  requesterId(): number;
}

/**
 * One device's connections to its machine: memory, clock, log and the way of its interrupts. Once `cut`, nothing it does
 * reaches anything and its clock events do not run.
 */
export class Connection implements DmaPort, ModelClock, ModelLog {
  readonly random: Random;
  readonly #fabric: Fabric;
  readonly #requester: Requester;
  readonly #interrupts: SimInterrupts;
  readonly #posts: SimInterrupts['posts'];
  #alive = true;
  /** What its accesses carry while it may make them; -1 until it has been asked, and while it may not. */
  #requesterId = -1;
  /** It asserts its line. */
  #isAsserting = false;

  constructor(
    readonly name: string,
    fabric: Fabric,
    requester: Requester,
  ) {
    this.#fabric = fabric;
    this.#requester = requester;
    this.#interrupts = fabric.interrupts;
    this.#posts = fabric.interrupts.posts;
    this.random = new Random(mix(fabric.seed, name));
  }

  /** The device is gone. */
  cut(): void {
    this.#alive = false;
    this.#requesterId = -1;
  }

  /** What the requester tells may have changed. */
  requesterChanged(): void {
    this.#requesterId = -1;
  }

  /** Runs the model; what it throws is recorded. */
  guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.failed(error);
    }
  }

  failed(error: unknown): void {
    this.#fabric.journal.modelError(this.name, error);
  }

  now(): number {
    return this.#fabric.clock.now();
  }

  after(us: number, fn: () => void): ClockEvent {
    return this.#fabric.clock.after(us, () => {
      if (this.#alive) this.guard(fn);
    });
  }

  info(text: string): void {
    this.#fabric.journal.log.write('info', this.name, text);
  }

  guestError(text: string): void {
    this.#fabric.journal.guestError(this.name, text);
  }

  address(lo: number, hi: number): number {
    const address = (hi >>> 0) * 2 ** 32 + (lo >>> 0);
    if (hi >>> 0 < 2 ** 21) return address;
    this.#fabric.journal.dmaFault(this.name, 'read', address, 0, 'address');
    return NO_ADDRESS;
  }

  read(address: number, buffer: Uint8Array, offset: number, length: number): boolean {
    if (this.#reaches('read', address, length)) {
      this.#fabric.memory.read(address, buffer, offset, length);
      return true;
    }
    buffer.fill(0xff, offset, offset + length);
    return false;
  }

  write(address: number, buffer: Uint8Array, offset: number, length: number): boolean {
    if (!this.#reaches('write', address, length)) return false;
    this.#fabric.memory.write(address, buffer, offset, length);
    return true;
  }

  copy(source: number, destination: number, length: number): boolean {
    if (!this.#reaches('read', source, length) || !this.#reaches('write', destination, length)) return false;
    this.#fabric.memory.copy(source, destination, length);
    return true;
  }

  read32(address: number): number {
    return this.#reaches('read', address, 4) ? this.#fabric.memory.read32(address) : 0xffff_ffff;
  }

  write32(address: number, value: number): boolean {
    if (!this.#reaches('write', address, 4)) return false;
    this.#fabric.memory.write32(address, value);
    return true;
  }

  /** Sends an interrupt message: a memory write, which interrupt hardware takes when it is addressed to it. */
  message(addressLo: number, addressHi: number, data: number): boolean {
    if (!isInterruptAddress(addressLo, addressHi)) return this.write32(this.address(addressLo, addressHi), data);
    const interrupts = this.#interrupts;
    if (!this.#isMaster) {
      this.#refuse('message', addressLo >>> 0, 4);
      return false;
    }
    if (!interrupts.takesMessages) {
      this.#fabric.journal.dmaFault(this.name, 'message', addressLo >>> 0, 4, 'unmapped');
      return false;
    }
    if (this.#posts.active) this.#posts.emit(this.name, this.#requesterId, addressLo >>> 0, data >>> 0);
    // Signed words are small integers to the engine, which keeps them off the heap.
    interrupts.message(this.#requesterId, addressLo | 0, data | 0);
    return true;
  }

  /** The device asserts its line, or does no longer. */
  intx(asserted: boolean): void {
    const isAsserting = asserted && this.#alive;
    if (isAsserting === this.#isAsserting) return;
    this.#isAsserting = isAsserting;
    this.#fabric.lines.emit(this.name, isAsserting);
    if (this.#requester.line !== undefined) this.#interrupts.lines.drive(this.#requester.line, isAsserting);
  }

  get #isMaster(): boolean {
    return this.#requesterId >= 0 || this.#ask();
  }

  #ask(): boolean {
    if (!this.#alive || !this.#requester.isMaster()) return false;
    this.#requesterId = this.#requester.requesterId();
    return true;
  }

  /** Records that an access was not the device's to make. */
  #refuse(kind: DmaFault['kind'], address: number, length: number): void {
    this.#fabric.journal.dmaFault(this.name, kind, address, length, this.#alive ? 'bus master' : 'gone');
  }

  #reaches(kind: 'read' | 'write', address: number, length: number): boolean {
    // `address` has recorded it.
    if (address === NO_ADDRESS) return false;
    if (!this.#isMaster) {
      this.#refuse(kind, address, length);
      return false;
    }
    const { memory, journal } = this.#fabric;
    if (!Number.isSafeInteger(address) || address < 0 || !Number.isSafeInteger(address + length) || length < 0) {
      journal.dmaFault(this.name, kind, address, length, 'address');
      return false;
    }
    if (!memory.contains(address, length)) {
      journal.dmaFault(this.name, kind, address, length, 'unmapped');
      return false;
    }
    if (!memory.isAllocated(address, length)) journal.dmaFault(this.name, kind, address, length, 'unallocated');
    return true;
  }
}

/** A seed of its own for each device, so that one more device does not change the others' sequences (FNV-1a). */
function mix(seed: number, name: string): number {
  let hash = 0x811c_9dc5 ^ seed;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x0100_0193);
  return hash;
}
