import { Errno, describeError } from '../lib/errno.js';
import type { Flow } from '../lib/flow.js';
import { List, ListNode } from '../lib/list.js';
import { hashOf } from '../lib/name-table.js';
import { attachDevice } from './attach.js';
import type { AttributeGroup } from './attribute.js';
import type { DeviceCore } from './core.js';
import type { Device } from './device.js';
import { Directory } from './directory.js';
import { checkUnbind } from './link-state.js';
import { purgeLinks } from './link.js';
import { checkDeadlock, parentLocked, unlock, waitForLock } from './lock.js';
import { disown } from './owned.js';
import { sendUevent } from './uevent.js';
import { awaitStores, lockAndRelease, releaseResources } from './unbind.js';

/**
 * Puts a device into the tree and on its bus, and probes it. The result of the probe never becomes the result of this.
 *
 * When it fails everything is undone, and only `put` is left for the caller to do.
 * @throws {Errno} EINVAL without name, on an unregistered bus, or when added before; EEXIST when a name is taken
 * @see Linux 6.12 drivers/base/core.c device_add
 */
export function* addDevice(core: DeviceCore, dev: Device): Flow<void> {
  if (dev.phase !== 'new') {
    throw core.violate('added-twice', dev, `was added before (it is ${dev.phase}): make a new device`);
  }
  dev.class?.refuseInside(dev, 'add');
  dev.core = core;
  try {
    enterTree(core, dev);
  } catch (error) {
    if (dev.registered) leaveTree(dev);
    void dev.attributesIfAny?.clear();
    dev.phase = 'failed';
    dev.driver = undefined;
    throw error;
  }
  core.notify(dev, 'ADD');
  if (!dev.isDead) sendUevent(core, dev, 'add');
  dev.ready = true;
  if (dev.bus?.autoprobe === true) yield* attachDevice(core, dev, true);
  if (dev.parent !== undefined && !dev.isDead) dev.parent.addChildToList(dev, new ListNode(dev));
  if (dev.class !== undefined && !dev.isDead && dev.class.core === core) {
    dev.classNode = new ListNode(dev);
    dev.class.devices.push(dev.classNode);
    dev.class.tell(core, dev, 'addDev');
  }
}

/** See `DeviceCore.addChild`. */
export function* addChild(core: DeviceCore, parent: Device, child: Device): Flow<void> {
  if (child.phase !== 'new') {
    throw core.violate('added-twice', child, `was added before (it is ${child.phase}): make a new device`);
  }
  try {
    if (!parent.takesChildren) {
      throw new Errno('ENODEV', `${parent.name}: has no driver to add ${child.name} for`);
    }
    parent.devres.faultPoint(`child ${child.name}`);
    child.ownedBy = parent;
    child.ownedNode = new ListNode(child);
    parent.owned ??= new List<Device>();
    parent.owned.push(child.ownedNode);
    yield* addDevice(core, child);
  } catch (error) {
    disown(child);
    child.put();
    throw error;
  }
}

/** What it did when it throws is undone by the caller: the last steps are those that cannot fail. */
function enterTree(core: DeviceCore, dev: Device): void {
  const { bus } = dev;
  if (dev.name === '') {
    const prefix = bus?.ops.devName;
    if (prefix === undefined) throw new Errno('EINVAL', 'device: has no name, and its bus names no devices');
    dev.rename(`${prefix}${(dev.id ?? 0) >>> 0}`);
  }
  if (bus !== undefined && bus.core !== core) {
    core.logFor('err', dev.name, `bus ${bus.name} is not registered`, 'bus_unregistered');
    throw new Errno('EINVAL', `${dev.name}: bus ${bus.name} is not registered`);
  }
  if (bus !== undefined && dev.class !== undefined) {
    throw new Errno('EEXIST', `${dev.name}: is on bus ${bus.name} and in class ${dev.class.name}: only one of them may be`);
  }
  if (dev.parent !== undefined && dev.parent.phase !== 'registered') {
    throw new Errno('ENODEV', `${dev.name}: parent ${dev.parent.name} is not registered`);
  }
  const dir = directoryFor(core, dev);
  dev.nameHash = hashOf(dev.name);
  dir.add(dev.name, dev, dev.nameHash);
  dev.dir = dir;
  dev.phase = 'registered';
  dev.parent?.get();
  const before = dev.attributesIfAny;
  if (before !== undefined || hasGroups(dev)) {
    if (before === undefined) void dev.attributes;
    else core.populate(dev, before);
  }
  if (bus !== undefined) {
    if (!bus.byName.add(dev.name, dev, dev.nameHash))
      throw new Errno('EEXIST', `${dev.name}: the name is taken on bus ${bus.name}`);
    dev.busNode = new ListNode(dev);
    bus.deviceList.push(dev.busNode);
  }
  dev.orderNode = new ListNode(dev);
  core.order.push(dev.orderNode);
}

const some = (groups: readonly AttributeGroup<Device>[] | undefined): boolean => groups !== undefined && groups.length > 0;

function hasGroups(dev: Device): boolean {
  return some(dev.ownGroups) || some(dev.type?.groups) || some(dev.class?.options.devGroups) || some(dev.bus?.ops.devGroups);
}

