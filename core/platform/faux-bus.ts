import { type AttributeGroup, Bus, Device, type DeviceCore, type Driver, rootDevice } from '../device/index.js';
import { Errno } from '../lib/errno.js';
import { type MaybePromise, chain } from '../lib/flow.js';

/** What a faux device does when it comes and goes; both may be absent. */
export interface FauxOps<S = unknown> {
  /** @returns the state that `remove` gets back */
  probe?(dev: FauxDevice): MaybePromise<S>;
  remove?(dev: FauxDevice, state: S): MaybePromise<void>;
}

/** Where a faux device hangs, and what it shows. */
export interface FauxOptions {
  /** Default: the root device `faux`. */
  readonly parent?: Device;
  /** Attributes that the device has while it is bound. */
  readonly groups?: readonly AttributeGroup<Device>[];
}

/** A device that stands for no hardware, made where an object of the tree is all that is wanted. */
export class FauxDevice extends Device {
  constructor(
    name: string,
    parent: Device,
    /** @internal */
    readonly ops: FauxOps,
    /** @internal */
    readonly groups: readonly AttributeGroup<Device>[],
  ) {
    super({ name, parent, pm: false, release: () => {} });
  }
}

const FAUX_DRIVER: Driver<FauxDevice> = { name: 'faux_driver', probeType: 'force-synchronous', suppressBindAttrs: true };

/**
 * The bus of devices that are not there: one driver for all, which calls what the device's maker said.
 *
 * A faux device sleeps through suspend and resume, so that it can be no supplier of a device link.
 * @see Linux 7.2 drivers/base/faux.c
 */
export class FauxBus extends Bus<FauxDevice> {
  /** Parent of the devices that name none. */
  readonly root: Device;
  readonly #core: DeviceCore;

  /** Registers bus `faux`, its root device and its driver. @throws {Errno} EEXIST when the system has one */
  constructor(core: DeviceCore) {
    super('faux', {
      probe: (dev) =>
        chain(dev.ops.probe?.(dev), (state) => {
          try {
            dev.attributes.addGroups(dev.groups);
          } catch (error) {
            return chain(dev.ops.remove?.(dev, state), () => {
              throw error;
            });
          }
          return state;
        }),
      remove: (dev, _driver, state) => chain(dev.attributesIfAny?.removeGroups(dev.groups), () => dev.ops.remove?.(dev, state)),
    });
    this.#core = core;
    core.registerBus(this);
    this.root = rootDevice(core, 'faux');
    void this.register(FAUX_DRIVER);
  }

  /**
   * Makes a device that is bound, or none at all.
   * @param name unique among faux devices
   * @throws {Errno} EEXIST when the name is taken; what its probe threw (EAGAIN for a deferral, which nobody would retry)
   * @see Linux 7.2 drivers/base/faux.c faux_device_create_with_groups
   */
  create(name: string, ops: FauxOps = {}, options: FauxOptions = {}): MaybePromise<FauxDevice> {
    const dev = new FauxDevice(name, options.parent ?? this.root, ops, options.groups ?? []);
    try {
      return chain(this.add(dev), () => {
        if (dev.bound) return dev;
        const { probeError } = dev;
        return chain(this.remove(dev), () => {
          throw Errno.is(probeError, 'EPROBE_DEFER')
            ? new Errno('EAGAIN', `${name}: its probe cannot be deferred: ${probeError.text}`, { cause: probeError })
            : probeError;
        });
      });
    } catch (error) {
      if (dev.phase === 'failed') dev.put();
      throw error;
    }
  }

  /** Unbinds and removes a device; nothing happens for undefined. */
  destroy(dev: FauxDevice | undefined): MaybePromise<void> {
    return dev === undefined ? undefined : this.remove(dev);
  }

  /** Takes the bus, its driver and its root device out of the system. @throws {Errno} EBUSY while it has devices */
  close(): void {
    if (this.deviceList.size > 0) throw new Errno('EBUSY', `bus faux: has ${this.deviceList.size} devices: remove them first`);
    for (const driver of this.drivers) void this.unregister(driver);
    this.#core.unregisterBus(this);
    void this.#core.remove(this.root);
  }
}
