import { Errno, joinErrors } from '../lib/errno.js';
import { type Flow, isThenable } from '../lib/flow.js';
import { enterFrame, leaveFrame } from '../lib/frame.js';
import { BOUND, STOP, forceBind, probeDevice } from './bind.js';
import type { Bus } from './bus.js';
import type { DeviceCore } from './core.js';
import type { Device } from './device.js';
import type { Driver, DriverRecord } from './driver.js';
import { parentLocked, unlock, waitForLock } from './lock.js';
import { unbindDevice } from './unbind.js';

/** What a search for a driver came to; the error of `STOPPED` is in `dev.probeError`. */
export const ATTACHED = 1;
export const UNMATCHED = 0;
export const STOPPED = -1;

/** No driver matched. */
const NO_MATCH = Symbol('no match');
/** The match threw; the error is in `dev.probeError`. */
const MATCH_FAILED = Symbol('match failed');

/**
 * Asks a bus whether a driver is for a device. An override decides before the bus does.
 * @returns what probe gets as id, or one of the two symbols
 * @see Linux 7.2 drivers/base/base.h driver_match_device, include/linux/device.h device_match_driver_override
 */
function match(core: DeviceCore, dev: Device, rec: DriverRecord): unknown {
  const { driver, bus } = rec;
  let id: unknown = true;
  const wanted = bus.ops.driverOverride === true ? dev.driverOverride : undefined;
  if (wanted !== undefined && wanted !== driver.name) id = NO_MATCH;
  else if (bus.ops.match !== undefined) {
    try {
      id = bus.ops.match(dev, driver) || (wanted === undefined ? NO_MATCH : true);
      if (isThenable(id)) throw refusePromise(core, dev, bus, id);
    } catch (error) {
      dev.probeError = error;
      id = MATCH_FAILED;
      if (Errno.is(error, 'EPROBE_DEFER')) dev.canMatch = true;
      else core.checkErrno(dev, `match of bus ${bus.name}`, error);
    }
  }
  if (id !== NO_MATCH && id !== MATCH_FAILED) dev.canMatch = true;
  if (core.tracer !== undefined) {
    const result = id === MATCH_FAILED ? Errno.codeOf(dev.probeError) : id === NO_MATCH ? 0 : 1;
    core.tracer({ kind: 'match', who: dev.name, driver: driver.name, result });
  }
  return id;
}

/** A promise is not falsy: without this, an asynchronous match would match everything. */
function refusePromise(core: DeviceCore, dev: Device, { name }: Bus, promise: PromiseLike<unknown>): Errno {
  promise.then(undefined, () => {});
  return core.violate('match-waits', dev, `match of bus ${name} gave a promise: it must tell at once, or throw defer()`);
}

/** A match that could not tell yet: the device is asked for again, unless it was bound by hand. */
function queueUndecided(core: DeviceCore, dev: Device): void {
  if (Errno.is(dev.probeError, 'EPROBE_DEFER')) core.deferred.add(dev);
}

/**
 * Looks for a driver for a device: the drivers of its bus in order, until one binds or the core refuses.
 *
 * With `initial`, drivers that probe asynchronously are left to a job of their own, and the parent is not locked: who adds a
 * device is often the probe of its parent.
 * @returns ATTACHED, UNMATCHED or STOPPED
 * @see Linux 6.12 drivers/base/dd.c __device_attach
 */
export function attachDevice(core: DeviceCore, dev: Device, initial: boolean): Flow<number> {
  const flow = lockAndSearch(core, dev, initial ? 'sync' : 'all');
  return initial ? flow : parentLocked(dev, 'probe', flow);
}

