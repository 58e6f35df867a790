import { type AttributeGroup, Device } from '../device/index.js';
import { Errno } from '../lib/errno.js';
import { isThenable } from '../lib/flow.js';
import type { AuxIds } from './aux-ids.js';
import type { AuxName } from './aux-name.js';

/** What the maker of an auxiliary device says of it, besides its name and parent. */
export type AuxiliaryOptions<T> = {
  /** 0 to 2^32 - 1, unique for its name in the whole system; absent: the lowest free one. */
  readonly id?: number;
  /** Attributes of the device itself. */
  readonly groups?: readonly AttributeGroup<Device>[];
  /** Called once, when nobody holds the device any more. */
  readonly release?: (dev: AuxiliaryDevice<T>) => void;
} & (undefined extends T ? { readonly data?: T } : { readonly data: T });

/**
 * A part of a device, for a driver of its own: what it needs to know comes as `data`, typed by its name.
 *
 * Drivers make them with `AuxiliaryBus.add`. `new` is for devices that live outside a driver: it makes the object and
 * nothing else; then `bus.add` and `bus.remove`, or `put` when adding failed.
 * @see Linux 6.12 include/linux/auxiliary_bus.h struct auxiliary_device, drivers/base/auxiliary.c auxiliary_device_init
 */
export class AuxiliaryDevice<T = unknown> extends Device implements AsyncDisposable, Disposable {
  /** What drivers match. */
  readonly key: string;
  /** From who made the device, for its driver. */
  readonly data: T;
  /** Where its id goes back to, at the last `put`. @internal */
  ids: AuxIds | undefined = undefined;
  /** Whether its id was found for it. @internal */
  hasFoundId = false;
  /** Told at the last `put`. @internal */
  readonly released: Releasing<T>['release'] | undefined;

  /**
   * @param name default that of the options; @param parent likewise: for who hands on the options of somebody else
   * @throws {Errno} EINVAL without name or parent; ERANGE for an id that is no unsigned 32-bit integer
   */
  constructor(options: AuxiliaryOptions<T>, name: AuxName<T>, parent: Device);
  constructor(options: AuxiliaryOptions<T> & Placed<T>);
  constructor(options: AuxiliaryOptions<T> & Partial<Placed<T>>, name = options.name, parent = options.parent) {
    if (name === undefined) throw new Errno('EINVAL', 'auxiliary device: has no name');
    if (parent === undefined) throw new Errno('EINVAL', `auxiliary device ${name.key}: has no parent`);
    const { id } = options;
    if (id !== undefined && id !== id >>> 0) {
      throw new Errno('ERANGE', `auxiliary device ${name.key}: id ${id}: must be an integer from 0 to ${MAX_ID}`);
    }
    // One shape for all, and no spread: devices come and go by the thousand.
    super({ name: id === undefined ? undefined : nameOf(name.key, id), id, parent, groups: options.groups, release });
    this.key = name.key;
    this.data = options.data as T;
    this.released = options.release;
  }

  /**
   * Shows that this device uses an interrupt, as the file `irqs/<irq>`, until it is unbound or `removeIrq`.
   * @throws {Errno} ENODEV without a driver; EBUSY when it is shown already
   * @see Linux 6.12 drivers/base/auxiliary_sysfs.c auxiliary_device_sysfs_irq_add
   */
  addIrq(irq: number): void {
    if (this.driver === undefined) throw new Errno('ENODEV', `${this.name}: has no driver that could use irq ${irq}`);
    if (this.attributes.has(`irqs/${irq}`)) throw new Errno('EBUSY', `${this.name}: irq ${irq} is shown already`);
    this.devres.acquire(
      irqLabel(irq),
      () => this.attributes.add({ name: String(irq), mode: 0 }, 'irqs'),
      () => {
        this.attributesIfAny?.remove(`irqs/${irq}`);
      },
    );
  }

  /** Takes `irqs/<irq>` away; one that is not there is logged as an error. */
  removeIrq(irq: number): void {
    const entry = this.devres.entries().find((e) => e.label === irqLabel(irq));
    if (entry !== undefined) void this.devres.releaseEntry(entry);
    // While all of the ledger is released, it goes with the rest.
    else if (this.attributesIfAny?.has(`irqs/${irq}`) !== true) {
      this.log('err', `irq ${irq} is not shown: nothing to remove`, 'irq_unknown');
    }
  }

  /** Removes the device early, unbinding it. @throws {Errno} EBUSY when its driver makes that wait: use `await using` */
  [Symbol.dispose](): void {
    const done = this.#remove();
    if (!isThenable(done)) return;
    done.then(undefined, () => {});
    throw new Errno('EBUSY', `${this.name}: its removal waits for its driver: use await using`);
  }

  /** Removes the device early, unbinding it; harmless when it is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#remove();
  }

  #remove(): void | Promise<void> {
    return this.registered && !this.isLeaving ? this.core?.remove(this) : undefined;
  }
}

/** A method, so that devices of any data are devices. */
interface Releasing<T> {
  release(dev: AuxiliaryDevice<T>): void;
}

interface Placed<T> {
  readonly name: AuxName<T>;
  readonly parent: Device;
}

/** The release of every auxiliary device. */
function release(dev: Device): void {
  const own = dev as AuxiliaryDevice;
  if (own.ids !== undefined && own.id !== undefined) own.ids.free(own.key, own.id, own.hasFoundId);
  own.released?.(own);
}

/** The largest id: they are unsigned, of 32 bits. */
const MAX_ID = 0xffff_ffff;

const irqLabel = (irq: number): string => `irqs/${irq}`;

/** The id is unsigned, and printed signed. @see Linux 6.12 drivers/base/auxiliary.c __auxiliary_device_add @internal */
export const nameOf = (key: string, id: number): string => `${key}.${id | 0}`;
