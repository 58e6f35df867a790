import type { Clock, ClockTimer, Window } from '../../core/hal/index.js';
import type { Random } from '../../core/lib/index.js';
import type { Endpoint } from './endpoint.js';
import type { EndpointConfig } from './header.js';

/**
 * Why a device goes back to its reset state: `bus` by the secondary bus reset of a bridge, `function` by a function-level
 * reset, `power` by coming from D3hot to D0 without `noSoftReset`.
 */
export type ResetKind = 'bus' | 'function' | 'power';

/**
 * One piece of silicon: what a device does behind its bus interface.
 *
 * A model is in its reset state when it was created. It must stand every access at any time, also one that arrives inside
 * its own DMA call, and must not throw; what it throws nevertheless is caught, recorded, and read as all ones.
 */
export interface Model {
  /** The registers: by BAR number for a PCI function, region 0 for a platform device. */
  readonly regions: { readonly [index: number]: Window };
  /** Back to the reset state; platform devices have no reset. Configuration space, MSI-X table and interrupt line have been reset already. */
  reset(kind: ResetKind): void;
  /** It was pulled out, and reaches nothing of the machine any more: what it is connected to elsewhere is told, a cable say. */
  removed?(): void;
}

/** What {@link DmaPort.address} gives for an address that no bus here can carry. */
export const NO_ADDRESS = -1;

/** Memory as it is: see {@link DmaPort.peek}. */
export interface DmaView {
  /** A stretch of memory, which goes on before and behind what was asked for. */
  readonly bytes: Uint8Array;
  /** The same in words of the CPU's order, which is little-endian. */
  readonly words: Int32Array;
  /** Where in `bytes` the address is. */
  readonly offset: number;
}

/**
 * A device's way to memory. An access that cannot be made is recorded by the machine and gives false: a read leaves all
 * ones in the buffer, a write changes nothing. Where an IOMMU translates, that holds from the first byte on that is refused; what
 * lies before it has been done. Any call may re-enter the model.
 *
 * With a `pasid` (1 to 2^20 - 1) an access is made in that address space of the device; without, or with 0, in the one that the
 * device has without PASID.
 */
export interface DmaPort {
  /**
   * Joins two register words to a bus address, below 2^53.
   * @returns {@link NO_ADDRESS}, recorded as a fault, when any of bits 63:53 is set
   */
  address(lo: number, hi: number): number;
  /** Copies `length` bytes at `address` into `buffer` from `offset` on. */
  read(address: number, buffer: Uint8Array, offset: number, length: number, pasid?: number): boolean;
  /** Copies `length` bytes of `buffer` from `offset` on to `address`. */
  write(address: number, buffer: Uint8Array, offset: number, length: number, pasid?: number): boolean;
  /**
   * Memory to memory, as a copy engine does; the ranges may overlap. Both are in the address space of `pasid`. One that is refused has
   * copied no more than what lies before the first byte that either side refuses, and perhaps nothing.
   */
  copy(source: number, destination: number, length: number, pasid?: number): boolean;
  /** A little-endian word; all ones when it cannot be read. `address` is a multiple of 4. */
  read32(address: number, pasid?: number): number;
  write32(address: number, value: number, pasid?: number): boolean;
  /**
   * Shows memory as it is, for what is too small to be worth a copy; re-enters nothing. A machine need not have it, and shows only what is
   * in one piece and was accessed lately: what it does not show is done by the other calls.
   * @returns the same object each time, good until anything else is done
   */
  peek?(address: number, length: number, isWrite: boolean, pasid?: number): DmaView | undefined;
  /**
   * How many bytes from `address` on can be accessed now, up to `length`; what stops it is not recorded as a fault. For engines that
   * stop at a page that is missing, and say where.
   */
  reach(address: number, length: number, isWrite: boolean, pasid?: number): number;
  /**
   * Asks for the page that `address` is in, and tells `done` whether it is there now: at once, or later. False at once where nobody
   * answers such requests.
   */
  requestPage(address: number, isWrite: boolean, pasid: number | undefined, done: (isThere: boolean) => void): void;
}

/** A device's interrupts; sending a message gives whether it left the device and arrived. */
export interface IrqPort {
  /** Whether software has enabled MSI, and MSI-X; a device then does not use its line. */
  readonly msiEnabled: boolean;
  readonly msixEnabled: boolean;
  /** Raises (true) or lowers the level of the INTx line. */
  intx(level: boolean): void;
  /** Sends MSI message `n`, modulo the number that software granted; a masked one stays pending. */
  msi(n: number): boolean;
  /** Sends MSI-X message `n`; a masked one stays pending. */
  msix(n: number): boolean;
  /** Posts a message that the device keeps elsewhere (IMS). The words may be signed: such are never boxed by the engine. */
  post(addressLo: number, addressHi: number, data: number): boolean;
}

/** Time for a model: an event of a device that is gone, never runs. */
export interface ModelClock extends Pick<Clock, 'now' | 'after'> {
  /** A timer that runs `fn`; it is not set yet. */
  timer(fn: () => void): ClockTimer;
}

/** Where a model tells what happened. */
export interface ModelLog {
  info(text: string): void;
  /** Software did what the datasheet forbids; recorded for tests. */
  guestError(text: string): void;
}

/** What a model is given: its connections to the machine it is in. They go dead when the device is removed. */
export interface ModelContext {
  /** Where it is: `0000:00:04.0`, or the address of a platform device. */
  readonly name: string;
  readonly clock: ModelClock;
  readonly dma: DmaPort;
  readonly irq: IrqPort;
  /** Its own sequence, from the machine's seed and the name. */
  readonly random: Random;
  readonly log: ModelLog;
}

/** As {@link ModelContext}, for a function of a PCI device. */
export interface PciModelContext extends ModelContext {
  readonly endpoint: Endpoint;
}

/**
 * A kind of PCI function: what its configuration space declares, and how to make one. No state; `create` is called once for
 * each function of a machine.
 *
 * @example
 * ```ts
 * const adder: PciModel = {
 *   name: 'adder',
 *   config: { vendor: 0x1af4, device: 0x10f0, classCode: 0xff0000, bars: { 0: { kind: 'mem32', sizeBytes: 4096 } } },
 *   create: (context) => new Adder(context),
 * };
 * ```
 */
export interface PciModel {
  readonly name: string;
  readonly config: EndpointConfig;
  create(context: PciModelContext): Model;
}

/** A kind of device that sits at a fixed address and is found by no enumeration. */
export interface PlatformModel {
  readonly name: string;
  /** Length of its region in bytes. */
  readonly sizeBytes: number;
  create(context: ModelContext): Model;
}
