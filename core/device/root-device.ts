import type { AttributeGroup } from './attribute.js';
import type { Class } from './class.js';
import type { DeviceCore } from './core.js';
import { Device } from './device.js';
import { Errno } from '../lib/errno.js';

/**
 * Adds a device that is nothing but a parent: no bus, no driver. `core.remove` takes it away.
 * @throws {Errno} EEXIST when the name is taken
 * @see Linux 6.12 drivers/base/core.c __root_device_register
 */
export function rootDevice(core: DeviceCore, name: string): Device {
  return added(core, new Device({ name, release: () => {} }));
}

/** What the maker of a class device says of it. */
export interface ClassDeviceOptions {
  readonly name: string;
  /** Default: it hangs below `/devices/virtual/<class>`. */
  readonly parent?: Device;
  /** What its maker wants its users to know; `dev.platformData`. */
  readonly data?: unknown;
  readonly groups?: readonly AttributeGroup<Device>[];
}

/**
 * Adds a device of a class, without bus and driver. `core.remove` takes it away.
 *
 * A class that is not registered serves as well, but lists nothing and tells nobody.
 * @throws {Errno} ENODEV without a class; EEXIST when the name is taken
 * @see Linux 6.12 drivers/base/core.c device_create
 */
export function deviceCreate(core: DeviceCore, cls: Class | undefined, options: ClassDeviceOptions): Device {
  const { name, parent, data, groups } = options;
  if (cls === undefined) throw new Errno('ENODEV', `${name}: has no class`);
  const release = cls.options.devRelease ?? ((): void => {});
  return added(
    core,
    new Device({
      name,
      class: cls,
      platformData: data,
      release,
      ...(parent === undefined ? {} : { parent }),
      ...(groups === undefined ? {} : { groups }),
    }),
  );
}

/** Adds a device that nothing is waited for, since it has no bus. */
function added(core: DeviceCore, dev: Device): Device {
  try {
    void core.add(dev);
  } catch (error) {
    dev.put();
    throw error;
  }
  return dev;
}
