import { Errno, describeError, joinErrors } from '../lib/errno.js';
import type { Flow } from '../lib/flow.js';
import { findFrame, isAsyncFunction } from '../lib/frame.js';
import { attachDriver } from './attach.js';
import type { Attribute } from './attribute.js';
import type { Bus } from './bus.js';
import type { DeviceCore } from './core.js';
import { Device } from './device.js';
import { type Driver, DriverRecord } from './driver.js';
import { checkName } from './registry.js';
import { parseSynthetic, sendObjectUevent } from './uevent.js';
import { unbindDevice } from './unbind.js';

const pathOf = (rec: DriverRecord): string => `/bus/${rec.bus.name}/drivers/${rec.driver.name}`;

/**
 * Puts a driver on a bus and offers it the devices there. It is registered even if every probe failed.
 * @throws {Errno} EINVAL on an unregistered bus; EBUSY when the name is taken; EEXIST when an attribute's name is
 * @see Linux 6.12 drivers/base/driver.c driver_register, drivers/base/bus.c bus_add_driver
 */
export function* registerDriver(core: DeviceCore, bus: Bus, driver: Driver): Flow<void> {
  if (bus.core !== core) {
    core.logFor('err', driver.name, `bus ${bus.name} is not registered`, 'bus_unregistered');
    throw new Errno('EINVAL', `${driver.name}: bus ${bus.name} is not registered`);
  }
  checkName(`driver of bus ${bus.name}`, driver.name);
  bus.ops.checkDriver?.(driver);
  if (bus.records.has(driver.name)) {
    core.logFor('err', driver.name, `a driver of this name is registered on bus ${bus.name}`, 'driver_exists');
    throw new Errno('EBUSY', `${driver.name}: a driver of this name is registered on bus ${bus.name}`);
  }
  if (
    bus.ops.wrapsDriver !== true &&
    ((bus.ops.probe !== undefined && driver.probe !== undefined) ||
      (bus.ops.remove !== undefined && driver.remove !== undefined) ||
      (bus.ops.shutdown !== undefined && driver.shutdown !== undefined))
  ) {
    core.logFor('warn', driver.name, `bus ${bus.name} has a probe or remove of its own, which wins`, 'bus_methods');
  }
  const rec = new DriverRecord(driver, bus, isAsyncFunction);
  bus.records.set(driver.name, rec);
  bus.driverList.push(rec.node);
  rec.listed = true;
  try {
    if (bus.autoprobe) yield* attachDriver(core, rec);
    if (!rec.listed) return;
    for (const attribute of driverAttributes(core, rec)) rec.attributes.add(attribute);
    addBusGroups(core, rec);
    rec.attributes.addGroups(driver.groups ?? []);
  } catch (error) {
    const errors: unknown[] = [error];
    yield* withdraw(core, rec, errors);
    throw joinErrors(errors, `unwinding the registration of ${driver.name}`);
  }
  sendObjectUevent(core, pathOf(rec), 'drivers', 'add');
  core.deferred.extend();
}

/** As in Linux, a bus's own attributes never stop a driver. */
function addBusGroups(core: DeviceCore, rec: DriverRecord): void {
  try {
    rec.attributes.addGroups(rec.bus.ops.drvGroups ?? []);
  } catch (error) {
    core.logFor('err', rec.driver.name, `attributes of bus ${rec.bus.name} not added: ${describeError(error)}`, 'groups');
  }
}

/**
 * Unbinds the devices of a driver, newest binding first, and takes it off its bus, waiting for probes of it that run.
 * @throws {Errno} EINVAL when it is not registered; EDEADLK from a callback of its own; after all is undone, what failed
 * @see Linux 6.12 drivers/base/driver.c driver_unregister, drivers/base/bus.c bus_remove_driver
 */
export function* unregisterDriver(core: DeviceCore, bus: Bus, driver: Driver): Flow<void> {
  const rec = bus.records.get(driver.name);
  if (rec === undefined || rec.driver !== driver || !rec.listed) {
    throw core.violate('driver-not-registered', undefined, `driver ${driver.name} is not registered on bus ${bus.name}`);
  }
  const inside = findFrame((f) => f.owner instanceof Device && f.owner.record === rec);
  if (inside !== undefined) {
    const name = (inside.owner as Device).name;
    throw new Errno('EDEADLK', `${driver.name}: unregister from its own ${inside.what} of ${name} would wait for itself`);
  }
  const errors: unknown[] = [];
  yield* withdraw(core, rec, errors);
  sendObjectUevent(core, pathOf(rec), 'drivers', 'remove');
  if (errors.length > 0) throw joinErrors(errors, `unregister of driver ${driver.name}`);
}

function* withdraw(core: DeviceCore, rec: DriverRecord, errors: unknown[]): Flow<void> {
  const { bus } = rec;
  const stores = rec.attributes.clear();
  rec.listed = false;
  bus.driverList.delete(rec.node);
  if (stores !== undefined) yield stores;
  // Scans that stand on this driver end first; its queued asynchronous probes run, and are undone below.
  while (rec.scanners > 0 || rec.jobs > 0) yield new Promise<void>((resolve) => rec.waiters.push(resolve));
  for (let dev = rec.devices.last; dev !== undefined; dev = rec.devices.last) {
    dev.get();
    yield* unbindDevice(core, dev, errors, rec.driver);
    dev.put();
  }
  bus.records.delete(rec.driver.name);
}

/** What a write to `bind`, `unbind` or `drivers_probe` names. */
export const nameOf = (text: string): string => (text.endsWith('\n') ? text.slice(0, -1) : text);

/** @see Linux 6.12 drivers/base/bus.c bind_store, unbind_store, uevent_store */
function driverAttributes(core: DeviceCore, rec: DriverRecord): Attribute<Driver>[] {
  const { bus, driver } = rec;
  const find = (text: string): Device => {
    const dev = bus.find(nameOf(text));
    if (dev === undefined) throw new Errno('ENODEV', `${nameOf(text)}: no such device on bus ${bus.name}`);
    return dev;
  };
  const all: Attribute<Driver>[] = [
    {
      name: 'uevent',
      store: (_driver, text) => {
        const { action, extra } = parseSynthetic(driver.name, text);
        sendObjectUevent(core, pathOf(rec), 'drivers', action, extra);
      },
    },
  ];
  if (driver.suppressBindAttrs === true) return all;
  all.push({ name: 'bind', store: (_driver, text) => core.bindMatching(find(text), driver) });
  all.push({
    name: 'unbind',
    store: (_driver, text) => {
      const dev = find(text);
      if (dev.driver !== driver) throw new Errno('ENODEV', `${dev.name}: is not bound to driver ${driver.name}`);
      return core.unbind(dev, driver);
    },
  });
  return all;
}
