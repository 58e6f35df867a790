import { Errno, describeError } from '../lib/errno.js';
import { type Flow, type MaybePromise, chain, isThenable } from '../lib/flow.js';
import { enterFrame, leaveFrame } from '../lib/frame.js';
import type { Attribute, AttributeSet } from './attribute.js';
import type { Bus } from './bus.js';
import type { DeviceCore } from './core.js';
import type { Device } from './device.js';
import { unlock, waitForLock } from './lock.js';
import { parseSynthetic, sendObjectUevent, sendUevent, ueventText } from './uevent.js';

/** The longest override that can be set. @see Linux 6.12 drivers/base/driver.c driver_set_override */
const OVERRIDE_CHARACTERS = 4095;

const UEVENT: Attribute<Device> = {
  name: 'uevent',
  show: ueventText,
  store: (dev, text) => {
    const { action, extra } = parseSynthetic(dev.name, text);
    if (dev.core !== undefined) sendUevent(dev.core, dev, action, extra);
  },
};

const DRIVER_OVERRIDE: Attribute<Device> = {
  name: 'driver_override',
  show: (dev) => `${dev.driverOverride ?? '(null)'}\n`,
  store: (dev, text) => {
    if (text.length >= OVERRIDE_CHARACTERS) {
      throw new Errno('EINVAL', `${dev.name}: override of ${text.length} characters, at most ${OVERRIDE_CHARACTERS - 1}`);
    }
    const [line = ''] = text.split('\n');
    dev.driverOverride = line === '' ? undefined : line;
  },
};

const ONLINE: Attribute<Device> = {
  name: 'online',
  show: (dev) => `${dev.offline ? 0 : 1}\n`,
  store: (dev, text) => {
    const wanted = text.trim();
    if (!/^[01yn]$/i.test(wanted)) throw new Errno('EINVAL', `${dev.name}: online is 0 or 1, not ${JSON.stringify(wanted)}`);
    return chain(/^[1y]$/i.test(wanted) ? online(dev) : offline(dev), () => {});
  },
};

const STATE_SYNCED: Attribute<Device> = {
  name: 'state_synced',
  show: (dev) => `${dev.stateSynced ? 1 : 0}\n`,
  store: (dev, text) => {
    if (text !== '1') throw new Errno('EINVAL', `${dev.name}: state_synced takes 1 alone`);
    if (dev.stateSynced) throw new Errno('EINVAL', `${dev.name}: its state is synced already`);
    dev.stateSynced = true;
    dev.core?.syncState.flush([dev]);
  },
};

/** Fills in what sysfs shows of a device. @see Linux 6.12 drivers/base/core.c device_add_attrs @internal */
export function populateDevice(dev: Device, set: AttributeSet<Device>): void {
  set.add(UEVENT);
  set.addGroups(dev.class?.options.devGroups ?? []);
  set.addGroups(dev.type?.groups ?? []);
  set.addGroups(dev.ownGroups ?? []);
  const ops = dev.bus?.ops;
  if (canGoOffline(dev)) set.add(ONLINE);
  set.addGroups(ops?.devGroups ?? []);
  if (ops?.driverOverride === true) set.add(DRIVER_OVERRIDE);
  if (!dev.isBound) return;
  set.addGroups(dev.driver?.devGroups ?? []);
  addStateSynced(dev, set);
}

/** @internal */
export function addStateSynced(dev: Device, set: AttributeSet<Device>): void {
  if (dev.driver?.syncState !== undefined || dev.bus?.ops.syncState !== undefined) set.add(STATE_SYNCED);
}

/** @see Linux 6.12 drivers/base/bus.c bus_register @internal */
export function addBusAttributes(core: DeviceCore, bus: Bus): void {
  const set = bus.attributes;
  set.add({
    name: 'drivers_probe',
    store: (_bus, text) => probeByName(core, bus, text),
  });
  set.add({
    name: 'drivers_autoprobe',
    show: () => `${bus.autoprobe ? 1 : 0}\n`,
    store: (_bus, text) => {
      bus.autoprobe = !text.startsWith('0');
    },
  });
  set.add({
    name: 'uevent',
    store: (_bus, text) => {
      const { action, extra } = parseSynthetic(`bus ${bus.name}`, text);
      sendObjectUevent(core, `/bus/${bus.name}`, 'bus', action, extra);
    },
  });
  set.addGroups(bus.ops.busGroups ?? []);
}

/** @see Linux 6.12 drivers/base/bus.c drivers_probe_store */
function probeByName(core: DeviceCore, bus: Bus, text: string): MaybePromise<void> {
  const name = text.endsWith('\n') ? text.slice(0, -1) : text;
  const dev = bus.find(name);
  if (dev === undefined) throw new Errno('ENODEV', `${name}: no such device on bus ${bus.name}`);
  if (dev.driver !== undefined) return;
  const refused = (error: unknown): never => {
    throw new Errno('EINVAL', `${dev.name}: not probed: ${describeError(error)}`, { cause: error });
  };
  try {
    const done = core.attach(dev);
    return isThenable(done) ? done.then(() => undefined, refused) : undefined;
  } catch (error) {
    return refused(error);
  }
}

const canGoOffline = ({ bus }: Device): boolean => bus?.ops.online !== undefined && bus.ops.offline !== undefined;

/**
 * Takes a device out of service, when nobody else is busy with it.
 * @returns false when it is offline already, or its bus knows no such thing
 * @throws {Errno} EPERM when that is not allowed; EBUSY while a child is online; EDEADLK from inside a callback of its own; or
 *   what the bus throws
 * @see Linux 6.12 drivers/base/core.c device_offline
 */
export function offline(dev: Device): boolean | Promise<boolean> {
  if (dev.offlineDisabled) throw new Errno('EPERM', `${dev.name}: may not go offline`);
  const online = dev.children.find((c) => !c.offline && canGoOffline(c));
  if (online !== undefined) throw new Errno('EBUSY', `${dev.name}: its child ${online.name} is online: take it offline first`);
  return turn(dev, 'offline');
}

/** Puts a device back into service; false when it is online already. @see Linux 6.12 drivers/base/core.c device_online */
export function online(dev: Device): boolean | Promise<boolean> {
  return turn(dev, 'online');
}

/** Both ways are the same but for the name, and hold the lock of the device. */
function turn(dev: Device, way: 'online' | 'offline'): boolean | Promise<boolean> {
  const { core } = dev;
  return core === undefined || !canGoOffline(dev) ? false : core.enter(lockAndTurn(core, dev, way));
}

function* lockAndTurn(core: DeviceCore, dev: Device, way: 'online' | 'offline'): Flow<boolean> {
  yield* waitForLock(dev, way);
  const saved = enterFrame(dev, way);
  try {
    if (dev.offline === (way === 'offline')) return false;
    dev.bus?.ops[way]?.(dev);
    dev.offline = way === 'offline';
    sendUevent(core, dev, way);
    return true;
  } finally {
    leaveFrame(saved);
    unlock(dev);
  }
}
