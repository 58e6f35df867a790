import { describeError } from '../lib/errno.js';
import type { Flow } from '../lib/flow.js';
import type { DeviceCore } from './core.js';
import type { Device } from './device.js';
import {
  DL_AUTOPROBE_CONSUMER,
  DL_AUTOREMOVE_CONSUMER,
  DL_AUTOREMOVE_SUPPLIER,
  DL_SYNC_STATE_ONLY,
  isSyncOnly,
} from './link-flags.js';
import { type DeviceLink, dropManaged } from './link.js';
import { checkDeadlock, unlock, waitForLock } from './lock.js';

/*
 * How the managed links of a device change with its binding.
 * @see Linux 6.12 drivers/base/core.c device_links_*
 */

const managed = (links: readonly DeviceLink[] | undefined): DeviceLink[] => (links ?? []).filter((l) => l.managed);

/** Probe starts: claims the suppliers. @returns the supplier that is missing, with all claims given back */
export function claimSuppliers(dev: Device): Device | undefined {
  for (const link of managed(dev.suppliers)) {
    if (link.state === 'available' || (link.flags & DL_SYNC_STATE_ONLY) !== 0) {
      link.state = 'consumer-probe';
      continue;
    }
    unclaimSuppliers(dev);
    return link.supplier;
  }
  return undefined;
}

/** Gives back the claims of a probe that did not begin. */
export function unclaimSuppliers(dev: Device): void {
  for (const link of managed(dev.suppliers)) {
    if (link.state === 'consumer-probe') link.state = restingState(link);
  }
}

const restingState = (link: DeviceLink): 'available' | 'dormant' =>
  link.supplier.linkStatus === 'driver-bound' ? 'available' : 'dormant';

/** The device is bound: its consumers may probe, and its suppliers may be asked to synchronise. */
export function linksBound(core: DeviceCore, dev: Device): void {
  for (const link of managed(dev.consumers)) {
    if (link.state === 'consumer-probe' || link.state === 'active') continue;
    link.state = 'available';
    if ((link.flags & DL_AUTOPROBE_CONSUMER) !== 0) core.deferred.add(link.consumer);
  }
  const due: Device[] = [];
  dev.linkStatus = 'driver-bound';
  core.syncState.consider(dev, due);
  for (const link of managed(dev.suppliers)) {
    const { supplier } = link;
    if ((link.flags & DL_SYNC_STATE_ONLY) !== 0) {
      dropManaged(core, link);
    } else {
      if (link.state !== 'consumer-probe') {
        core.violate('link-to-unbound-supplier', dev, `bound although its supplier ${supplier.name} is not`);
      }
      link.state = 'active';
    }
    core.syncState.consider(supplier, due);
  }
  core.syncState.flush(due);
}

/** Before a bind without probe: links whose supplier is not there are dropped. @see Linux device_links_force_bind */
export function linksForceBound(core: DeviceCore, dev: Device): void {
  for (const link of managed(dev.suppliers)) {
    if (link.state === 'available') link.state = 'consumer-probe';
    else dropManaged(core, link);
  }
  dev.linkStatus = 'probing';
}

/** The probe failed. */
export function linksNoDriver(core: DeviceCore, dev: Device): void {
  for (const link of managed(dev.consumers)) {
    if (link.state === 'consumer-probe' || link.state === 'active') link.state = 'dormant';
  }
  releaseSuppliers(core, dev);
}

/** The device was unbound. */
export function linksUnbound(core: DeviceCore, dev: Device): void {
  for (const link of managed(dev.consumers)) {
    // A consumer that probes on its own time, with a sync-state-only link, keeps its claim.
    if (link.state === 'consumer-probe') continue;
    if (link.state === 'supplier-unbind' && (link.flags & DL_AUTOREMOVE_SUPPLIER) !== 0) dropManaged(core, link);
    else link.state = 'dormant';
  }
  releaseSuppliers(core, dev);
}

function releaseSuppliers(core: DeviceCore, dev: Device): void {
  for (const link of managed(dev.suppliers).reverse()) {
    if ((link.flags & DL_AUTOREMOVE_CONSUMER) !== 0) dropManaged(core, link);
    else if (link.state === 'consumer-probe' || link.state === 'active') link.state = restingState(link);
  }
  dev.linkStatus = 'no-driver';
}

/** Consumers that must be unbound before their supplier; a sync-state-only link orders nothing. */
const strongConsumers = (dev: Device): DeviceLink[] => managed(dev.consumers).filter((l) => !isSyncOnly(l.flags));

const busy = (link: DeviceLink): boolean => link.state === 'consumer-probe' || link.state === 'active';