/** @param which drivers are probed with: all, or those that must, or may, be synchronous */
function* lockAndSearch(core: DeviceCore, dev: Device, which: 'all' | 'sync' | 'async'): Flow<number> {
  if (dev.bus === undefined) return UNMATCHED;
  if (dev.busy) yield* waitForLock(dev, 'attach');
  else dev.busy = true;
  const saved = enterFrame(dev, 'probe');
  const cursor = dev.bus.driverList.cursor();
  try {
    if (dev.isDead) return UNMATCHED;
    if (dev.driver !== undefined) return dev.isBound || forceBind(core, dev) ? ATTACHED : STOPPED;
    let later = false;
    for (let rec = cursor.next(); rec !== undefined; rec = cursor.next()) {
      const id = match(core, dev, rec);
      if (id === NO_MATCH) continue;
      if (id === MATCH_FAILED) {
        queueUndecided(core, dev);
        return STOPPED;
      }
      if (which !== 'all') {
        const isAsync = core.allowsAsync(rec.driver);
        if (isAsync) later = true;
        if (isAsync !== (which === 'async')) continue;
      }
      rec.scanners++;
      try {
        const result = yield* probeDevice(core, dev, rec, id, true);
        if (result === BOUND) return ATTACHED;
        if (result === STOP) return STOPPED;
      } finally {
        if (--rec.scanners === 0) rec.wake();
      }
    }
    if (later && which === 'sync') queueAsyncSearch(core, dev);
    return UNMATCHED;
  } finally {
    cursor.close();
    leaveFrame(saved);
    unlock(dev);
  }
}

/** One job for the device: asks every driver again and probes with those that may be asynchronous. */
function queueAsyncSearch(core: DeviceCore, dev: Device): void {
  dev.get();
  core.schedule(function* () {
    try {
      yield* parentLocked(dev, 'probe', lockAndSearch(core, dev, 'async'));
    } finally {
      dev.put();
    }
  });
}

/**
 * Offers a driver the devices of its bus, in order. What becomes of each probe is not the caller's concern.
 * @throws {Errno} EDEADLK when it matches a device whose probe the caller is part of
 * @see Linux 6.12 drivers/base/dd.c driver_attach, __driver_attach
 */
export function* attachDriver(core: DeviceCore, rec: DriverRecord): Flow<void> {
  const cursor = rec.bus.deviceList.cursor();
  rec.scanners++;
  try {
    for (let dev = cursor.next(); dev !== undefined; dev = cursor.next()) {
      if (!rec.listed) return;
      const id = match(core, dev, rec);
      if (id === NO_MATCH) continue;
      if (id === MATCH_FAILED) queueUndecided(core, dev);
      else if (core.allowsAsync(rec.driver)) yield* queueAsyncProbe(core, dev, rec, id);
      else yield* parentLocked(dev, 'probe', lockAndProbe(core, dev, rec, id));
    }
  } finally {
    cursor.close();
    if (--rec.scanners === 0) rec.wake();
  }
}

function* lockAndProbe(core: DeviceCore, dev: Device, rec: DriverRecord, id: unknown): Flow<void> {
  if (dev.busy) yield* waitForLock(dev, `register of driver ${rec.driver.name}`);
  else dev.busy = true;
  const saved = enterFrame(dev, 'probe');
  try {
    if (!dev.isDead && dev.driver === undefined) yield* probeDevice(core, dev, rec, id, true);
  } finally {
    leaveFrame(saved);
    unlock(dev);
  }
}

/**
 * Waits for the probe that runs, then leaves this one to a job. One slot per device: while it is taken, another asynchronous
 * driver passes the device by for good, as in Linux.
 * @see Linux 6.12 drivers/base/dd.c __driver_attach, __driver_attach_async_helper
 */
function* queueAsyncProbe(core: DeviceCore, dev: Device, rec: DriverRecord, id: unknown): Flow<void> {
  if (dev.busy) {
    yield* waitForLock(dev, `register of driver ${rec.driver.name}`);
    unlock(dev);
  }
  if (dev.asyncSlot !== undefined || dev.driver !== undefined || !rec.listed) return;
  dev.asyncSlot = rec;
  rec.jobs++;
  dev.get();
  core.schedule(function* () {
    try {
      yield* parentLocked(dev, 'probe', lockAndProbe(core, dev, rec, id));
    } finally {
      dev.asyncSlot = undefined;
      if (--rec.jobs === 0) rec.wake();
      dev.put();
    }
  });
}

