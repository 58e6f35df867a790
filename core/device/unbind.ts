import type { Guard } from '../devres/index.js';
import { describeError, joinErrors } from '../lib/errno.js';
import { type Flow, isThenable } from '../lib/flow.js';
import { enterFrame, leaveFrame, runAsyncFrame } from '../lib/frame.js';
import type { DeviceCore } from './core.js';
import type { Device, UpperEdge } from './device.js';
import type { Driver, DriverRecord } from './driver.js';
import { withinLimit } from './limit.js';
import { checkUnbind, linksBusy, linksUnbound, unbindConsumers } from './link-state.js';
import { parentLocked, relock, unlock, waitForLock } from './lock.js';
import { sendUevent } from './uevent.js';

/** How often a ledger is swept when releases keep adding to it. */
const MAX_SWEEPS = 8;

/** Removes what the driver added below its device, last first; what somebody else is removing is waited for. */
export function* removeOwned(core: DeviceCore, dev: Device, errors: unknown[]): Flow<void> {
  const { owned } = dev;
  if (owned === undefined) return;
  for (let child = owned.last; child !== undefined; child = owned.last) yield* core.removeFlow(child, errors);
  dev.owned = undefined;
}

/** Calls `remove`; what it throws goes to `errors`. @returns what is left to wait for */
export function callRemove(core: DeviceCore, dev: Device, errors: unknown[]): Flow<void> | undefined {
  const rec = dev.record!;
  const { driver, bus } = rec;
  if (bus.ops.remove === undefined && driver.remove === undefined) return undefined;
  core.tracer?.({ kind: 'remove', who: dev.name, driver: driver.name });
  try {
    const result = rec.asyncRemove ? runAsyncFrame(() => remove(dev, rec)) : remove(dev, rec);
    if (!isThenable(result)) return undefined;
    rec.asyncRemove = true;
    return awaitRemove(core, dev, rec, result, errors);
  } catch (error) {
    removeFailed(core, dev, driver, error, errors);
    return undefined;
  }
}

function remove(dev: Device, { driver, bus }: DriverRecord): unknown {
  return bus.ops.remove === undefined ? driver.remove?.(dev, dev.state) : bus.ops.remove(dev, driver, dev.state);
}

function* awaitRemove(
  core: DeviceCore,
  dev: Device,
  { driver }: DriverRecord,
  result: PromiseLike<unknown>,
  errors: unknown[],
): Flow<void> {
  try {
    yield* withinLimit(core, dev, `remove of driver ${driver.name}`, result);
  } catch (error) {
    removeFailed(core, dev, driver, error, errors);
  }
}

function removeFailed(core: DeviceCore, dev: Device, driver: Driver, error: unknown, errors: unknown[]): void {
  dev.log('err', `remove of driver ${driver.name} failed: ${describeError(error)}`, 'remove_failed');
  core.checkErrno(dev, `remove of driver ${driver.name}`, error);
  errors.push(error);
}

/** Empties the ledger of a device, and what its releases add to it. @returns what is left to do, if anything makes it wait */
export function releaseResources(core: DeviceCore, dev: Device, errors: unknown[]): Flow<void> | undefined {
  const guard: Guard = (entry, done) => withinLimit(core, dev, `release of ${entry.label}`, done);
  const waiting = dev.devres.releaseInto(errors, guard);
  return waiting === undefined && dev.devres.size === 0 ? undefined : releaseRest(core, dev, errors, guard, waiting);
}

function* releaseRest(core: DeviceCore, dev: Device, errors: unknown[], guard: Guard, first: Flow<void> | undefined): Flow<void> {
  let waiting = first;
  for (let sweep = 1; ; sweep++) {
    if (waiting !== undefined) yield* waiting;
    if (dev.devres.size === 0) return;
    if (sweep === MAX_SWEEPS) {
      const left = dev.devres.entries().map((e) => e.label);
      errors.push(core.violate('acquire-in-release', dev, `releases keep acquiring: ${left.join(', ')} left`));
      return;
    }
    waiting = dev.devres.releaseInto(errors, guard);
  }
}

/** Undoes the bus's `dmaConfigure`; what it throws goes to `errors`. */
export function dmaCleanup(core: DeviceCore, dev: Device, errors: unknown[]): void {
  const ops = dev.bus?.ops;
  if (ops?.dmaCleanup === undefined) return;
  core.tracer?.({ kind: 'dma-cleanup', who: dev.name });
  try {
    ops.dmaCleanup(dev);
  } catch (error) {
    dev.log('err', `dma_cleanup failed: ${describeError(error)}`, 'dma_cleanup_failed');
    errors.push(error);
  }
}

