import { type Token, VIRTIO_NET_CONFIG, token } from '../../core/index.js';

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

/** How devices are; all of it has a default. */
export interface Mlx5VnetOptions {
  /** Pairs of queues, 1 to 16; default 1. */
  readonly pairs?: number;
}

/** Bound where other than the defaults are wanted. */
export const Mlx5VnetOptions: Token<Mlx5VnetOptions> = token<Mlx5VnetOptions>('Mlx5VnetOptions');
