import {
  type EmulatedDevice,
  type EmulatedIrq,
  type EmulatedRegion,
  Errno,
  type MdevDevice,
  Mmio,
  VFIO_PCI_IRQ,
  VFIO_PCI_REGION,
  type VfioDevice,
} from '../../../core/index.js';
import { PORTAL_BYTES, PORTAL_LIMITED, STATES, SWERRORS } from '../../../hw/regs/dsa.js';
import type { LoggedEvent } from '../event-log.js';
import type { SwError } from '../sw-error.js';
import type { Wq } from '../wq.js';
import { QueueShare } from './queue-share.js';
import type { SharedQueue } from './shared-queue.js';
import { errorOf, eventOf } from './virtual-errors.js';
import { VIRTUAL_BAR_BYTES, VIRTUAL_CONFIG_BYTES, VIRTUAL_VECTORS, VirtualConfig } from './virtual-config.js';
import { VirtualPortal } from './virtual-portal.js';
import type { VirtualHost } from './virtual-profile.js';
import { VirtualRegisters } from './virtual-registers.js';
import { VirtualVector } from './virtual-vector.js';

const { BAR0, BAR2, CONFIG } = VFIO_PCI_REGION;
const { MSIX } = VFIO_PCI_IRQ;
/** What portals are read as. */
const ONES = 0xffff_ffff;

/**
 * A virtual accelerator with one queue, which is a real one or a share of it: what a user of a mediated device has.
 *
 * Configuration space and registers are emulated, and so is message 0. Work goes through a portal of the real queue, in the address space
 * of the user's container; message 1 is an interrupt of the real device, allocated when the user enables it, and freed when he does no
 * longer. While nobody has it open it has neither address space nor interrupts.
 */
export class VirtualDevice implements EmulatedDevice, VirtualHost {
  readonly regions: readonly EmulatedRegion[] = [
    { index: BAR0, sizeBytes: VIRTUAL_BAR_BYTES },
    { index: BAR2, sizeBytes: VIRTUAL_BAR_BYTES, mmap: true },
    { index: CONFIG, sizeBytes: VIRTUAL_CONFIG_BYTES },
  ];
  readonly irqs: readonly EmulatedIrq[] = [
    {
      index: MSIX,
      count: VIRTUAL_VECTORS,
      take: (k) => (k === 0 ? undefined : this.handle.take()),
      give: () => this.handle.give(),
    },
  ];
  readonly handle: VirtualVector;
  readonly #dev: MdevDevice;
  readonly #queue: SharedQueue;
  readonly #share: QueueShare;
  readonly #config = new VirtualConfig();
  readonly #regs: VirtualRegisters;
  /** Limited after unlimited; while it is open. */
  #portals: readonly VirtualPortal[] = [];
  #vfio: VfioDevice | undefined = undefined;

