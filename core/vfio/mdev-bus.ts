import { Bus, type Device, type DeviceCore } from '../device/index.js';
import { removeChild } from '../device/registration.js';
import { sendUevent } from '../device/uevent.js';
import { Errno, type Flow, type MaybePromise, chain, joinErrors, settle } from '../lib/index.js';
import { MdevDevice, type MdevOwner } from './mdev-device.js';
import type { MdevDriver } from './mdev-driver.js';
import { type MdevCreator, MdevParent, type MdevType, type MdevTypeSpec } from './mdev-parent.js';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** Characters of a UUID. */
const UUID_LENGTH = 36;

/**
 * The bus of mediated devices: a driver registers a device of its own as parent, and users create parts of that by UUID.
 *
 * One per system, named `mdev`. It never matches: what is created is bound to the driver of its parent.
 * @see Linux 7.2 drivers/vfio/mdev/mdev_core.c, mdev_driver.c
 */
export class MdevBus extends Bus<MdevDevice, MdevDriver> implements MdevOwner, MdevCreator {
  readonly #parents = new Map<Device, MdevParent>();
  readonly #core: DeviceCore;
  /** Until their last reference is given up. */
  readonly #all = new Map<string, MdevDevice>();
  /** Drivers that are on the bus for their parents' sake, and how many they have. */
  readonly #brought = new Map<MdevDriver, number>();

  /**
   * Registers bus `mdev`.
   * @param leave waits until a device has no user any more, before its driver's `remove`
   * @throws {Errno} EEXIST when the system has one
   */
  constructor(core: DeviceCore, leave: (dev: Device) => MaybePromise<void>) {
    super('mdev', {
      match: () => false,
      remove: (dev, driver, state) => chain(leave(dev), () => driver.remove?.(dev, state)),
      checkDriver: (driver) => {
        if (driver.deviceApi !== '' && (driver as Partial<MdevDriver>).deviceApi !== undefined) return;
        throw core.violate('mdev-driver-incomplete', undefined, `driver ${driver.name}: has no deviceApi`);
      },
      explain: (dev) => `created for ${dev.mdevParent.driver.name}`,
    });
    this.#core = core;
    core.registerBus(this);
  }

