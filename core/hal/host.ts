import type { MaybePromise } from '../lib/flow.js';
import type { Log } from '../lib/log.js';
import { type Token, token } from '../lib/token.js';
import type { Clock } from './clock.js';
import type { DmaMemory } from './dma.js';
import type { InterruptController } from './interrupts.js';
import type { IommuHardware } from './iommu.js';
import type { PciRoot } from './pci.js';
import type { Window } from './window.js';

/** What a host can do; asked, never assumed. */
export interface HostCapabilities {
  /** `virtual`: time moves as told. `real`: the wall clock moves it, and tests must not assert durations. */
  readonly time: 'virtual' | 'real';
  /** Whether a surprise removal or hot add can be made to happen, and is reported. */
  readonly hotplug: boolean;
}

/** A device found by no enumeration: what firmware tables or board files tell of. */
export interface PlatformResource {
  readonly kind: 'mem' | 'io' | 'irq';
  readonly name?: string;
  /** First address, or the interrupt number. */
  readonly start: number;
  /** Length in bytes; 1 for an interrupt. */
  readonly sizeBytes: number;
}

/**
 * Where the hardware is: the one port through which the core reaches a machine, simulated or real.
 *
 * A host is started once, before any bus uses it, and stopped once, after the last device is gone.
 */
export interface Host {
  /** Short name for messages: `sim`, `qtest`. */
  readonly name: string;
  readonly capabilities: HostCapabilities;
  readonly clock: Clock;
  readonly dma: DmaMemory;
  /** The PCI host bridges, in the order they are to be scanned; none when the machine has no PCI. */
  readonly pci: readonly PciRoot[];
  /**
   * A window on a range of physical addresses outside any PCI root, for platform devices; absent when the host has none.
   * Where nothing is, it reads all ones.
   */
  map?(kind: 'io' | 'mem', address: number, sizeBytes: number): Window;
  /** How devices interrupt; absent when they cannot. Known from construction on, used from `start` on. */
  readonly interrupts?: InterruptController | undefined;
  /** What stands between devices and memory; absent where they reach it as it is. */
  readonly iommu?: IommuHardware | undefined;
  /** The requester id of the messages of a platform device, by its first address, as firmware tables tell; undefined when unknown. */
  requesterId?(address: number): number | undefined;
  /** @throws {Errno} when the hardware cannot be reached; nothing is left running then */
  start(log: Log): MaybePromise<void>;
  /** Idempotent. */
  stop(): MaybePromise<void>;
}

/** The host of a system; bound by a host plugin such as `hostSim()`. */
export const Host: Token<Host> = token<Host>('Host');
