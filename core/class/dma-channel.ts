import type { Device } from '../device/index.js';
import type { Errno } from '../lib/errno.js';
import type { MaybePromise } from '../lib/flow.js';
import { DeviceClass } from './device-class.js';

/** What a channel may do with memory; each has a `prepare` method of {@link DmaChannel}. */
export type DmaOperation =
  | 'memcpy'
  | 'fill'
  | 'compare'
  | 'compare-pattern'
  | 'dualcast'
  | 'crc'
  | 'copy-crc'
  | 'create-delta'
  | 'apply-delta'
  | 'interrupt';

/** What a channel can do. @see Linux 6.12 include/linux/dmaengine.h struct dma_slave_caps, dma_has_cap */
export interface DmaCapabilities {
  readonly operations: ReadonlySet<DmaOperation>;
  /** Bytes of one transfer at most. */
  readonly maxTransferBytes: number;
  /** Transfers that may be prepared or under way at a time. */
  readonly depth: number;
}

/** How a transfer stands. @see Linux 6.12 include/linux/dmaengine.h enum dma_status, enum dmaengine_tx_result */
export type DmaStatus = 'in-progress' | 'complete' | 'error' | 'aborted';

/** What came of a transfer. */
export interface DmaResult {
  readonly cookie: number;
  readonly status: DmaStatus;
  /** Bytes that were done: of a comparison, those that are equal; of a page fault, those before it. */
  readonly bytes: number;
  /** Of a comparison 0 for equal, 1 for different; of a new delta record 0 for equal, 1 for one that fits, 2 for one that does not. */
  readonly result: number;
  /** The checksum of `crc` and `copy-crc`; the bytes of a new delta record. */
  readonly value: number;
  /** What went wrong, by the name that the device has for it: EFAULT for a page fault. Of `error` and `aborted` alone. */
  readonly error: Errno | undefined;
}

/** Who is told when transfers end; one object serves any number of them. */
export interface DmaClient {
  /**
   * A transfer has ended. Called in task context; it may submit others. What it throws is reported, and reaches nobody.
   * @param result lives until this returns: copy what is to be kept
   */
  transferred(result: DmaResult): void;
}

/** Flags of the `prepare` methods. @see Linux 6.12 include/linux/dmaengine.h enum dma_ctrl_flags */
export const DMA_PREP = {
  /** The end of the transfer interrupts, and its client is told then. Without it somebody has to look: see {@link DmaChannel.status}. */
  INTERRUPT: 1,
} as const;

/** How long {@link DmaChannel.wait} and {@link DmaChannel.ready} wait, in microseconds. @see Linux 6.12 drivers/dma/dmaengine.c dma_sync_wait */
export const DMA_WAIT_US = 5_000_000;

/**
 * A channel of a device that moves, fills, compares or checks memory on its own.
 *
 * A transfer is prepared, which takes a descriptor; it is submitted, which gives a cookie, a number by which it is known from then on;
 * it ends, and its client is told. Transfers end in any order. Addresses are those that `Dma.map` and `Dma.alloc` give for
 * {@link device}; patterns are of 8 bytes, as two words. Nothing is allocated for a transfer but what `wait` needs.
 *
 * The `prepare` methods throw {@link Errno} EOPNOTSUPP for an operation that `capabilities` does not name; ERANGE for a length of 0 or
 * above `maxTransferBytes`, and for what is no address; EAGAIN while no descriptor is free: await {@link ready}; EIO when the device
 * has halted.
 * @example
 * ```ts
 * const [[, channel]] = DmaChannels.list(core);
 * const cookie = channel.submit(channel.prepareMemcpy(to.address, from.address, 4096));
 * await channel.wait(cookie);
 * ```
 * @see Linux 6.12 include/linux/dmaengine.h struct dma_chan, Documentation/driver-api/dmaengine/client.rst
 */
export interface DmaChannel {
  capabilities(): DmaCapabilities;
  /** The device that memory is mapped for. */
  device(): Device;