  /** In the order they were registered. */
  get parents(): MdevParent[] {
    return [...this.#parents.values()];
  }

  /**
   * Lets users create mediated devices of `dev`, until it is unbound: they are gone before its driver's `remove`. Managed: in the ledger
   * it is `mdev parent`.
   * @param driver of those devices; it is put on the bus when it is not there, until its last parent goes
   * @throws {Errno} EINVAL for a driver without `deviceApi` (rule `mdev-driver-incomplete`); EEXIST when `dev` is a parent; EBUSY when the
   *   bus has another driver of that name
   * @see Linux 7.2 drivers/vfio/mdev/mdev_core.c mdev_register_parent
   */
  registerParent(dev: Device, driver: MdevDriver, types: readonly MdevTypeSpec[]): MdevParent {
    const { devres } = dev;
    devres.faultPoint('mdev parent');
    if (this.#parents.has(dev)) throw new Errno('EEXIST', `${dev.name}: is a parent already`);
    const parent = new MdevParent(dev, driver, types);
    this.#bring(driver);
    try {
      dev.attributes.addGroups(parent.types.map((type) => ({ name: type.group, attributes: type.attributes(this) })));
    } catch (error) {
      void this.#dismiss(driver);
      throw error;
    }
    this.#parents.set(dev, parent);
    parent.entry = devres.enter('mdev parent', parent, (it) => this.#core.enter(this.#unregister(it)));
    dev.log('info', 'MDEV: Registered', 'mdev_registered');
    sendUevent(this.#core, dev, 'change', new Map([['MDEV_STATE', 'registered']]));
    return parent;
  }

  /** Puts a driver on the bus for one more parent. */
  #bring(driver: MdevDriver): void {
    const known = this.#brought.get(driver);
    if (known === undefined && this.findDriver(driver.name) === driver) return;
    if (known === undefined) void this.register(driver);
    this.#brought.set(driver, (known ?? 0) + 1);
  }

  #dismiss(driver: MdevDriver): MaybePromise<void> {
    const count = this.#brought.get(driver);
    if (count === undefined) return;
    if (count > 1) {
      this.#brought.set(driver, count - 1);
      return;
    }
    this.#brought.delete(driver);
    return this.unregister(driver);
  }

  /** @see Linux 7.2 drivers/vfio/mdev/mdev_core.c mdev_unregister_parent */
  *#unregister(parent: MdevParent): Flow<void> {
    parent.registered = false;
    const { dev } = parent;
    const errors: unknown[] = [];
    for (const child of parent.devices.reverse()) {
      child.active = false;
      yield* removeChild(this.#core, child, errors);
    }
    const groups = parent.types.map((type) => ({ name: type.group, attributes: type.attributes(this) }));
    const stores = dev.attributesIfAny?.removeGroups(groups);
    if (stores !== undefined) yield stores;
    this.#parents.delete(dev);
    yield* settle(this.#dismiss(parent.driver));
    dev.log('info', 'MDEV: Unregistering', 'mdev_unregistered');
    sendUevent(this.#core, dev, 'change', new Map([['MDEV_STATE', 'unregistered']]));
    if (errors.length > 0) throw joinErrors(errors, `unregistering ${dev.name} as a parent`);
  }

  /**
   * Creates a mediated device, as a write to the attribute `create` of its type does.
   * @param uuid 36 characters, and a newline if you like; the device's name is its lower case
   * @throws {Errno} in this order: EINVAL for what is no UUID; EEXIST when a device has it, on whatever parent; EUSERS when no more can be
   *   created; ENODEV when the parent is being unregistered; what the driver's `makerOf` or `probe` threw. Nothing is left then
   * @see Linux 7.2 drivers/vfio/mdev/mdev_sysfs.c create_store; mdev_core.c mdev_device_create
   */
  create(type: MdevType, uuid: string): MaybePromise<MdevDevice> {
    const { parent } = type;
    const { dev, driver } = parent;
    const isLong = uuid.length === UUID_LENGTH + 1 && uuid.endsWith('\n');
    if ((uuid.length !== UUID_LENGTH && !isLong) || !UUID.test(uuid.slice(0, UUID_LENGTH))) {
      throw new Errno('EINVAL', `${dev.name}: ${JSON.stringify(uuid)} is no UUID`);
    }
    const name = uuid.slice(0, UUID_LENGTH).toLowerCase();
    const other = this.#all.get(name);
    if (other !== undefined)
      throw new Errno('EEXIST', `${dev.name}: ${name} is a device of ${other.mdevParent.dev.name} already`);
    const isCounted = driver.getAvailable === undefined;
    if (isCounted && parent.available === 0) {
      const text = `${driver.maxInstances} of ${driver.maxInstances} mediated devices exist: remove one first`;
      throw new Errno('EUSERS', `${dev.name}: ${text}`);
    }
    if (!parent.registered || dev.dead) throw new Errno('ENODEV', `${dev.name}: is no parent any more`);
    const child = new MdevDevice(name, type, driver.makerOf?.(type) ?? dev, this);
    if (isCounted) parent.available--;
    this.#all.set(name, child);
    type.list.push(child.typeNode);
    return this.#core.enter(this.#add(child));
  }

  *#add(child: MdevDevice): Flow<MdevDevice> {
    const { mdevType: type, maker } = child;
    const { dev, driver } = type.parent;
    child.bus = this;
    yield* settle(this.#core.addChild(maker, child));
    try {
      yield* settle(this.#core.bind(child, driver));
      if (!child.registered || child.isLeaving) throw new Errno('ENODEV', `${child.name}: ${maker.name} is being unbound`);
      dev.attributes.add({ name: child.uuid, show: () => `${child.path}\n` }, `${type.group}/devices`);
    } catch (error) {
      const errors: unknown[] = [error];
      try {
        if (child.registered && !child.isLeaving) yield* settle(this.#core.remove(child));
      } catch (next) {
        errors.push(next);
      }
      throw joinErrors(errors, `removing ${child.name}`);
    }
    child.active = true;
    child.log('info', `MDEV: created of ${maker.name}, ${type.name}`, 'mdev_created');
    return child;
  }

  /**
   * Removes a mediated device, waiting for its users, as a write to its attribute `remove` does.
   * @throws {Errno} ENODEV when it is gone; EAGAIN while it is being created or removed; ENODEV while its parent is being unregistered, or
   *   what it is made of unbound
   * @see Linux 7.2 drivers/vfio/mdev/mdev_core.c mdev_device_remove
   */
  override remove(dev: MdevDevice): MaybePromise<void> {
    if (this.#all.get(dev.uuid) !== dev) throw new Errno('ENODEV', `${dev.name}: is no mediated device`);
    if (!dev.active) throw new Errno('EAGAIN', `${dev.name}: is being created or removed`);
    const { dev: parent, registered } = dev.mdevParent;
    if (!registered || dev.isLeaving) {
      const what = registered ? `${dev.maker.name} is being unbound` : `${parent.name} is being unregistered`;
      throw new Errno('ENODEV', `${dev.name}: ${what}, and takes it with it`);
    }
    dev.active = false;
    return this.#core.remove(dev);
  }

  /** The last reference to a device is given up. @internal */
  released(dev: MdevDevice): void {
    const { mdevType: type, uuid } = dev;
    const { parent } = type;
    type.list.delete(dev.typeNode);
    parent.dev.attributesIfAny?.remove(`${type.group}/devices/${uuid}`);
    this.#all.delete(uuid);
    if (parent.driver.getAvailable === undefined) parent.available++;
  }
}
