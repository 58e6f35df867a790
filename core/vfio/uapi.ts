import type { Mmio } from '../hal/index.js';
import type { MaybePromise } from '../lib/index.js';
import type { EventFd } from './eventfd.js';

/** Regions of a device with the API `vfio-pci`. @see Linux 7.2 include/uapi/linux/vfio.h VFIO_PCI_*_REGION_INDEX */
export const VFIO_PCI_REGION = {
  BAR0: 0,
  BAR1: 1,
  BAR2: 2,
  BAR3: 3,
  BAR4: 4,
  BAR5: 5,
  ROM: 6,
  CONFIG: 7,
  VGA: 8,
} as const;
/** How many there are. */
export const VFIO_PCI_REGIONS = 9;

/** Interrupts of a device with the API `vfio-pci`. @see Linux 7.2 include/uapi/linux/vfio.h VFIO_PCI_*_IRQ_INDEX */
export const VFIO_PCI_IRQ = { INTX: 0, MSI: 1, MSIX: 2, ERR: 3, REQ: 4 } as const;
/** How many indices there are. */
export const VFIO_PCI_IRQS = 5;

/** What a device is. @see Linux 7.2 include/uapi/linux/vfio.h struct vfio_device_info */
export interface VfioDeviceInfo {
  /** Whether it can be reset. */
  readonly reset: boolean;
  /** Whether regions and interrupts are numbered as those of a PCI function. */
  readonly pci: boolean;
  readonly regions: number;
  readonly irqs: number;
}

/** What a region is, and what can be done with it. @see Linux 7.2 include/uapi/linux/vfio.h struct vfio_region_info */
export interface VfioRegionInfo {
  readonly index: number;
  /** 0 for one that the device does not have. */
  readonly sizeBytes: number;
  readonly read: boolean;
  readonly write: boolean;
  readonly mmap: boolean;
}

/** What the interrupts of an index are. @see Linux 7.2 include/uapi/linux/vfio.h struct vfio_irq_info */
export interface VfioIrqInfo {
  readonly index: number;
  readonly count: number;
  /** It can signal an {@link EventFd}. */
  readonly eventfd: boolean;
  readonly maskable: boolean;
  /** It is masked when it has come, until the user unmasks it. */
  readonly automasked: boolean;
  /** To have more vectors, all must be given up first. */
  readonly noResize: boolean;
}

/** What is to be done to interrupts. */
export type VfioIrqAction = 'mask' | 'unmask' | 'trigger';

/**
 * What `VfioFile.setIrqs` is told: what to do to `count` interrupts of an index from `start` on. At most one kind of data; none stands
 * for "do it", and with count 0 for "give them all up".
 * @see Linux 7.2 include/uapi/linux/vfio.h struct vfio_irq_set
 */
export interface VfioIrqSet {
  readonly index: number;
  readonly action: VfioIrqAction;
  readonly start: number;
  readonly count: number;
  /** Where each is signalled from now on; undefined (Linux's -1): nowhere any more. */
  readonly eventfds?: readonly (EventFd | undefined)[];
  /** Whether to do it to each. */
  readonly bools?: readonly boolean[];
}

/** What a user wants of a feature. @see Linux 7.2 include/uapi/linux/vfio.h struct vfio_device_feature */
export interface VfioFeature {
  /** Number of the feature. */
  readonly index: number;
  readonly get?: boolean;
  readonly set?: boolean;
  /** Only asks whether that could be done. */
  readonly probe?: boolean;
  readonly data?: unknown;
}

/**
 * What a driver does for the user of a device; the arguments were checked before, and it is called between `open` and `close` alone.
 * A driver of an emulated device writes an {@link EmulatedDevice} instead.
 * @see Linux 7.2 include/linux/vfio.h struct vfio_device_ops
 */
export interface VfioOps {
  /** Name of the driver. */
  readonly name: string;
  /** Undefined members cannot be done. `reset` is told by whether there is a `reset`. */
  readonly info: Omit<VfioDeviceInfo, 'reset'>;
  /** The first user has come. What it throws keeps that one out. */
  open?(): MaybePromise<void>;
  /** The last one has gone. */
  close?(): MaybePromise<void>;
  /** @param index below `info.regions` */
  regionInfo(index: number): VfioRegionInfo;
  /** @param index below `info.irqs` */
  irqInfo(index: number): VfioIrqInfo;
  /** @returns 0, or how many vectors could be had when that is fewer than asked for: nothing is enabled then */
  setIrqs(set: VfioIrqSet): number;
  /** @param out filled; range and region are checked @returns bytes that were read */
  read?(index: number, offset: number, out: Uint8Array): number;
  write?(index: number, offset: number, data: Uint8Array): number;
  /** Only of regions that say so. */
  readonly mmap?: ((index: number, offset: number, sizeBytes: number) => Mmio) | undefined;
  readonly reset?: (() => MaybePromise<void>) | undefined;
  /** The device is to be given up; called again every 10 s until it is. */
  request?(count: number): void;
  /** Addresses that this device has pinned go: it must unpin them now. */
  readonly dmaUnmap?: ((iova: number, sizeBytes: number) => void) | undefined;
  /** Undefined: there is no such feature. */
  readonly feature?: ((feature: VfioFeature) => unknown) | undefined;
}
