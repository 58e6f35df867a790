import type { Device } from '../device/index.js';
import { Errno } from '../lib/index.js';

/**
 * Who writes a mapped buffer while it is mapped: the CPU had before (`to-device`), the device does (`from-device`), or both.
 * @see Linux 6.12 include/linux/dma-direction.h
 */
export type DmaDirection = 'bidirectional' | 'to-device' | 'from-device';

/** The address that the calls of {@link DmaCalls} give when they have failed: all ones. @see Linux 6.12 include/linux/dma-mapping.h */
export const DMA_MAPPING_ERROR: number = Number.MAX_SAFE_INTEGER;

/** How a mapping is made; joined by `|`. @see Linux 6.12 include/linux/dma-mapping.h DMA_ATTR_* */
export const DmaAttr = {
  WEAK_ORDERING: 1 << 1,
  WRITE_COMBINE: 1 << 2,
  NO_KERNEL_MAPPING: 1 << 4,
  /** Map and unmap copy nothing: the driver synchronises what it touches. */
  SKIP_CPU_SYNC: 1 << 5,
  FORCE_CONTIGUOUS: 1 << 6,
  ALLOC_SINGLE_PAGES: 1 << 7,
  /** A mapping that fails is not logged. */
  NO_WARN: 1 << 8,
  /** The device may reach it in privileged mode alone. */
  PRIVILEGED: 1 << 9,
} as const;

/** The call that made a mapping, by the name that reports give it. @internal */
export type DmaKind = 'single' | 'scatter-gather' | 'coherent';

const DIRECTION_NAMES = {
  bidirectional: 'DMA_BIDIRECTIONAL',
  'to-device': 'DMA_TO_DEVICE',
  'from-device': 'DMA_FROM_DEVICE',
} as const;

/** As reports spell it. @internal */
export const directionName = (direction: DmaDirection): string => DIRECTION_NAMES[direction];

/** @throws {Errno} EINVAL for what is no direction. @see Linux 6.12 include/linux/dma-direction.h valid_dma_direction @internal */
export function checkDirection(dev: Device, direction: DmaDirection): void {
  if (direction === 'to-device' || direction === 'from-device' || direction === 'bidirectional') return;
  throw new Errno('EINVAL', `${dev.name}: dma direction ${String(direction)}: must be to-device, from-device or bidirectional`);
}
