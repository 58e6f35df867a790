import type { Device, DeviceCore } from '../device/index.js';
import type { Host } from '../hal/index.js';
import { Errno, bits, hex, isPowerOfTwo } from '../lib/index.js';
import { DmaBuffer, freeBuffer } from './dma-buffer.js';

/** What every device can address unless its driver says otherwise. @see Linux 6.12 drivers/pci/probe.c pci_setup_device */
const DEFAULT_MASK = 0xffff_ffff;
/** Masks below this reach less than the zone that is kept for such devices. @see Linux 6.12 kernel/dma/direct.c dma_direct_supported */
const SMALLEST_BITS = 24;
const LARGEST_BITS = 53;

/** Options of {@link Dma.alloc}. */
export interface DmaAllocOptions {
  /** Power of two; default 4096. */
  readonly alignBytes?: number;
}

/**
 * Memory for the devices of one system; the class is the name under which drivers inject it. Both sides see each other's writes at once, in the order they were made.
 *
 * What a device can address belongs to its binding, and is 32 bits when a driver is bound.
 * @see Linux 6.12 Documentation/core-api/dma-api.rst
 */
export class Dma {
  readonly #core: DeviceCore;
  readonly #host: Host;
  readonly #masks = new WeakMap<Device, number>();

  constructor(core: DeviceCore, host: Host) {
    this.#core = core;
    this.#host = host;
  }

  /** The highest address that the device can send, as a mask of ones. */
  mask(dev: Device): number {
    return this.#masks.get(dev) ?? DEFAULT_MASK;
  }

  /**
   * Says which addresses the device can send, until unbind.
   * @param maskOrBits a number of bits, 24 to 64, or the mask itself; what is above 2^53 counts as 2^53
   * @throws {Errno} EIO when no memory can be reached with it; EINVAL when it is no mask of ones
   * @see Linux 6.12 kernel/dma/mapping.c dma_set_mask_and_coherent
   */
  setMask(dev: Device, maskOrBits: number): void {
    const mask = toMask(dev, maskOrBits);
    dev.devres.acquire(
      `dma mask 0x${hex(mask)}`,
      () => {
        const before = this.#masks.get(dev);
        this.#masks.set(dev, mask);
        return before;
      },
      (before) => {
        if (before === undefined) this.#masks.delete(dev);
        else this.#masks.set(dev, before);
      },
    );
  }

  /**
   * Takes zeroed memory that is contiguous for the device. Managed: in the ledger it is `dma 4096 bytes`, and dead after unbind.
   * @param sizeBytes at least 1
   * @throws {Errno} EINVAL for a size or alignment that cannot be; ENOMEM when there is none within the device's mask
   * @see Linux 6.12 kernel/dma/mapping.c dmam_alloc_coherent
   */
  alloc(dev: Device, sizeBytes: number, options: DmaAllocOptions = {}): DmaBuffer {
    if (!(Number.isSafeInteger(sizeBytes) && sizeBytes > 0)) {
      throw new Errno('EINVAL', `${dev.name}: dma of ${sizeBytes} bytes: must be a positive integer`);
    }
    const { alignBytes } = options;
    if (alignBytes !== undefined && !isPowerOfTwo(alignBytes)) {
      throw new Errno('EINVAL', `${dev.name}: dma aligned to ${alignBytes} bytes: must be a power of two`);
    }
    const memory = this.#host.dma;
    const constraint = { mask: this.mask(dev), ...(alignBytes !== undefined && { alignBytes }) };
    return dev.devres.acquire(
      `dma ${sizeBytes} bytes`,
      () => {
        const address = memory.alloc(sizeBytes, constraint);
        return new DmaBuffer(memory, address, sizeBytes, dev, (what) => {
          this.#core.report('use-after-unbind', dev, `${what} used after unbind`);
        });
      },
      freeBuffer,
    );
  }
}

function toMask(dev: Device, maskOrBits: number): number {
  if (!(Number.isInteger(maskOrBits) && maskOrBits > 0)) {
    throw new Errno('EINVAL', `${dev.name}: dma mask ${maskOrBits}: must be a number of bits, or a mask of ones`);
  }
  // No mask that a device may have is as small as a number of bits.
  const width = maskOrBits <= 64 ? maskOrBits : Math.log2(maskOrBits + 1);
  const isMask = maskOrBits > Number.MAX_SAFE_INTEGER || Number.isInteger(width);
  if (!isMask) throw new Errno('EINVAL', `${dev.name}: dma mask 0x${hex(maskOrBits)}: is no mask of ones`);
  if (width < SMALLEST_BITS) {
    throw new Errno('EIO', `${dev.name}: dma mask of ${width} bits: no memory is within it, ${SMALLEST_BITS} bits are the least`);
  }
  return width >= LARGEST_BITS ? Number.MAX_SAFE_INTEGER : bits(width - 1, 0);
}