/**
 * Binds by hand, whether or not the driver matches; a deferral is not queued.
 * @throws {Errno} ENODEV when the device is gone, EBUSY when it has a driver, EAGAIN when it must wait, else the error of the probe
 * @see Linux 6.12 drivers/base/dd.c device_driver_attach
 */
export function bindDevice(core: DeviceCore, dev: Device, rec: DriverRecord, id: unknown): Flow<void> {
  return parentLocked(dev, 'bind', lockAndBind(core, dev, rec, id));
}

function* lockAndBind(core: DeviceCore, dev: Device, rec: DriverRecord, id: unknown): Flow<void> {
  if (dev.busy) yield* waitForLock(dev, `bind to ${rec.driver.name}`);
  else dev.busy = true;
  const saved = enterFrame(dev, 'probe');
  rec.scanners++;
  try {
    if (!rec.listed) throw new Errno('ENODEV', `${rec.driver.name}: driver is not registered`);
    if ((yield* probeDevice(core, dev, rec, id, false)) !== BOUND) throw bindError(dev);
  } finally {
    if (--rec.scanners === 0) rec.wake();
    leaveFrame(saved);
    unlock(dev);
  }
}

/** EPROBE_DEFER is the core's own affair: to who binds by hand it is EAGAIN. */
function bindError(dev: Device): unknown {
  const error = dev.probeError;
  if (!Errno.is(error, 'EPROBE_DEFER')) return callerError(dev);
  const text = error.text.startsWith(`${dev.name}: `) ? error.text : `${dev.name}: ${error.text}`;
  return new Errno('EAGAIN', text, { cause: error });
}

/** Why a device was not bound, for the caller of a public operation: with a stack, which the core's own refusals lack. */
export function callerError(dev: Device): unknown {
  const error = dev.probeError;
  const stackless = Errno.is(error) && error.stack?.includes('\n') !== true;
  return stackless ? new Errno(error.code, error.text, { cause: error }) : error;
}

/** As a write to the `bind` attribute: the driver must match. @see Linux 6.12 drivers/base/bus.c bind_store */
export function* bindMatching(core: DeviceCore, dev: Device, rec: DriverRecord): Flow<void> {
  const id = match(core, dev, rec);
  if (id === NO_MATCH || id === MATCH_FAILED) {
    throw new Errno('ENODEV', `${dev.name}: driver ${rec.driver.name} does not match it`);
  }
  yield* bindDevice(core, dev, rec, id);
}

/** Unbinds if bound, then looks for a driver. @see Linux 6.12 drivers/base/bus.c device_reprobe */
export function* reprobe(core: DeviceCore, dev: Device): Flow<number> {
  const errors: unknown[] = [];
  if (dev.driver !== undefined) yield* unbindDevice(core, dev, errors);
  const result = yield* attachDevice(core, dev, false);
  if (errors.length === 0) return result;
  if (result === STOPPED) errors.push(callerError(dev));
  throw joinErrors(errors, `reprobe of ${dev.name}`);
}

/** What a search came to, for its caller. @throws what stopped it */
export function* outcome(dev: Device, flow: Flow<number>): Flow<boolean> {
  const result = yield* flow;
  if (result === STOPPED) throw callerError(dev);
  return result === ATTACHED;
}

/** Looks for drivers for all unbound devices of a bus. @see Linux 6.12 drivers/base/bus.c bus_rescan_devices */
export function* rescan(core: DeviceCore, bus: Bus): Flow<void> {
  for (const dev of bus.deviceList) {
    if (dev.driver === undefined) yield* outcome(dev, attachDevice(core, dev, false));
  }
}

/** A driver on the bus of a device. @throws {Errno} ENODEV when it is not there, or the device is not registered */
export function recordFor(dev: Device, driver: Driver): DriverRecord {
  const rec = dev.bus?.records.get(driver.name);
  if (rec === undefined || rec.driver !== driver) {
    throw new Errno('ENODEV', `${dev.name}: driver ${driver.name} is not registered on its bus`);
  }
  if (dev.phase !== 'registered') throw new Errno('ENODEV', `${dev.name}: is not registered`);
  return rec;
}
