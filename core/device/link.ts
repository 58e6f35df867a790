import type { DeviceCore } from './core.js';
import type { Device } from './device.js';
import {
  DL_AUTOPROBE_CONSUMER,
  DL_AUTOREMOVE_CONSUMER,
  DL_AUTOREMOVE_SUPPLIER,
  DL_CYCLE,
  DL_INFERRED,
  DL_MANAGED,
  DL_PM_RUNTIME,
  DL_RPM_ACTIVE,
  DL_STATELESS,
  DL_SYNC_STATE_ONLY,
  isSyncOnly,
} from './link-flags.js';
import { moveToTail } from './order.js';

/** State of a link; `none` for stateless ones. @see Linux 6.12 include/linux/device.h enum device_link_state */
export type LinkState = 'none' | 'dormant' | 'available' | 'consumer-probe' | 'active' | 'supplier-unbind';
/** Where a device stands, for its links. @see Linux 6.12 include/linux/device.h enum dl_dev_state */
export type LinkStatus = 'no-driver' | 'probing' | 'driver-bound' | 'unbinding';

const MANAGED_FLAGS =
  DL_AUTOREMOVE_CONSUMER | DL_AUTOREMOVE_SUPPLIER | DL_AUTOPROBE_CONSUMER | DL_SYNC_STATE_ONLY | DL_INFERRED | DL_CYCLE;
const VALID_FLAGS = MANAGED_FLAGS | DL_STATELESS | DL_PM_RUNTIME | DL_RPM_ACTIVE;

/** One dependency: `consumer` needs `supplier` to be bound. Each pair has at most one. */
export class DeviceLink {
  state: LinkState = 'none';
  /** How many hold it: each who asked for a stateless link, and the core for as long as it is managed. */
  count = 1;
  /** Whether it is gone, with its references given up or about to be. @internal */
  gone = false;

  constructor(
    readonly consumer: Device,
    readonly supplier: Device,
    public flags: number,
  ) {}

  get managed(): boolean {
    return (this.flags & DL_MANAGED) !== 0;
  }

  /** Its name in class `devlink`. */
  get name(): string {
    return `${qualified(this.supplier)}--${qualified(this.consumer)}`;
  }
}

/** `bus:name`, as links are named; `:name` without bus and class. @see Linux 6.12 include/linux/device.h dev_bus_name */
export const qualified = (dev: Device): string => `${dev.bus?.name ?? dev.class?.name ?? ''}:${dev.name}`;

/**
 * Makes `consumer` depend on `supplier`, or adds to what ties them already.
 *
 * @returns the link; undefined when there can be none: unknown or contradicting flags, a supplier that is not registered or
 *   takes no part in power management, a consumer that is gone, a dependency cycle, or a sync-state-only link of a bound consumer
 * @see Linux 6.12 drivers/base/core.c device_link_add
 */
export function addLink(core: DeviceCore, consumer: Device, supplier: Device, asked: number): DeviceLink | undefined {
  let flags = asked;
  if (consumer === supplier || (flags & ~VALID_FLAGS) !== 0) return undefined;
  if ((flags & DL_STATELESS) !== 0 && (flags & MANAGED_FLAGS) !== 0) return undefined;
  if ((flags & DL_AUTOPROBE_CONSUMER) !== 0 && (flags & (DL_AUTOREMOVE_CONSUMER | DL_AUTOREMOVE_SUPPLIER)) !== 0)
    return undefined;
  const syncOnly = (flags & DL_SYNC_STATE_ONLY) !== 0;
  if (syncOnly && !isSyncOnly(flags)) return undefined;
  if ((flags & DL_STATELESS) === 0) flags |= DL_MANAGED;
  if (!supplier.registered || supplier.isDead || !supplier.usesPm) return undefined;
  if (consumer.isDead || (consumer.phase !== 'new' && consumer.phase !== 'registered')) return undefined;
  if (!syncOnly && dependsOn(consumer, supplier)) return undefined;
  if (syncOnly && consumer.linkStatus !== 'no-driver' && consumer.linkStatus !== 'probing') return undefined;
  if ((flags & DL_AUTOREMOVE_SUPPLIER) !== 0) flags &= ~DL_AUTOREMOVE_CONSUMER;

  const old = supplier.consumers?.find((l) => l.consumer === consumer);
  if (old !== undefined) {
    if (mergeInto(old, flags)) moveToTail(core, consumer);
    return old;
  }
  const link = new DeviceLink(consumer, supplier, flags);
  if (link.managed) link.state = initialState(consumer, supplier);
  (supplier.consumers ??= []).push(link);
  (consumer.suppliers ??= []).push(link);
  consumer.get();
  supplier.get();
  consumer.core ??= core;
  if (!syncOnly) moveToTail(core, consumer);
  return link;
}

