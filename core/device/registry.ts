import { Errno } from '../lib/errno.js';
import type { Bus } from './bus.js';
import type { Class, ClassInterface } from './class.js';
import type { DeviceCore } from './core.js';
import { addBusAttributes } from './sysfs.js';

/** @throws {Errno} EINVAL for what cannot be one word of a path */
export function checkName(what: string, name: unknown): void {
  if (typeof name === 'string' && /^[^/\s]+$/.test(name)) return;
  const shown = typeof name === 'string' ? JSON.stringify(name.slice(0, 40)) : typeof name;
  throw new Errno('EINVAL', `${what}: its name is ${shown}: must be a word without slash`);
}

/** @see Linux 6.12 drivers/base/bus.c bus_register */
export function registerBus(core: DeviceCore, bus: Bus): void {
  checkName('bus', bus.name);
  if (core.buses.has(bus.name)) throw new Errno('EEXIST', `bus ${bus.name}: is registered already`);
  if (bus.core !== undefined) throw new Errno('EBUSY', `bus ${bus.name}: belongs to another system`);
  try {
    addBusAttributes(core, bus);
  } catch (error) {
    void bus.attributes.clear();
    throw error;
  }
  bus.core = core;
  core.buses.set(bus.name, bus);
}

/** @see Linux 6.12 drivers/base/bus.c bus_unregister; refuses where the kernel goes wrong */
export function unregisterBus(core: DeviceCore, bus: Bus): void {
  if (bus.core !== core) throw new Errno('EINVAL', `bus ${bus.name}: is not registered`);
  if (bus.deviceList.size > 0 || bus.driverList.size > 0) {
    const has = `${bus.deviceList.size} devices and ${bus.driverList.size} drivers`;
    throw new Errno('EBUSY', `bus ${bus.name}: has ${has}: remove them first`);
  }
  void bus.attributes.clear();
  bus.core = undefined;
  core.buses.delete(bus.name);
}

/** @see Linux 6.12 drivers/base/class.c class_register */
export function registerClass(core: DeviceCore, cls: Class): void {
  checkName('class', cls.name);
  if (core.classes.has(cls.name)) throw new Errno('EEXIST', `class ${cls.name}: is registered already`);
  if (cls.core !== undefined) throw new Errno('EBUSY', `class ${cls.name}: belongs to another system`);
  cls.core = core;
  core.classes.set(cls.name, cls);
}

/** @see Linux 6.12 drivers/base/class.c class_unregister */
export function unregisterClass(core: DeviceCore, cls: Class): void {
  if (cls.core !== core) throw new Errno('EINVAL', `class ${cls.name}: is not registered`);
  if (cls.devices.size > 0) throw new Errno('EBUSY', `class ${cls.name}: has ${cls.devices.size} devices: remove them first`);
  cls.core = undefined;
  core.classes.delete(cls.name);
}

/** @see Linux 6.12 drivers/base/class.c class_interface_register */
export function registerInterface(core: DeviceCore, cls: Class, face: ClassInterface): void {
  if (cls.core !== core) throw new Errno('EINVAL', `class ${cls.name}: is not registered`);
  cls.addInterface(core, face);
}