  constructor(dev: MdevDevice, queue: SharedQueue) {
    this.#dev = dev;
    this.#queue = queue;
    this.#share = new QueueShare(queue.wq);
    this.handle = new VirtualVector(dev, this.#share);
    this.#regs = new VirtualRegisters(this);
  }

  /** The real queue. */
  get wq(): Wq {
    return this.#share.wq;
  }

  /** The address space that its work is in; undefined while nobody has it open. */
  get pasid(): number | undefined {
    return this.#share.pasid;
  }

  /** Whether its user has enabled its queue; only then does a portal lead there. */
  get isQueueEnabled(): boolean {
    return this.#regs.isQueueEnabled && !this.#share.hasEnded;
  }

  /** What it was registered as. @internal */
  registered(vfio: VfioDevice): void {
    this.#vfio = vfio;
  }

  /** Its binding ends. Whoever has it open all the same, since he was not waited for any longer, reaches nothing with it. @internal */
  end(): void {
    this.#queue.closed(this);
    this.#share.end();
  }

  // For its user

  readRegion(region: number, offset: number, bytes: 1 | 2 | 4): number {
    if (region === CONFIG) return this.#config.read(offset, bytes);
    return region === BAR0 ? this.#regs.read(offset, bytes) : ONES >>> (32 - 8 * bytes);
  }

  writeRegion(region: number, offset: number, bytes: 1 | 2 | 4, value: number): void {
    if (region === CONFIG) this.#writeConfig(offset, bytes, value);
    else if (region === BAR0) this.#regs.write(offset, bytes, value);
    else this.#writePortal(offset, bytes, value);
  }

  /** @throws {Errno} EINVAL for more than one portal, and for the unlimited one of a shared queue */
  mmap(_region: number, offset: number, sizeBytes: number): Mmio {
    const portal = this.#portals[offset / PORTAL_BYTES];
    if (portal === undefined || sizeBytes !== PORTAL_BYTES || (offset < PORTAL_LIMITED && !this.#share.isDedicated)) {
      const what = `${this.#dev.name}: ${sizeBytes} bytes at ${offset} of region ${BAR2}`;
      throw new Errno('EINVAL', `${what}: a portal has ${PORTAL_BYTES}, that of a shared queue is at ${PORTAL_LIMITED}`);
    }
    return new Mmio(portal, `${this.#dev.name}: portal ${offset / PORTAL_BYTES}`);
  }

  open(): void {
    const pasid = this.#vfio!.pasid!;
    this.#share.use(pasid);
    this.#portals = [false, true].map((isLimited) => new VirtualPortal(this.#share, pasid, this, isLimited));
    this.#queue.opened(this);
    if (this.wq.idxd.state === 'halted') this.#regs.halt();
  }

  /** What it does ends before its interrupts go, and before its address space does. */
  async close(): Promise<void> {
    await this.#reset(() => this.#share.drain());
    this.#queue.closed(this);
    this.#portals = [];
    const { pasid, wq, hasEnded } = this.#share;
    // Somebody else may have the number next.
    if (pasid !== undefined && !hasEnded) wq.idxd.eventLog?.forget(wq.index, pasid);
    this.#share.use(undefined);
  }

  /** What it does is lost. */
  reset(): Promise<void> {
    return this.#reset(() => this.#share.abort());
  }

  #reset(end: () => Promise<number>): Promise<void> {
    this.#config.reset();
    return this.#regs.commands.exclusive(async () => {
      const wasEnabled = this.#regs.isQueueEnabled;
      this.#regs.isQueueEnabled = false;
      if (wasEnabled) {
        await end();
        await this.#share.disable();
      }
      this.#regs.reset();
      if (this.wq.idxd.state === 'halted') this.#regs.halt();
    });
  }

  // For the emulation

  get preset(): Uint32Array {
    return this.#queue.preset;
  }
  get isMaster(): boolean {
    return this.#config.isMaster;
  }
  get isMasked(): boolean {
    return this.#config.isMasked;
  }
  signal(): void {
    this.#vfio?.signal(MSIX, 0);
  }
  enableQueue(): Promise<number> {
    return this.#share.enable();
  }
  disableQueue(): Promise<number> {
    return this.#share.disable();
  }
  drainQueue(): Promise<number> {
    return this.#share.drain();
  }
  abortQueue(): Promise<number> {
    return this.#share.abort();
  }

  // From the real device

  /** An error that is of its own work, or of nobody's in particular. In interrupt context. */
  swError(error: SwError): void {
    if (error.wq !== undefined && error.wq !== this.wq.index) return;
    if (error.pasid !== 0 && error.pasid !== this.pasid) return;
    this.#regs.softwareError(errorOf(error));
  }

  /** Something that the real device has written to its log. It has none itself, so this is an error. In interrupt context. */
  event(event: LoggedEvent): void {
    if (event.wq === this.wq.index && event.pasid === this.pasid) this.#regs.softwareError(eventOf(event));
  }

  /** Handles are to be asked for anew. In interrupt context. */
  handlesRevoked(): void {
    this.handle.revoked();
    this.#regs.handlesRevoked();
  }

  /** In interrupt context. */
  halted(): void {
    this.#regs.halt();
  }

  #writeConfig(offset: number, bytes: number, value: number): void {
    const wasMaster = this.isMaster;
    const isReset = this.#config.write(offset, bytes, value);
    if (isReset) {
      void this.reset();
      return;
    }
    if (wasMaster && !this.isMaster && this.#regs.deviceState === STATES.enabled) {
      this.#regs.deviceError(SWERRORS.pciConfiguration);
    }
    this.#regs.sendPending();
  }

  /** In pieces, as far as whoever has it is stopped at each. */
  #writePortal(offset: number, bytes: number, value: number): void {
    const portal = this.#portals[Math.floor(offset / PORTAL_BYTES)];
    const at = offset % PORTAL_BYTES;
    if (bytes === 4) portal?.write32(at, value);
    else if (bytes === 2) portal?.write16(at, value);
    else portal?.write8(at, value);
  }
}