/** The first consumer that must go first; links before it, or all of them, admit no new consumer from here on. */
function firstBusy(dev: Device): DeviceLink | undefined {
  for (const link of strongConsumers(dev)) {
    if (busy(link)) return link;
    link.state = 'supplier-unbind';
  }
  return undefined;
}

/**
 * Looks ahead, before anything is touched: an unbind that starts inside a callback of the device, of a consumer, or of a child
 * that its driver added cannot end.
 * @throws {Errno} EDEADLK
 */
export function checkUnbind(dev: Device, what: string): void {
  if (dev.linkStatus === 'unbinding') checkDeadlock(dev, what);
  for (const link of strongConsumers(dev)) {
    if (!busy(link)) continue;
    checkDeadlock(link.consumer, `${what} of its supplier ${dev.name}`);
    checkUnbind(link.consumer, what);
  }
  for (const child of dev.owned ?? []) {
    checkDeadlock(child, `${what} of ${dev.name}, which takes it along,`);
    checkUnbind(child, what);
  }
}

/** Whether consumers must go first. @see Linux device_links_busy */
export function linksBusy(dev: Device): boolean {
  dev.linkStatus = 'unbinding';
  return firstBusy(dev) !== undefined;
}

/**
 * Unbinds the consumers of a device, in the order of their links, waiting for those that probe.
 * @throws {Errno} EDEADLK when the caller is part of what a consumer is doing; the device stays bound, its links as they were
 * @see Linux device_links_unbind_consumers
 */
export function* unbindConsumers(core: DeviceCore, dev: Device, errors: unknown[]): Flow<void> {
  try {
    // Another unbind of the same device may finish first.
    while (dev.linkStatus === 'unbinding') {
      const link = firstBusy(dev);
      if (link === undefined) return;
      const { consumer } = link;
      // The link stays busy until the consumer has let go: a second unbind of this device must wait for that too.
      if (consumer.isBound) {
        yield* core.unbindFlow(consumer, errors);
      } else if (consumer.busy) {
        yield* waitForLock(consumer, `unbind of its supplier ${dev.name}`);
        unlock(consumer);
      } else {
        link.state = 'dormant';
      }
    }
  } catch (error) {
    if (dev.linkStatus === 'unbinding' && dev.isBound) stayBound(dev);
    throw error;
  }
}

/** An unbind was refused. */
function stayBound(dev: Device): void {
  dev.linkStatus = 'driver-bound';
  for (const link of strongConsumers(dev)) {
    if (link.state === 'supplier-unbind') link.state = 'available';
  }
}

/**
 * Calls `syncState` once all consumers of a device are bound: once in its life.
 * @see Linux 6.12 drivers/base/core.c __device_links_queue_sync_state, device_links_flush_sync_list
 */
export class SyncState {
  #paused: number;
  readonly #held = new Set<Device>();
  readonly #core: DeviceCore;

  constructor(core: DeviceCore, paused: boolean) {
    this.#core = core;
    this.#paused = paused ? 1 : 0;
  }

  /** @internal */
  consider(dev: Device, due: Device[]): void {
    if (dev.stateSynced || dev.record === undefined) return;
    if (dev.record.driver.syncState === undefined && dev.bus?.ops.syncState === undefined) return;
    if (this.#paused > 0) {
      this.#held.add(dev);
      return;
    }
    if (dev.linkStatus !== 'driver-bound') return;
    if ((dev.consumers ?? []).some((l) => l.managed && l.state !== 'active')) return;
    dev.stateSynced = true;
    due.push(dev);
  }

  /** @internal */
  flush(due: readonly Device[]): void {
    for (const dev of due) {
      this.#core.tracer?.({ kind: 'sync-state', who: dev.name });
      try {
        const ops = dev.bus?.ops;
        if (ops?.syncState !== undefined) ops.syncState(dev);
        else dev.record?.driver.syncState?.(dev);
      } catch (error) {
        dev.log('err', `sync_state failed: ${describeError(error)}`, 'sync_state_failed');
      }
    }
  }

  /** @internal */
  forget(dev: Device): void {
    this.#held.delete(dev);
  }

  /** Holds all `syncState` calls back until as many `resume`. */
  pause(): void {
    this.#paused++;
  }

  /** @throws {Errno} EINVAL when nothing is paused */
  resume(): void {
    if (this.#paused === 0) throw this.#core.violate('unmatched-resume', undefined, 'sync_state resumed more often than paused');
    if (--this.#paused > 0) return;
    const held = [...this.#held];
    this.#held.clear();
    const due: Device[] = [];
    for (const dev of held) this.consider(dev, due);
    this.flush(due);
  }
}
