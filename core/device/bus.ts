import { Errno } from '../lib/errno.js';
import type { MaybePromise } from '../lib/flow.js';
import { List } from '../lib/list.js';
import { NameTable } from '../lib/name-table.js';
import { Signal } from '../lib/signal.js';
import { type AttributeGroup, AttributeSet } from './attribute.js';
import type { DeviceCore } from './core.js';
import type { Device } from './device.js';
import type { Driver, DriverRecord, PmOps } from './driver.js';

/** What a bus's listeners are told; in this order within one life. @see Linux 6.12 include/linux/device/bus.h enum bus_notifier_event */
export type BusEvent = 'ADD' | 'DEL' | 'REMOVED' | 'BIND' | 'BOUND' | 'UNBIND' | 'UNBOUND' | 'NOT_BOUND';

/** How a bus does what is its own; everything has a default. */
export interface BusOptions<D extends Device = Device, R extends Driver = Driver> {
  /** Devices without a parent hang below this one. */
  readonly rootDevice?: Device;
  /** Prefix of the names of unnamed devices, followed by their id. */
  readonly devName?: string;
  /**
   * Whether this driver is for this device: something falsy for no, else what probe gets as `id` (an id table entry, or true).
   * Throws `defer()` when that is not known yet; any other error ends the search. Must be pure. Absent: every driver matches.
   */
  readonly match?: (dev: D, driver: R) => unknown;
  /** What user space finds a driver by, `pci:v00001234...`: the variable MODALIAS of every event but unbind. Must be pure. */
  readonly modalias?: (dev: D) => string;
  /** Adds variables to an event; a throw drops the event. */
  readonly uevent?: (dev: D, env: Map<string, string>) => void;
  /** True: the methods of the bus call those of the driver; otherwise a driver that has the same method is warned about. */
  readonly wrapsDriver?: boolean;
  /** Instead of the driver's `probe`. */
  readonly probe?: (dev: D, driver: R, id: unknown) => MaybePromise<unknown>;
  /** Instead of the driver's `remove`. */
  readonly remove?: (dev: D, driver: R, state: unknown) => MaybePromise<void>;
  /** Instead of the driver's `shutdown`; called for unbound devices too. */
  readonly shutdown?: (dev: D) => MaybePromise<void>;
  readonly syncState?: (dev: D) => void;
  /** Before probe, and undone after remove or a failed probe. */
  readonly dmaConfigure?: (dev: D) => void;
  readonly dmaCleanup?: (dev: D) => void;
  readonly online?: (dev: D) => void;
  readonly offline?: (dev: D) => void;
  readonly pm?: PmOps<D>;
  readonly busGroups?: readonly AttributeGroup<Bus>[];
  readonly drvGroups?: readonly AttributeGroup<Driver>[];
  readonly devGroups?: readonly AttributeGroup<Device>[];
  /** Probe and remove also hold the parent's lock. */
  readonly needParentLock?: boolean;
  /** Devices have a `driver_override` attribute. */
  readonly driverOverride?: boolean;
  /** What a driver must have to be registered; throws to refuse. */
  readonly checkDriver?: (driver: R) => void;
  /** Why this driver does or does not match, in words, for `explain`. */
  readonly explain?: (dev: D, driver: R) => string;
}

/**
 * A bus: devices on one side, drivers on the other, and the rule that brings them together.
 *
 * It works between `core.registerBus` and `core.unregisterBus`. Its lists keep the order of registration.
 * @see Linux 6.12 drivers/base/bus.c, include/linux/device/bus.h
 */
export class Bus<D extends Device = Device, R extends Driver = Driver> {
  /** @internal */
  readonly ops: BusOptions;
  /** @internal */
  readonly deviceList = new List<Device>();
  /** @internal */
  readonly byName = new NameTable<Device>();
  /** @internal */
  readonly driverList = new List<DriverRecord>();
  /** @internal */
  readonly records = new Map<string, DriverRecord>();
  /** Told of every step of a device's life on this bus; listeners must not unbind or remove that device. */
  readonly notifier = new Signal<[BusEvent, Device]>();
  readonly attributes: AttributeSet<Bus>;
  /** Whether devices and drivers are brought together when they are added; see `drivers_autoprobe`. */
  autoprobe = true;
  /** @internal */
  core: DeviceCore | undefined = undefined;

  constructor(
    readonly name: string,
    options: BusOptions<D, R> = {},
  ) {
    this.ops = options as BusOptions;
    this.attributes = new AttributeSet<Bus>(this, `bus ${name}`);
  }

  /** Whether a core has it. */
  get registered(): boolean {
    return this.core !== undefined;
  }

  /** The devices, in the order they were added. */
  get devices(): D[] {
    return this.deviceList.toArray() as D[];
  }

  /** The drivers, in the order they were registered. */
  get drivers(): R[] {
    return this.driverList.toArray().map((r) => r.driver as R);
  }

  /** The device of this name. */
  find(name: string): D | undefined {
    return this.byName.get(name) as D | undefined;
  }

  /** The driver of this name. */
  findDriver(name: string): R | undefined {
    return this.records.get(name)?.driver as R | undefined;
  }

  /** Devices bound to a driver, in the order they were bound. */
  devicesOf(driver: R): D[] {
    const record = this.records.get(driver.name);
    return record?.driver === driver ? (record.devices.toArray() as D[]) : [];
  }

  /**
   * What sysfs shows of a driver: `bind`, `unbind`, `uevent`, those of its bus such as `new_id`, and its own.
   * @throws {Errno} ENODEV when it is not registered on this bus
   */
  attributesOf(driver: R): AttributeSet<Driver> {
    const record = this.records.get(driver.name);
    if (record?.driver !== driver) throw new Errno('ENODEV', `${driver.name}: driver is not registered on bus ${this.name}`);
    return record.attributes;
  }

  /**
   * Puts a device on this bus and probes it. What becomes of the probe does not change the result.
   * @throws {Errno} EEXIST when the name is taken; EINVAL when the device was added before or the bus is not registered
   */
  add(dev: D): MaybePromise<void> {
    const core = this.#core(dev.name);
    if (dev.bus !== undefined) this.#check(dev);
    else if (dev.phase === 'new') dev.bus = this as unknown as Bus;
    return core.add(dev);
  }

  /** Takes a device off this bus, unbinding it, and gives up its creator's reference. */
  remove(dev: D): MaybePromise<void> {
    this.#check(dev);
    return this.#core(dev.name).remove(dev);
  }

  /** Adds a driver and probes the devices it matches. @throws {Errno} EBUSY when its name is taken */
  register(driver: R): MaybePromise<void> {
    return this.#core(driver.name).registerDriver(this, driver);
  }

  /** Unbinds every device of a driver, newest binding first, and takes the driver off the bus. */
  unregister(driver: R): MaybePromise<void> {
    return this.#core(driver.name).unregisterDriver(this, driver);
  }

  #check(dev: Device): void {
    if ((dev.bus as unknown) === this) return;
    throw new Errno(
      'EINVAL',
      `${dev.name}: belongs to ${dev.bus === undefined ? 'no bus' : `bus ${dev.bus.name}`}, not ${this.name}`,
    );
  }

  #core(who: string): DeviceCore {
    if (this.core === undefined) throw new Errno('EINVAL', `${who}: bus ${this.name} is not registered`);
    return this.core;
  }
}
