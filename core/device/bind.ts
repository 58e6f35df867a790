import { Errno, deferReason, describeError } from '../lib/errno.js';
import { type Flow, isThenable } from '../lib/flow.js';
import { runAsyncFrame } from '../lib/frame.js';
import { ListNode } from '../lib/list.js';
import type { Bus } from './bus.js';
import type { DeviceCore } from './core.js';
import type { Device } from './device.js';
import type { Driver, DriverRecord } from './driver.js';
import { withinLimit } from './limit.js';
import { claimSuppliers, linksBound, linksForceBound, linksNoDriver, unclaimSuppliers } from './link-state.js';
import { addStateSynced } from './sysfs.js';
import { sendUevent } from './uevent.js';
import { callRemove, dmaCleanup, releaseResources, removeDriverAttributes, removeOwned } from './unbind.js';

/** How one attempt ended; the error of `NEXT` and `STOP` is in `dev.probeError`. */
export const BOUND = 0;
/** The driver refused: another may be tried. */
export const NEXT = 1;
/** The core refused: the search ends. */
export const STOP = -1;

/**
 * One attempt to bind, with the device locked.
 *
 * @param queue whether a deferral puts the device on the deferred list (not when bound by hand)
 * @returns BOUND, NEXT or STOP
 * @see Linux 6.12 drivers/base/dd.c driver_probe_device, __driver_probe_device, really_probe
 */
export function* probeDevice(core: DeviceCore, dev: Device, rec: DriverRecord, id: unknown, queue: boolean): Flow<number> {
  if (dev.isDead || !dev.registered) return stop(dev, 'ENODEV', 'is removed');
  if (dev.driver !== undefined) return stop(dev, 'EBUSY', `has driver ${dev.driver.name}`);
  if (dev.hung > 0) return stop(dev, 'EBUSY', 'a callback that was given up has not ended');
  if (!dev.ready) return stop(dev, 'EPROBE_DEFER', 'is still being added');
  const counter = core.deferred.triggerCount;
  const { driver, bus } = rec;
  let result = isRefused(core, dev, bus) ? STOP : NEXT;
  for (let again = core.options.testRemove; result === NEXT; again = false) {
    dev.driver = driver;
    dev.record = rec;
    if (bus.ops.dmaConfigure !== undefined && !dmaConfigure(core, dev)) {
      linksNoDriver(core, dev);
      yield* cleanUp(core, dev);
      result = STOP;
      break;
    }
    core.notify(dev, 'BIND');
    let error: unknown;
    let failed = false;
    try {
      const state = callProbe(dev, rec, id);
      dev.state = isThenable(state) ? yield* withinLimit(core, dev, `probe of driver ${driver.name}`, state) : state;
    } catch (e) {
      failed = true;
      error = e;
    }
    core.tracer?.({ kind: 'probe', who: dev.name, driver: driver.name, result: failed ? Errno.codeOf(error) : 'ok' });
    if (failed) {
      noteFailure(core, dev, rec, error);
      yield* undo(core, dev);
      dev.probeError = error;
      break;
    }
    if (driver.devGroups !== undefined && !addDriverAttributes(dev, driver)) {
      error = dev.probeError;
      yield* callRemoveAlone(core, dev);
      yield* undo(core, dev);
      dev.probeError = error;
      result = STOP;
    } else if (again) {
      const errors: unknown[] = [];
      const stores = removeDriverAttributes(core, dev, driver, errors);
      if (stores !== undefined) yield* stores;
      yield* callRemoveAlone(core, dev);
      dmaCleanup(core, dev, errors);
      const releasing = releaseResources(core, dev, errors);
      if (releasing !== undefined) yield* releasing;
      dev.state = undefined;
      dev.edges = undefined;
    } else {
      becomeBound(core, dev);
      result = BOUND;
    }
  }
  if (result !== BOUND && queue && Errno.is(dev.probeError, 'EPROBE_DEFER')) core.deferred.addAfterProbe(dev, counter);
  return result;
}

function stop(dev: Device, code: 'ENODEV' | 'EBUSY' | 'EPROBE_DEFER', text: string): number {
  dev.probeError = Errno.stackless(code, `${dev.name}: ${text}`);
  return STOP;
}

/** Whether the core refuses before the driver is asked; why is in `dev.probeError`. */
function isRefused(core: DeviceCore, dev: Device, bus: Bus): boolean {
  if (core.probingBlocked) {
    stop(dev, 'EPROBE_DEFER', 'probing is blocked');
    return true;
  }
  dev.linkStatus = 'probing';
  const missing = dev.suppliers === undefined ? undefined : claimSuppliers(dev);
  if (missing !== undefined) {
    dev.linkStatus = 'no-driver';
    dev.deferredReason = `${bus.name}: supplier ${missing.name} not ready`;
    stop(dev, 'EPROBE_DEFER', `supplier ${missing.name} not ready`);
    return true;
  }
  if (dev.devres.size === 0) return false;
  unclaimSuppliers(dev);
  dev.linkStatus = 'no-driver';
  const held = dev.devres.entries().map((entry) => entry.label);
  dev.log('crit', `managed resources are present before probe: ${held.join(', ')}`, 'resources_present');
  stop(dev, 'EBUSY', `has ${held.length} managed resources before probe, ${held.join(', ')}: release them first`);
  return true;
}

