import type { Mmio } from '../hal/index.js';
import type { MaybePromise } from '../lib/index.js';
import type { VfioFeature } from './uapi.js';

/** A region of an emulated device. */
export interface EmulatedRegion {
  /** Such as `VFIO_PCI_REGION.BAR0`. */
  readonly index: number;
  readonly sizeBytes: number;
  /** Default `rw`. */
  readonly access?: 'r' | 'w' | 'rw';
  /** Whether {@link EmulatedDevice.mmap} can show it. */
  readonly mmap?: boolean;
}

/** Interrupts of an emulated device. */
export interface EmulatedIrq {
  /** Such as `VFIO_PCI_IRQ.MSIX`. */
  readonly index: number;
  readonly count: number;
  /**
   * Of MSI and MSI-X: the interrupt of hardware behind vector `k`, allocated for it alone; undefined for one that the emulation itself
   * signals. It is asked for when a user wants the vector for the first time, and kept until he gives all of them up.
   * @throws {Errno} ENOSPC or EBUSY when there is none left: the user is told how many he can have
   */
  take?(k: number): number | undefined;
  /** Vector `k` is given up: its interrupt is not requested any more, and can be freed. */
  give?(k: number, virq: number): void;
}

/**
 * A device that a driver makes out of nothing, or out of a part of its own: what the driver of a mediated device writes. Everything but
 * registers is optional.
 *
 * @example
 * ```ts
 * class Port implements EmulatedDevice {
 *   readonly regions = [{ index: VFIO_PCI_REGION.BAR0, sizeBytes: 8 }];
 *   readonly irqs = [{ index: VFIO_PCI_IRQ.MSIX, count: 1 }];
 *   #byte = 0;
 *   readRegion(): number { return this.#byte; }
 *   writeRegion(_region: number, _offset: number, _bytes: number, value: number): void { this.#byte = value; }
 * }
 * ```
 */
export interface EmulatedDevice {
  readonly regions: readonly EmulatedRegion[];
  /** Those that it has; `VFIO_PCI_IRQ.REQ` comes by itself. */
  readonly irqs: readonly EmulatedIrq[];
  /** One access, aligned to its width and inside the region. @param bytes 1, 2 or 4 @returns unsigned */
  readRegion(region: number, offset: number, bytes: 1 | 2 | 4): number;
  writeRegion(region: number, offset: number, bytes: 1 | 2 | 4, value: number): void;
  /** What a user sees of a page; only of regions with `mmap`. Whole pages, inside the region. */
  mmap?(region: number, offset: number, sizeBytes: number): Mmio;
  reset?(): MaybePromise<void>;
  /** The first user has come; with a PASID, `device.pasid` is known. */
  open?(): MaybePromise<void>;
  /** The last one has gone: what is under way ends; its interrupts are given up after that. */
  close?(): MaybePromise<void>;
  /** The device is to be given up; `count` says how often that was asked. Without it the user is told by `VFIO_PCI_IRQ.REQ`. */
  request?(count: number): void;
  /** Addresses with pages that it has pinned go: it must unpin them now. Needed by who pins pages. */
  dmaUnmap?(iova: number, sizeBytes: number): void;
  feature?(feature: VfioFeature): unknown;
}
