import type { Window } from '../hal/index.js';
import type { MaybePromise } from '../lib/flow.js';

/** What a virtio device is. @see Virtual I/O Device (VIRTIO) 1.3, 5 (device types) */
export const VIRTIO_ID = { net: 1, block: 2 } as const;

/** How far its driver is, as bits. @see Virtual I/O Device (VIRTIO) 1.3, 2.1 (device status field) */
export const VIRTIO_STATUS = {
  ACKNOWLEDGE: 0x01,
  DRIVER: 0x02,
  DRIVER_OK: 0x04,
  FEATURES_OK: 0x08,
  NEEDS_RESET: 0x40,
  FAILED: 0x80,
} as const;

/** Features, each as a number with one bit. @see Virtual I/O Device (VIRTIO) 1.3, 5.1.3 and 6 (feature bits) */
export const VIRTIO_FEATURES = {
  NET_MTU: 1n << 3n,
  NET_MAC: 1n << 5n,
  NET_STATUS: 1n << 16n,
  NET_MQ: 1n << 22n,
  VERSION_1: 1n << 32n,
  ACCESS_PLATFORM: 1n << 33n,
} as const;

/** Byte offsets in the configuration of a network device; little-endian. @see Virtual I/O Device (VIRTIO) 1.3, 5.1.4 */
export const VIRTIO_NET_CONFIG = {
  mac: 0,
  /** 16 bits; bit 0: there is a link. */
  status: 6,
  linkUp: 1,
  /** 16 bits each. */
  maxVirtqueuePairs: 8,
  mtu: 10,
  sizeBytes: 12,
} as const;

/** Where the three parts of a queue are, in the address space that the device is bound to. */
export interface VqAddresses {
  /** What the driver gives. */
  readonly descriptor: number;
  /** How far the driver is. */
  readonly driver: number;
  /** What the device has done. */
  readonly device: number;
}

/** What does not change about a vDPA device. */
export interface VdpaInfo {
  /** One of {@link VIRTIO_ID}. */
  readonly deviceId: number;
  readonly vendorId: number;
  /** Queues. */
  readonly vqCount: number;
  /** Entries of a queue at most: a power of two. */
  readonly vqNumMax: number;
  /** What addresses of queues are multiples of. */
  readonly vqAlignBytes: number;
  readonly configBytes: number;
  /** What it can do: an or of {@link VIRTIO_FEATURES}. */
  readonly features: bigint;
}

/**
 * A virtio device whose queues hardware serves in the memory of one user, as its driver gives it to who brings the users: their numbers of
 * queues are in range by then, and there is one user at a time. The queues work while the status has DRIVER_OK.
 * @see Linux 7.2 include/linux/vdpa.h struct vdpa_config_ops
 */
export interface VdpaDevice {
  readonly info: VdpaInfo;

  /** The address space that its queues work in, by its PASID; undefined: none. While it is reset alone. @see Linux 7.2 `bind_mm` */
  bind(pasid: number | undefined): void;

  /** What the driver accepted. */
  driverFeatures(): bigint;
  /** @throws {Errno} EOPNOTSUPP without those that it needs; EINVAL for those that it has not @see Linux 7.2 `set_driver_features` */
  setDriverFeatures(features: bigint): void;

  status(): number;
  /**
   * Bits are added, never taken away. With DRIVER_OK the queues that are ready begin; when they cannot, the status has FAILED.
   * @see Linux 7.2 `set_status`
   */
  setStatus(status: number): MaybePromise<void>;
  /** All is as at the start, and the device is in nobody's memory. @see Linux 7.2 `reset` */
  reset(): MaybePromise<void>;
  /** The queues stop, and come back with what they have done; as they are, they stay until it is reset. @see Linux 7.2 `suspend` */
  suspend(): MaybePromise<void>;

  /** Copies the configuration from `offset` on. */
  getConfig(offset: number, buffer: Uint8Array): void;
  /** Grows when the configuration changes. @see Linux 7.2 `get_generation` */
  generation(): number;
  /** Who is told of that, in any context: it must not sleep or throw. */
  setConfigCallback(callback: (() => void) | undefined): void;

  /** @throws {Errno} EINVAL for addresses that are not aligned @see Linux 7.2 `set_vq_address` */
  setVqAddress(index: number, addresses: VqAddresses): void;
  /** @param entries a power of two, at most `vqNumMax` @see Linux 7.2 `set_vq_num` */
  setVqNum(index: number, entries: number): void;
  setVqReady(index: number, isReady: boolean): MaybePromise<void>;
  vqReady(index: number): boolean;
  /** Who is told that a queue has done something, in interrupt context. @see Linux 7.2 `set_vq_cb` */
  setVqCallback(index: number, callback: (() => void) | undefined): void;
  /** There is something in a queue. @see Linux 7.2 `kick_vq` */
  kickVq(index: number): void;
  /** The page by which a user says so himself. @see Linux 7.2 `get_vq_notification` */
  vqNotification(index: number): Window;
  /**
   * The interrupt that a queue alone has.
   * @throws {Errno} EINVAL when there is no such queue; EOPNOTSUPP when it has none of its own
   * @see Linux 7.2 `get_vq_irq`
   */
  vqIrq(index: number): number;
}