/** Where the device hangs in the tree. @see Linux 6.12 drivers/base/core.c get_device_parent */
function directoryFor(core: DeviceCore, dev: Device): Directory {
  const { parent } = dev;
  const cls = dev.class;
  if (cls === undefined || cls.core !== core) {
    if (parent !== undefined) return childDirectory(parent);
    const root = dev.bus?.ops.rootDevice;
    return root === undefined ? core.rootDir : childDirectory(root);
  }
  if (parent === undefined) return core.virtualDir(cls.name);
  if (parent.class !== undefined) return childDirectory(parent);
  const glue = (parent.glue ??= new Map<string, Directory>());
  let dir = glue.get(cls.name);
  if (dir === undefined) {
    dir = new Directory(
      () => `${parent.path}/${cls.name}`,
      () => glue.delete(cls.name),
    );
    glue.set(cls.name, dir);
  }
  return dir;
}

function childDirectory(parent: Device): Directory {
  parent.childDir ??= new Directory(() => parent.path);
  return parent.childDir;
}

function leaveTree(dev: Device): void {
  const { dir } = dev;
  dev.dir = undefined;
  dev.phase = 'removed';
  dir?.delete(dev.name, dev.nameHash);
  dev.parent?.put();
}

/**
 * Takes a device out of the tree, unbinding it first. Its children stay, as in Linux; those its driver added are gone.
 * @param errors what failed on the way; nothing stops the removal
 * @param put whether its creator's reference is given up with it
 * @see Linux 6.12 drivers/base/core.c device_del, device_unregister
 */
export function deleteDevice(core: DeviceCore, dev: Device, errors: unknown[], put: boolean): Flow<void> {
  dev.class?.refuseInside(dev, 'removal');
  if (dev.phase !== 'registered' || dev.isDead) {
    throw core.violate('removed-twice', dev, `is not registered (it is ${dev.phase}): only put is left to do`);
  }
  return takeOut(core, dev, errors, put, false);
}

/**
 * Removes a child together with the binding of the driver that added it, unless somebody else is doing that: then waits.
 * @param errors what failed on the way
 */
export function removeChild(core: DeviceCore, dev: Device, errors: unknown[]): Flow<void> {
  return takeOut(core, dev, errors, true, true);
}

/** @param asChild whether another who removes it already is waited for, and not an error */
function* takeOut(core: DeviceCore, dev: Device, errors: unknown[], put: boolean, asChild: boolean): Flow<void> {
  if (dev.busy) checkDeadlock(dev, 'removal');
  if (dev.isLeaving) {
    if (!asChild) throw core.violate('removed-twice', dev, 'is being removed already');
    if (dev.registered) yield new Promise<void>((resolve) => (dev.goneWaiters ??= []).push(resolve));
    return;
  }
  if (dev.consumers !== undefined || dev.owned !== undefined) checkUnbind(dev, 'removal');
  // From here on nothing stops the removal, and nobody else begins one.
  dev.isLeaving = true;
  if (dev.busy) yield* waitForLock(dev, 'removal');
  else dev.busy = true;
  unlock(dev);
  dev.isDead = true;
  core.notify(dev, 'DEL');
  if (dev.childList !== undefined && dev.childList.size > 0 && !allOwned(dev)) {
    const names = dev.children.map((c) => c.name).join(', ');
    dev.log('warn', `is removed before its children ${names}`, 'orphans');
    core.report('orphaned-children', dev, `is removed before its children ${names}`);
  }
  if (dev.childNode !== undefined) {
    dev.parent?.childList?.delete(dev.childNode);
    dev.childNode = undefined;
  }
  if (dev.classNode !== undefined) {
    dev.class!.tell(core, dev, 'removeDev');
    dev.class!.devices.delete(dev.classNode);
    dev.classNode = undefined;
  }
  const stores = dev.attributesIfAny?.clear();
  if (stores !== undefined) yield* awaitStores(core, dev, stores, errors);
  if (dev.bus !== undefined && dev.busNode !== undefined) {
    dev.bus.deviceList.delete(dev.busNode);
    dev.bus.byName.delete(dev.name, dev.nameHash);
    if (dev.driver !== undefined || dev.busy) {
      try {
        yield* parentLocked(dev, 'removal', lockAndRelease(core, dev, 'removal', errors));
      } catch (error) {
        dev.log('err', `unbind at removal failed: ${describeError(error)}`, 'unbind_failed');
        errors.push(error);
      }
    }
  }
  if (dev.orderNode !== undefined) core.order.delete(dev.orderNode);
  core.deferred.remove(dev);
  core.syncState.forget(dev);
  if (dev.suppliers !== undefined || dev.consumers !== undefined) purgeLinks(core, dev);
  const releasing = dev.devres.size === 0 ? undefined : releaseResources(core, dev, errors);
  if (releasing !== undefined) yield* releasing;
  core.notify(dev, 'REMOVED');
  sendUevent(core, dev, 'remove');
  leaveTree(dev);
  disown(dev);
  if (put) dev.put();
  const waiters = dev.goneWaiters;
  dev.goneWaiters = undefined;
  for (const resolve of waiters ?? []) resolve();
}

/** Whether the children go with the binding of their parent, or of what its driver added. */
const allOwned = (dev: Device): boolean => dev.children.every((child) => isOwned(child, dev));

function isOwned(child: Device, dev: Device): boolean {
  let owner = child.ownedBy;
  while (owner !== undefined && owner !== dev) owner = owner.ownedBy;
  return owner === dev;
}
