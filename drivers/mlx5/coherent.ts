import type { Device, Dma, DmaBuffer } from '../../core/index.js';
import { Errno } from '../../core/index.js';

/**
 * Memory that the firmware has, or that commands need: it comes at any time, and must outlive what came before it. So it is no entry of
 * the ledger, which would take the last first; who has it frees it when the function is down.
 */
export function takeCoherent(dma: Dma, dev: Device, sizeBytes: number): DmaBuffer {
  const buffer = dma.calls.allocCoherent(dev, sizeBytes);
  if (buffer === undefined) throw new Errno('ENOMEM', `${dev.name}: no ${sizeBytes} bytes of memory for the firmware`);
  return buffer;
}

/** Gives back what {@link takeCoherent} gave. */
export function freeCoherent(dma: Dma, buffer: DmaBuffer): void {
  dma.calls.freeCoherent(buffer.dev, buffer.sizeBytes, buffer, buffer.address);
}
