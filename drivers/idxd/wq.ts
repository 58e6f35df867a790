import { DsaDevice } from './dsa-bus.js';
import type { Idxd } from './idxd.js';
import { wqGroups } from './wq-attributes.js';

/** Whom a queue is for. */
export type WqType = 'none' | 'kernel' | 'user' | 'mdev';
/** A dedicated queue has one client and counts its room; a shared one has many, and answers each descriptor. */
export type WqMode = 'dedicated' | 'shared';

/** @see Linux 6.12 drivers/dma/idxd/idxd.h WQ_DEFAULT_QUEUE_DEPTH, WQ_DEFAULT_MAX_XFER, WQ_DEFAULT_MAX_BATCH, IDXD_ENQCMDS_RETRIES */
export const DEFAULT_SIZE = 8;
const DEFAULT_TRANSFER_BYTES = 2 ** 21;
const DEFAULT_BATCH = 32;
const DEFAULT_RETRIES = 32;

/** What an enabled queue has for the work of the kernel; see `wq-enable.ts`. */
export interface WqPath {
  /** What descriptors name their interrupt by. */
  readonly handle: number;
}

/**
 * A work queue: its configuration, which attributes set and enabling writes to the device, and its state.
 * @see Linux 6.12 drivers/dma/idxd/idxd.h struct idxd_wq
 */
export class Wq extends DsaDevice {
  isEnabled = false;
  /** Users of the queue, now. */
  clients = 0;
  /** The group that it is in; undefined for none. */
  groupId: number | undefined = undefined;
  mode: WqMode = 'shared';
  /** Descriptors. */
  size = 0;
  /** Descriptors that the limited portal of a shared queue takes. */
  threshold = 0;
  /** 1 to 15; the device takes no 0. */
  priority = 0;
  /** Attribute `type`. */
  wqType: WqType = 'none';
  /** Attribute `name`. */
  wqName = '';
  /** The driver that may bind. */
  driverName = '';
  blockOnFault = false;
  atsDisable = false;
  prsDisable = false;
  /** Powers of two. */
  maxTransferBytes = 0;
  maxBatch = 0;
  /** Operations that it allows: bit n of the 256, operation n. */
  readonly opConfig: Uint32Array;
  /** How often a shared queue is asked again that has no room, 0 to 64. */
  enqcmdsRetries = DEFAULT_RETRIES;
  /** Whose memory a dedicated queue works on, and for a shared one that PASIDs count: 0 there. Undefined for none. */
  pasid: number | undefined = undefined;
  /** Of its character device, while it has one. */
  cdevMinor: number | undefined = undefined;
  /** The way of descriptors of the kernel, while it is enabled for that. */
  kernelPath: WqPath | undefined = undefined;

  constructor(
    idxd: Idxd,
    readonly index: number,
  ) {
    super(idxd, 'wq', `wq${idxd.id}.${index}`, idxd.conf, wqGroups(idxd));
    this.opConfig = idxd.caps.operations.slice();
    this.clear();
  }

  /** Whether its configuration is refused: it is enabled, or on its way there or back. */
  get isBusy(): boolean {
    return this.isEnabled || this.driver !== undefined;
  }

  /** Bytes from the start of BAR 0 to its configuration. */
  get configAt(): number {
    const { caps } = this.idxd;
    return caps.wqcfgAt + this.index * caps.wqWords * 4;
  }

  /**
   * Forgets the configuration when it was disabled; size, group and driver name stay.
   * @see Linux 6.12 drivers/dma/idxd/device.c idxd_wq_disable_cleanup
   */
  clear(): void {
    const { caps } = this.idxd;
    this.isEnabled = false;
    this.clients = 0;
    this.pasid = undefined;
    this.kernelPath = undefined;
    this.wqType = 'none';
    this.wqName = '';
    this.enqcmdsRetries = DEFAULT_RETRIES;
    if (!caps.isConfigurable) return;
    this.mode = 'shared';
    this.threshold = this.priority = 0;
    this.blockOnFault = this.atsDisable = this.prsDisable = false;
    this.maxTransferBytes = Math.min(DEFAULT_TRANSFER_BYTES, caps.maxTransferBytes);
    this.maxBatch = Math.min(DEFAULT_BATCH, caps.maxBatch);
    this.opConfig.set(caps.operations);
  }
}

/** Queues that one operand can name. */
const MASK_QUEUES = 16;

/** The operand of commands for several queues, with this one of them. */
export const wqOperand = ({ index }: Wq): number =>
  (1 << (index % MASK_QUEUES)) | (Math.floor(index / MASK_QUEUES) << MASK_QUEUES);