function dmaConfigure(core: DeviceCore, dev: Device): boolean {
  core.tracer?.({ kind: 'dma-configure', who: dev.name });
  try {
    dev.bus?.ops.dmaConfigure?.(dev);
    return true;
  } catch (error) {
    dev.probeError = error;
    return false;
  }
}

function callProbe(dev: Device, rec: DriverRecord, id: unknown): unknown {
  const result = rec.asyncProbe ? runAsyncFrame(() => probe(dev, rec, id)) : probe(dev, rec, id);
  if (isThenable(result)) rec.asyncProbe = true;
  return result;
}

function probe(dev: Device, { driver, bus }: DriverRecord, id: unknown): unknown {
  return bus.ops.probe === undefined ? driver.probe?.(dev, id) : bus.ops.probe(dev, driver, id);
}

function addDriverAttributes(dev: Device, driver: Driver): boolean {
  try {
    dev.attributes.addGroups(driver.devGroups ?? []);
    return true;
  } catch (error) {
    dev.log('err', `attributes of ${driver.name} not added: ${describeError(error)}`, 'groups');
    dev.probeError = error;
    return false;
  }
}

/** Takes back what a probe that succeeded did; what fails is logged. */
function* callRemoveAlone(core: DeviceCore, dev: Device): Flow<void> {
  const errors: unknown[] = [];
  yield* removeOwned(core, dev, errors);
  const waiting = callRemove(core, dev, errors);
  if (waiting !== undefined) yield* waiting;
}

function noteFailure(core: DeviceCore, dev: Device, rec: DriverRecord, error: unknown): void {
  const name = rec.driver.name;
  if (Errno.is(error, 'EPROBE_DEFER')) {
    const reason = deferReason(error);
    if (reason !== undefined) dev.deferredReason = `${name}: ${reason}`;
    dev.log('debug', `driver ${name} requests probe deferral: ${reason ?? '(no reason)'}`, 'probe_deferred');
  } else if (Errno.is(error, 'ENODEV') || Errno.is(error, 'ENXIO')) {
    dev.log('debug', `probe of driver ${name} rejects match: ${describeError(error)}`, 'probe_rejected');
  } else {
    dev.log('err', `probe of driver ${name} failed: ${describeError(error)}`, 'probe_failed');
    core.checkErrno(dev, `probe of driver ${name}`, error);
  }
}

/** Takes a failed probe back. Children go first, as at unbind. */
function* undo(core: DeviceCore, dev: Device): Flow<void> {
  const errors: unknown[] = [];
  if (dev.owned !== undefined) yield* removeOwned(core, dev, errors);
  core.notify(dev, 'NOT_BOUND');
  dmaCleanup(core, dev, errors);
  linksNoDriver(core, dev);
  yield* cleanUp(core, dev);
}

function* cleanUp(core: DeviceCore, dev: Device): Flow<void> {
  if (dev.devres.size > 0) {
    const errors: unknown[] = [];
    const releasing = releaseResources(core, dev, errors);
    if (releasing !== undefined) yield* releasing;
  }
  dev.devres.endBinding();
  dev.driver = undefined;
  dev.record = undefined;
  dev.state = undefined;
  dev.edges = undefined;
}

/**
 * The device is bound: everyone hears of it, and deferred devices get another chance.
 * @see Linux 6.12 drivers/base/dd.c driver_bound
 */
function becomeBound(core: DeviceCore, dev: Device): void {
  if (dev.isBound) {
    dev.log('warn', 'is bound already', 'already_bound');
    return;
  }
  dev.driverNode = new ListNode(dev);
  dev.record!.devices.push(dev.driverNode);
  dev.isBound = true;
  if (dev.attributesIfAny !== undefined) addStateSynced(dev, dev.attributesIfAny);
  if (dev.suppliers !== undefined || dev.consumers !== undefined) linksBound(core, dev);
  else {
    dev.linkStatus = 'driver-bound';
    if (dev.record!.driver.syncState !== undefined || dev.bus?.ops.syncState !== undefined) linksBound(core, dev);
  }
  core.deferred.remove(dev);
  core.deferred.trigger();
  if (dev.edges !== undefined) {
    for (const edge of dev.edges) core.guard(dev, 'what shows a published object', () => edge.appear());
  }
  core.notify(dev, 'BOUND');
  sendUevent(core, dev, 'bind');
}

/**
 * Binds a device to the driver its creator chose, without match and probe.
 * @returns false when that driver is not registered; the error is in `dev.probeError`
 * @see Linux 6.12 drivers/base/dd.c device_bind_driver
 */
export function forceBind(core: DeviceCore, dev: Device): boolean {
  const { name } = dev.driver!;
  const record = dev.bus?.records.get(name);
  if (record === undefined || record.driver !== dev.driver) {
    dev.driver = undefined;
    dev.probeError = Errno.stackless('ENODEV', `${dev.name}: driver ${name} is not registered on its bus`);
    dev.log('err', `driver ${name}, chosen for it, is not registered on its bus`, 'no_such_driver');
    return false;
  }
  dev.record = record;
  core.notify(dev, 'BIND');
  linksForceBound(core, dev);
  becomeBound(core, dev);
  return true;
}
