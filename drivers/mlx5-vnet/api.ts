import { type Token, VFIO_PCI_REGION, VIRTIO_NET_CONFIG, token } from '../../core/index.js';

/**
 * How the queues of the device lie in the memory of their user. Queue 2n receives, queue 2n + 1 sends; entries are those of `hw/regs/nic.ts`.
 *
 * ```
 *  descriptor area   the work queue: DATA of 16 bytes each (receive), units of WQE of 64 bytes (send); a multiple of 4096
 *  device area       the completion queue: as many CQE of 64 bytes as the work queue has entries; a multiple of 4096
 *  driver area       16 bytes: 0x0 WQ_RECORD, 0x8 CQ_RECORD; a multiple of 8
 * ```
 * Before DRIVER_OK, all CQE are `CQE_INITIAL`, and the records are 0, but for `CQ_ARM_INITIAL`. Doorbells: UAR_SQ_DOORBELLS, UAR_CQ_ARM.
 */
export const VQ_DRIVER_AREA = { work: 0, completion: 8, sizeBytes: 16 } as const;

/** Behind the configuration of a network device: 8 bytes for each queue, from `queues` on; 0 while the queues do not work. */
export const VNET_CONFIG = {
  queues: 64,
  /** 32 bits each, little-endian: by which entries and doorbells name the work queue, and the completion queue. */
  workQueue: 0,
  completionQueue: 4,
  queueBytes: 8,
} as const;

/** Bytes of the configuration of a device with so many queues. */
export const configBytes = (queues: number): number =>
  Math.max(VIRTIO_NET_CONFIG.sizeBytes, VNET_CONFIG.queues) + queues * VNET_CONFIG.queueBytes;

/** What a mediated device shows to its user: a page by which he sets it up, and the page by which he rings, which he maps. */
export const VNET_REGIONS = { control: VFIO_PCI_REGION.BAR0, doorbells: VFIO_PCI_REGION.BAR2, sizeBytes: 4096 } as const;

/**
 * The page by which a mediated device is set up; little-endian. Only a write of `status` does something: bits are added, and 0 resets. While
 * that is under way the old status is read. What else can be written is looked at with FEATURES_OK and DRIVER_OK, and 0 after a reset.
 */
export const VNET_CONTROL = {
  /** 32 bits each, as `VIRTIO_STATUS`; grows when the configuration changes; queues that there are; entries of a queue at most. */
  status: 0x00,
  generation: 0x04,
  queueCount: 0x08,
  entriesMax: 0x0c,
  /** 64 bits each: what the device can do; what its user wants of that. */
  deviceFeatures: 0x10,
  driverFeatures: 0x18,
  /** A queue: `size` and `enabled` have 32 bits, its areas 64; `size` 0: it is not made. */
  queue: (index: number) => 0x40 + index * 0x20,
  size: 0x00,
  enabled: 0x04,
  descriptor: 0x08,
  driver: 0x10,
  device: 0x18,
  /** The configuration, as a vDPA user reads it. */
  config: 0x800,
} as const;

/** How devices are; all of it has a default. */
export interface Mlx5VnetOptions {
  /** Pairs of queues, 1 to 16; default 1. */
  readonly pairs?: number;
}

/** Bound where other than the defaults are wanted. */
export const Mlx5VnetOptions: Token<Mlx5VnetOptions> = token<Mlx5VnetOptions>('Mlx5VnetOptions');