/**
 * Gives back what one {@link addLink} of a stateless link took, or a managed link of a consumer that is not registered.
 * @throws {Errno} EINVAL when the core holds it for a registered consumer, or when it is gone
 * @see Linux 6.12 drivers/base/core.c device_link_del
 */
export function deleteLink(core: DeviceCore, link: DeviceLink): void {
  const { consumer, supplier } = link;
  if (link.gone) throw core.violate('link-deleted-twice', consumer, `link to ${supplier.name} is gone already`);
  if (link.count > (link.managed ? 1 : 0)) {
    if (--link.count === 0) destroyLink(core, link);
    return;
  }
  if (consumer.registered) {
    throw core.violate('managed-link-deleted', consumer, `link to ${supplier.name} is managed: it goes with its devices`);
  }
  destroyLink(core, link);
}

/** Whether `target` is `dev`, or below it, or consumes from it, at any distance. */
function dependsOn(dev: Device, target: Device): boolean {
  if (dev === target) return true;
  if (dev.childList !== undefined) for (const child of dev.childList) if (dependsOn(child, target)) return true;
  for (let up = target.parent; up !== undefined; up = up.parent) if (up === dev) return true;
  return (dev.consumers ?? []).some((l) => !isSyncOnly(l.flags) && dependsOn(l.consumer, target));
}

/** @returns whether the consumer must move behind its supplier */
function mergeInto(link: DeviceLink, flags: number): boolean {
  if ((flags & DL_INFERRED) === 0) link.flags &= ~DL_INFERRED;
  link.flags |= flags & DL_PM_RUNTIME;
  if ((flags & DL_STATELESS) !== 0) {
    link.count++;
    const reorder = (link.flags & DL_SYNC_STATE_ONLY) !== 0 && (link.flags & DL_STATELESS) === 0;
    link.flags |= DL_STATELESS;
    return reorder;
  }
  if ((flags & DL_AUTOREMOVE_SUPPLIER) !== 0) {
    if ((link.flags & DL_AUTOREMOVE_CONSUMER) !== 0) {
      link.flags = (link.flags & ~DL_AUTOREMOVE_CONSUMER) | DL_AUTOREMOVE_SUPPLIER;
    }
  } else if ((flags & DL_AUTOREMOVE_CONSUMER) === 0) {
    link.flags &= ~(DL_AUTOREMOVE_CONSUMER | DL_AUTOREMOVE_SUPPLIER);
  }
  if (!link.managed) {
    link.count++;
    link.flags |= DL_MANAGED;
    link.state = initialState(link.consumer, link.supplier);
  }
  if ((link.flags & DL_SYNC_STATE_ONLY) !== 0 && (flags & DL_SYNC_STATE_ONLY) === 0) {
    link.flags &= ~DL_SYNC_STATE_ONLY;
    return true;
  }
  return false;
}

function initialState(consumer: Device, supplier: Device): LinkState {
  switch (supplier.linkStatus) {
    case 'probing':
      return consumer.linkStatus === 'probing' ? 'consumer-probe' : 'dormant';
    case 'driver-bound':
      if (consumer.linkStatus === 'probing') return 'consumer-probe';
      return consumer.linkStatus === 'driver-bound' ? 'active' : 'available';
    case 'unbinding':
      return 'supplier-unbind';
    default:
      return 'dormant';
  }
}

/** Takes a link away; its references are given up later, as in Linux. */
export function destroyLink(core: DeviceCore, link: DeviceLink): void {
  link.gone = true;
  drop(link.supplier.consumers, link);
  drop(link.consumer.suppliers, link);
  if (link.supplier.consumers?.length === 0) link.supplier.consumers = undefined;
  if (link.consumer.suppliers?.length === 0) link.consumer.suppliers = undefined;
  core.later(() => {
    link.consumer.put();
    link.supplier.put();
  });
}

function drop(list: DeviceLink[] | undefined, link: DeviceLink): void {
  const i = list?.indexOf(link) ?? -1;
  if (i >= 0) list!.splice(i, 1);
}

/** Ends what the core itself holds of a link. */
export function dropManaged(core: DeviceCore, link: DeviceLink): void {
  link.flags &= ~DL_MANAGED;
  link.state = 'none';
  if (--link.count <= 0) destroyLink(core, link);
}

/** Removes all links of a device that goes. @see Linux 6.12 drivers/base/core.c device_links_purge */
export function purgeLinks(core: DeviceCore, dev: Device): void {
  for (const link of [...(dev.suppliers ?? []), ...(dev.consumers ?? [])]) destroyLink(core, link);
}
