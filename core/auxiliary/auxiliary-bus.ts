import { Bus, type Device, type DeviceCore } from '../device/index.js';
import { Errno } from '../lib/errno.js';
import { type MaybePromise, chain } from '../lib/flow.js';
import { AuxIds } from './aux-ids.js';
import type { AuxName } from './aux-name.js';
import { AuxiliaryDevice, type AuxiliaryOptions, nameOf } from './auxiliary-device.js';
import type { AuxiliaryDriver } from './auxiliary-driver.js';

/** What a driver is for, if this device is of it: equal up to the last dot, never a prefix. @see Linux auxiliary.c auxiliary_match_id */
function match(dev: AuxiliaryDevice, driver: AuxiliaryDriver): AuxName<unknown> | undefined {
  for (const id of driver.ids) if (id.key === dev.key) return id;
  return undefined;
}

/**
 * The bus of parts: a driver splits its device into auxiliary devices, and other drivers bind to those.
 *
 * One per system. What is added for a driver is a managed child: see the README of this room for its life.
 * @see Linux 6.12 drivers/base/auxiliary.c
 */
export class AuxiliaryBus extends Bus<AuxiliaryDevice, AuxiliaryDriver> {
  readonly #core: DeviceCore;
  readonly #ids = new AuxIds();

  /** Registers bus `auxiliary`. @throws {Errno} EEXIST when the system has one */
  constructor(core: DeviceCore) {
    super('auxiliary', {
      match,
      modalias: (dev) => `auxiliary:${dev.key}`,
      checkDriver: (driver) => {
        const lacks = missing(driver);
        if (lacks !== undefined)
          throw core.violate('auxiliary-driver-incomplete', undefined, `driver ${driver.name}: has no ${lacks}`);
      },
      explain: (dev, driver) => `${dev.key} is ${match(dev, driver) === undefined ? 'not ' : ''}in ${keys(driver)}`,
    });
    this.#core = core;
    core.registerBus(this);
  }

  /**
   * Adds a part of `dev` on behalf of its driver: it is unbound and gone before that driver's `remove`, or after its failed probe.
   *
   * What becomes of the probe of the part does not change the result. The device is given at once, or as a promise when a
   * driver makes its probe wait; an error of adding is thrown at once in either case, and nothing is left of the device then.
   * @throws {Errno} ENODEV unless `dev` is bound or being bound; EEXIST when another device of this name has this id
   */
  override add<T>(dev: Device, name: AuxName<T>, options: AuxiliaryOptions<T>): MaybePromise<AuxiliaryDevice<T>>;
  /** Adds a device made with `new`, which belongs to its maker. When this throws, only `put` is left to do. */
  override add(dev: AuxiliaryDevice): MaybePromise<void>;
  override add<T>(dev: Device, name?: AuxName<T>, options?: AuxiliaryOptions<T>): MaybePromise<AuxiliaryDevice<T> | void> {
    if (name === undefined || options === undefined) {
      if (!(dev instanceof AuxiliaryDevice)) {
        throw new Errno('EINVAL', `${dev.name}: a part of it without name or options: is the name undefined by an import cycle?`);
      }
      this.#identify(dev);
      return super.add(dev);
    }
    const child = new AuxiliaryDevice<T>(options, name, dev);
    this.#identify(child);
    child.bus = this;
    return chain(this.#core.addChild(dev, child), () => child);
  }

  /**
   * Makes and adds a device that no driver owns: it stays until `destroy`.
   * @throws {Errno} as `add`; nothing is left of the device then
   * @see Linux 7.2 drivers/base/auxiliary.c auxiliary_device_create
   */
  create<T>(parent: Device, name: AuxName<T>, options: AuxiliaryOptions<T>): MaybePromise<AuxiliaryDevice<T>> {
    const dev = new AuxiliaryDevice<T>(options, name, parent);
    try {
      return chain(this.add(dev), () => dev);
    } catch (error) {
      dev.put();
      throw error;
    }
  }

  /** Removes what `create` made; nothing happens for undefined. @see Linux 7.2 auxiliary_device_destroy */
  destroy(dev: AuxiliaryDevice | undefined): MaybePromise<void> {
    return dev === undefined ? undefined : this.remove(dev);
  }

  /** Gives a device its id and name, and sees to it that the id comes back. */
  #identify(dev: AuxiliaryDevice): void {
    if (dev.ids !== undefined) return;
    dev.ids = this.#ids;
    if (dev.id !== undefined) return;
    const { key } = dev;
    dev.id = this.#ids.alloc(key, (id) => this.byName.has(nameOf(key, id)));
    dev.hasFoundId = true;
    dev.rename(nameOf(key, dev.id));
  }
}

function missing(driver: AuxiliaryDriver): string | undefined {
  const { probe, ids } = driver as Partial<AuxiliaryDriver>;
  if (probe === undefined) return 'probe';
  return ids === undefined || ids.length === 0 ? 'ids' : undefined;
}

const keys = (driver: AuxiliaryDriver): string => driver.ids.map((id) => id.key).join(', ');
