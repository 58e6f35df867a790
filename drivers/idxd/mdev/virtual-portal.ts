import { UserPortal } from '../user-portal.js';
import type { QueueShare } from './queue-share.js';

/** Whether a portal leads anywhere now. */
export interface PortalGate {
  readonly isQueueEnabled: boolean;
}

/**
 * A portal of a virtual device: that of the real queue whose handles are of the message store, for its address space alone, and only while
 * the virtual queue is enabled. What is written before leaves nothing behind.
 */
export class VirtualPortal extends UserPortal {
  readonly #gate: PortalGate;

  /** @param isLimited whether `threshold` is the limit, in a shared queue */
  constructor({ wq }: QueueShare, pasid: number, gate: PortalGate, isLimited: boolean) {
    super(wq, pasid, true, isLimited);
    this.#gate = gate;
  }

  override movdir64b(offset: number, words: Uint32Array, at = 0): void {
    if (this.#gate.isQueueEnabled) super.movdir64b(offset, words, at);
  }
  override enqcmd(offset: number, words: Uint32Array, at = 0): boolean {
    return !this.#gate.isQueueEnabled || super.enqcmd(offset, words, at);
  }
  override write8(offset: number, value: number): void {
    if (this.#gate.isQueueEnabled) super.write8(offset, value);
  }
  override write16(offset: number, value: number): void {
    if (this.#gate.isQueueEnabled) super.write16(offset, value);
  }
  override write32(offset: number, value: number): void {
    if (this.#gate.isQueueEnabled) super.write32(offset, value);
  }
  override write64(offset: number, lo: number, hi: number): void {
    if (this.#gate.isQueueEnabled) super.write64(offset, lo, hi);
  }
}