/** Takes the driver's attributes off a device. @returns what is left to wait for: stores that run */
export function removeDriverAttributes(core: DeviceCore, dev: Device, driver: Driver, errors: unknown[]): Flow<void> | undefined {
  const set = dev.attributesIfAny;
  if (set === undefined) return undefined;
  set.remove('state_synced');
  const stores = driver.devGroups === undefined ? undefined : set.removeGroups(driver.devGroups);
  return stores === undefined ? undefined : awaitStores(core, dev, stores, errors);
}

/** Waits for writes to attributes that were removed, as Linux does: nobody is in a driver's callback when its `remove` is called. */
export function* awaitStores(core: DeviceCore, dev: Device, stores: Promise<void>, errors: unknown[]): Flow<void> {
  try {
    yield* withinLimit(core, dev, 'a store to an attribute', stores);
  } catch (error) {
    errors.push(error);
  }
}

/**
 * Locks a device, unbinds it, unlocks it.
 * @param only unbind only from this driver
 * @see Linux 6.12 drivers/base/dd.c device_release_driver_internal
 */
export function unbindDevice(core: DeviceCore, dev: Device, errors: unknown[], only?: Driver): Flow<void> {
  return parentLocked(dev, 'unbind', lockAndRelease(core, dev, 'unbind', errors, only));
}

/**
 * Locks a device and unbinds it; nothing happens when no driver is bound.
 *
 * Published objects vanish, children go, then `remove`, then what was acquired, last first. Every step runs, whatever fails.
 * @param errors what failed on the way
 * @see Linux 6.12 drivers/base/dd.c __device_release_driver
 * @internal
 */
export function* lockAndRelease(core: DeviceCore, dev: Device, what: string, errors: unknown[], only?: Driver): Flow<void> {
  if (dev.consumers !== undefined || dev.owned !== undefined) checkUnbind(dev, what);
  if (dev.busy) yield* waitForLock(dev, what);
  else dev.busy = true;
  const saved = enterFrame(dev, what);
  try {
    const rec = dev.record;
    if (rec === undefined || !dev.isBound || (only !== undefined && dev.driver !== only)) return;
    while (dev.consumers !== undefined && linksBusy(dev)) {
      unlock(dev);
      try {
        yield* unbindConsumers(core, dev, errors);
      } finally {
        yield* relock(dev);
      }
      if (dev.record !== rec) return;
    }
    dev.linkStatus = 'unbinding';
    core.notify(dev, 'UNBIND');
    if (dev.edges !== undefined) hideEdges(core, dev, dev.edges);
    if (dev.owned !== undefined) yield* removeOwned(core, dev, errors);
    const stores = removeDriverAttributes(core, dev, rec.driver, errors);
    if (stores !== undefined) yield* stores;
    const waiting = callRemove(core, dev, errors);
    if (waiting !== undefined) yield* waiting;
    dmaCleanup(core, dev, errors);
    const releasing = dev.devres.size === 0 ? undefined : releaseResources(core, dev, errors);
    if (releasing !== undefined) yield* releasing;
    becomeUnbound(core, dev, rec);
  } finally {
    leaveFrame(saved);
    unlock(dev);
  }
}

function hideEdges(core: DeviceCore, dev: Device, edges: readonly UpperEdge[]): void {
  for (let i = edges.length - 1; i >= 0; i--) core.guard(dev, 'what hides a published object', () => edges[i]!.vanish());
}

function becomeUnbound(core: DeviceCore, dev: Device, rec: DriverRecord): void {
  dev.devres.endBinding();
  dev.driver = undefined;
  dev.record = undefined;
  dev.state = undefined;
  dev.edges = undefined;
  if (dev.suppliers !== undefined || dev.consumers !== undefined) linksUnbound(core, dev);
  else dev.linkStatus = 'no-driver';
  rec.devices.delete(dev.driverNode!);
  dev.driverNode = undefined;
  dev.isBound = false;
  core.notify(dev, 'UNBOUND');
  sendUevent(core, dev, 'unbind');
}

/** @throws what failed in an operation on `dev` that was carried through; several as an AggregateError */
export function throwAll(errors: readonly unknown[], what: string, dev: Device): void {
  if (errors.length > 0) throw joinErrors(errors, `${what} of ${dev.name}`);
}
