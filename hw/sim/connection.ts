import type { ClockEvent, VirtualClock } from '../../core/hal/index.js';
import { Random } from '../../core/lib/index.js';
import { type DmaPort, type ModelClock, type ModelLog, NO_ADDRESS } from '../endpoint/index.js';
import type { DmaFault, Journal } from './journal.js';
import type { PhysicalMemory } from './memory.js';

/** Writes of devices to this MiB are interrupt messages, as on x86. */
const MESSAGES = { start: 0xfee0_0000, end: 0xfef0_0000 } as const;

/** What all devices of a machine share. */
export interface Fabric {
  readonly clock: VirtualClock;
  readonly memory: PhysicalMemory;
  readonly journal: Journal;
  readonly seed: number;
  /** An interrupt message arrived. */
  message(who: string, address: number, data: number): void;
  /** A line changed. */
  intx(who: string, asserted: boolean): void;
}

/**
 * One device's connections to its machine: memory, clock, log and the way of its interrupts. Once `cut`, nothing it does
 * reaches anything and its clock events do not run.
 */
export class Connection implements DmaPort, ModelClock, ModelLog {
  readonly random: Random;
  readonly #fabric: Fabric;
  readonly #isMaster: () => boolean;
  #alive = true;

  /** @param isMaster whether the device may write and read memory now */
  constructor(
    readonly name: string,
    fabric: Fabric,
    isMaster: () => boolean,
  ) {
    this.#fabric = fabric;
    this.#isMaster = isMaster;
    this.random = new Random(mix(fabric.seed, name));
  }

  /** The device is gone. */
  cut(): void {
    this.#alive = false;
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
    const address = this.address(addressLo, addressHi);
    if (address < MESSAGES.start || address >= MESSAGES.end) return this.write32(address, data);
    if (!this.#mayMaster('message', address, 4)) return false;
    this.#fabric.message(this.name, address, data);
    return true;
  }

  intx(asserted: boolean): void {
    if (this.#alive || !asserted) this.#fabric.intx(this.name, asserted);
  }

  #mayMaster(kind: DmaFault['kind'], address: number, length: number): boolean {
    if (this.#alive && this.#isMaster()) return true;
    this.#fabric.journal.dmaFault(this.name, kind, address, length, this.#alive ? 'bus master' : 'gone');
    return false;
  }

  #reaches(kind: 'read' | 'write', address: number, length: number): boolean {
    // `address` has recorded it.
    if (address === NO_ADDRESS) return false;
    if (!this.#mayMaster(kind, address, length)) return false;
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
