import type { Device } from '../device/index.js';
import type { DevresEntry } from '../devres/index.js';
import type { IrqHandle, Irqs } from '../irq/index.js';
import { Errno } from '../lib/index.js';
import type { IrqBypass, IrqBypassProducer } from './bypass.js';
import type { EventFd } from './eventfd.js';
import type { VfioIrqSet } from './uapi.js';

/** Where the vectors of a device come from. */
export interface VectorBackend {
  /**
   * Makes vectors 0 to `count` - 1 of an index ready.
   * @returns how many could be had; when those are fewer than `count`, none is left ready
   */
  enable(index: number, count: number): number;
  /** The interrupt of a vector, made ready now if it was not; undefined when there is none behind it. */
  virq(index: number, vector: number): number | undefined;
  /** Gives up all vectors of an index. */
  disable(index: number): void;
  /** What the interrupt of a vector is called. */
  label(index: number, vector: number): string;
}

/** A vector that a user has. */
class VectorSlot {
  handle: IrqHandle | undefined = undefined;
  /** What is offered to a guest: in the ledger behind the request, so that a guest has it no longer when that is freed. */
  offer: DevresEntry | undefined = undefined;

  constructor(readonly eventfd: EventFd) {}
}

/**
 * The message interrupts of one device, as its user sets them: of one kind at a time, each a vector that signals an eventfd.
 * @see Linux 7.2 drivers/vfio/pci/vfio_pci_intrs.c
 */
export class VectorIrqs {
  readonly #dev: Device;
  readonly #irqs: Irqs;
  readonly #bypass: IrqBypass;
  readonly #backend: VectorBackend;
  readonly #slots = new Map<number, VectorSlot>();
  #active: number | undefined = undefined;

  constructor(dev: Device, irqs: Irqs, bypass: IrqBypass, backend: VectorBackend) {
    this.#dev = dev;
    this.#irqs = irqs;
    this.#bypass = bypass;
    this.#backend = backend;
  }

  /** The index whose vectors are enabled. */
  get active(): number | undefined {
    return this.#active;
  }

  /**
   * The action `trigger` of an index.
   * @param isBusy whether interrupts of another sort are enabled
   * @returns 0; or how many vectors could be had, when that is fewer than were asked for
   * @see Linux 7.2 drivers/vfio/pci/vfio_pci_intrs.c vfio_pci_set_msi_trigger
   */
  trigger(set: VfioIrqSet, isBusy = false): number {
    const { index, start, count, eventfds, bools } = set;
    const isActive = this.#active === index;
    if (isActive && count === 0 && eventfds === undefined && bools === undefined) {
      this.disable();
      return 0;
    }
    if (isBusy || (this.#active !== undefined && !isActive))
      throw this.#refuse(index, 'interrupts of another index are enabled: give those up first');
    if (eventfds !== undefined) return this.#setAll(index, start, count, eventfds);
    if (!isActive) throw this.#refuse(index, 'none is enabled that could be signalled');
    for (let n = 0; n < count; n++) if (bools === undefined || bools[n] === true) this.signal(index, start + n);
    return 0;
  }

  /** Signals the eventfd of a vector, if it has one. */
  signal(index: number, vector: number): void {
    if (this.#active === index) this.#slots.get(vector)?.eventfd.signal();
  }

  /** Gives all vectors up. @see Linux 7.2 drivers/vfio/pci/vfio_pci_intrs.c vfio_msi_disable */
  disable(): void {
    const index = this.#active;
    if (index === undefined) return;
    for (const vector of this.#slots.keys()) this.#clear(vector);
    this.#active = undefined;
    this.#backend.disable(index);
  }

  #setAll(index: number, start: number, count: number, eventfds: readonly (EventFd | undefined)[]): number {
    if (this.#active === index) {
      this.#setBlock(index, start, count, eventfds);
      return 0;
    }
    const had = this.#backend.enable(index, start + count);
    if (had < start + count) return had;
    this.#active = index;
    try {
      this.#setBlock(index, start, count, eventfds);
    } catch (error) {
      this.disable();
      throw error;
    }
    return 0;
  }

  /** Sets each in order; when one fails, it and those before it have none. @see Linux 7.2 vfio_pci_intrs.c vfio_msi_set_block */
  #setBlock(index: number, start: number, count: number, eventfds: readonly (EventFd | undefined)[]): void {
    let n = 0;
    try {
      for (; n < count; n++) this.#set(index, start + n, eventfds[n]);
    } catch (error) {
      for (let i = 0; i <= n; i++) this.#clear(start + i);
      throw error;
    }
  }

  /** @see Linux 7.2 drivers/vfio/pci/vfio_pci_intrs.c vfio_msi_set_vector_signal */
  #set(index: number, vector: number, eventfd: EventFd | undefined): void {
    this.#clear(vector);
    if (eventfd === undefined) return;
    const virq = this.#backend.virq(index, vector);
    eventfd.checkOpen(`${this.#dev.name}: vector ${vector}`);
    const slot = new VectorSlot(eventfd);
    if (virq !== undefined) {
      const name = this.#backend.label(index, vector);
      slot.handle = this.#irqs.request(this.#dev, virq, { hard: () => eventfd.signal(), name });
      slot.offer = this.#offer(eventfd, virq);
    }
    this.#slots.set(vector, slot);
  }

  /** Offers a vector to whoever has the eventfd; without him it works as well. */
  #offer(context: EventFd, irq: number): DevresEntry | undefined {
    const producer: IrqBypassProducer = { context, irq };
    try {
      this.#bypass.registerProducer(producer);
      return this.#dev.devres.enter('irq bypass', producer, this.#withdraw);
    } catch (error) {
      this.#dev.log(
        'info',
        `irq bypass producer (eventfd ${context.name}) registration fails: ${Errno.codeOf(error)}`,
        'bypass_failed',
      );
      return undefined;
    }
  }

  readonly #withdraw = (producer: IrqBypassProducer): void => this.#bypass.unregisterProducer(producer);

  #clear(vector: number): void {
    const slot = this.#slots.get(vector);
    if (slot === undefined) return;
    this.#slots.delete(vector);
    const { offer, handle } = slot;
    if (offer !== undefined) void offer.ledger?.releaseEntry(offer);
    if (handle?.held === true) handle[Symbol.dispose]();
  }

  #refuse(index: number, what: string): Errno {
    return new Errno('EINVAL', `${this.#dev.name}: interrupts of index ${index}: ${what}`);
  }
}