  /** @param flags of {@link DMA_PREP}; default INTERRUPT. @returns the transfer, to be submitted or discarded once */
  prepareMemcpy(destination: number, source: number, sizeBytes: number, flags?: number): number;
  prepareFill(destination: number, patternLo: number, patternHi: number, sizeBytes: number, flags?: number): number;
  prepareCompare(source: number, other: number, sizeBytes: number, flags?: number): number;
  prepareComparePattern(source: number, patternLo: number, patternHi: number, sizeBytes: number, flags?: number): number;
  /** Copies to two places, whose addresses are equal in bits 11:0. */
  prepareDualcast(destination: number, other: number, source: number, sizeBytes: number, flags?: number): number;
  /** CRC-32C. @param seed the checksum of what comes before; 0 for none */
  prepareCrc(source: number, sizeBytes: number, seed: number, flags?: number): number;
  prepareCopyCrc(destination: number, source: number, sizeBytes: number, seed: number, flags?: number): number;
  /**
   * Writes down how `other` differs from `source`.
   * @param sizeBytes of each: a multiple of 8, as are the addresses
   * @param record where to, `recordBytes` of it at most: a multiple of 10, at least 80
   */
  prepareCreateDelta(
    source: number,
    other: number,
    sizeBytes: number,
    record: number,
    recordBytes: number,
    flags?: number,
  ): number;
  /** Brings `destination` up to date with a record of `recordBytes`. */
  prepareApplyDelta(destination: number, sizeBytes: number, record: number, recordBytes: number, flags?: number): number;
  /** Does nothing, and says so. */
  prepareInterrupt(flags?: number): number;

  /**
   * Hands a transfer to the device, or to `issuePending`.
   * @param client told of its end
   * @returns its cookie, 1 to 2^31 - 1
   * @throws {Errno} EINVAL for what is not prepared; EAGAIN when the device has no room for it, and EIO when it has halted: it is
   *   discarded then
   */
  submit(transfer: number, client?: DmaClient): number;
  /** Gives up a transfer that is prepared. @throws {Errno} EINVAL for another */
  discard(transfer: number): void;
  /** Starts what was submitted, where that has not started it. */
  issuePending(): void;
  /**
   * Waits until a descriptor is free; somebody else may be quicker to take it.
   * @param timeoutUs default {@link DMA_WAIT_US}
   * @throws {Errno} ETIMEDOUT while all are in use; EIO when the device halts meanwhile
   */
  ready(timeoutUs?: number): MaybePromise<void>;

  /**
   * Looks what has ended, and how a transfer stands: clients of what has ended are told, also of what does not interrupt.
   * @throws {Errno} ENOENT for a transfer that was never submitted, or so long ago that it is forgotten: as many others as `depth`, at least,
   *   must have been submitted since it ended
   */
  status(cookie: number): DmaStatus;
  /** What is known of a transfer, without looking. @throws {Errno} as {@link status} */
  result(cookie: number): DmaResult;
  /**
   * Waits for the end of a transfer, by interrupt, and looks once more before it gives up.
   * @param timeoutUs default {@link DMA_WAIT_US}
   * @throws {Errno} the error of a transfer that failed; ETIMEDOUT while it goes on; ENOENT as {@link status}
   */
  wait(cookie: number, timeoutUs?: number): Promise<DmaResult>;

  /** Aborts all that was submitted; when it is over, the device touches no memory for it, and clients were told. What has ended has. */
  terminate(): MaybePromise<void>;
  /** Waits until a `terminate` that has begun is over. */
  synchronize(): MaybePromise<void>;
}

/** The channels of a system: `dma0chan0`, ... @see Linux 6.12 drivers/dma/dmaengine.c dma_async_device_register */
export const DmaChannels = new DeviceClass<DmaChannel>('dma', {
  methods: [
    'capabilities',
    'device',
    'prepareMemcpy',
    'prepareFill',
    'prepareCompare',
    'prepareComparePattern',
    'prepareDualcast',
    'prepareCrc',
    'prepareCopyCrc',
    'prepareCreateDelta',
    'prepareApplyDelta',
    'prepareInterrupt',
    'submit',
    'discard',
    'issuePending',
    'ready',
    'status',
    'result',
    'wait',
    'terminate',
    'synchronize',
  ],
});
