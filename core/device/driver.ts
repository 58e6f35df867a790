import type { MaybePromise } from '../lib/flow.js';
import { List, ListNode } from '../lib/list.js';
import { type AttributeGroup, AttributeSet } from './attribute.js';
import type { Bus } from './bus.js';
import type { Device } from './device.js';

/** Phases of system sleep in which a driver may have its say. */
export interface PmOps<D extends Device = Device> {
  /** Parents before children. EAGAIN is ignored, any other error calls the suspend off. */
  prepare?(dev: D): MaybePromise<void>;
  suspend?(dev: D): MaybePromise<void>;
  suspendLate?(dev: D): MaybePromise<void>;
  suspendNoirq?(dev: D): MaybePromise<void>;
  resumeNoirq?(dev: D): MaybePromise<void>;
  resumeEarly?(dev: D): MaybePromise<void>;
  resume?(dev: D): MaybePromise<void>;
  complete?(dev: D): MaybePromise<void>;
}

/** Whether probes of a driver may run on their own, beside the operation that found the device. */
export type ProbeType = 'default' | 'prefer-asynchronous' | 'force-synchronous';

/**
 * A device driver: what a bus calls when a device of its kind comes and goes.
 *
 * `probe` takes everything it needs through its device, so that all of it is undone at unbind, last first; it has no error
 * path of its own. What it returns is the driver's state for that device.
 * @typeParam D the kind of device; @typeParam S what probe returns
 * @see Linux 6.12 include/linux/device/driver.h struct device_driver
 */
export interface Driver<D extends Device = Device, S = unknown> {
  /** Unique on its bus. */
  readonly name: string;
  readonly probeType?: ProbeType;
  /** True: no `bind` and `unbind` attributes. */
  readonly suppressBindAttrs?: boolean;
  /** True: it does not use the default DMA domain, and takes the device's group for a user (`Iommu.claimOwner`). */
  readonly managesDma?: boolean;
  /** Attributes of the driver itself. */
  readonly groups?: readonly AttributeGroup<Driver>[];
  /** Attributes of every device while it is bound. */
  readonly devGroups?: readonly AttributeGroup<Device>[];
  readonly pm?: PmOps<D>;

  /**
   * Makes the device work. Throws to refuse: `ENODEV` or `ENXIO` for "not mine", `defer(reason)` for "later".
   * @param id what the bus matched, such as the entry of the driver's id table
   */
  probe?(dev: D, id?: unknown): MaybePromise<S>;
  /** Stops the device. What was acquired in probe is released after it; children are gone before it. */
  remove?(dev: D, state: S): MaybePromise<void>;
  /** The machine is going down: quiesce the device; it stays bound. */
  shutdown?(dev: D, state: S): MaybePromise<void>;
  /** Every consumer of the device is bound: take over its state. Called once in the life of a device. */
  syncState?(dev: D): void;
}

/** A driver on its bus: the devices bound to it and who is busy with it. @internal */
export class DriverRecord {
  readonly node: ListNode<DriverRecord>;
  /** Bound devices, in the order they were bound. */
  readonly devices = new List<Device>();
  readonly attributes: AttributeSet<Driver>;
  /** Scans that stand on this driver. */
  scanners = 0;
  /** Queued or running asynchronous probes of this driver by the driver path. */
  jobs = 0;
  waiters: (() => void)[] = [];
  /** Whether it is on the bus's list of drivers. */
  listed = false;
  /** Asynchronous functions are known once they were seen, to follow their callers across awaits. */
  asyncProbe: boolean;
  asyncRemove: boolean;

  constructor(
    readonly driver: Driver,
    readonly bus: Bus,
    isAsync: (fn: unknown) => boolean,
  ) {
    this.node = new ListNode<DriverRecord>(this);
    this.attributes = new AttributeSet<Driver>(driver, driver.name);
    // oxlint-disable-next-line typescript/unbound-method -- looked at, not called
    this.asyncProbe = isAsync(driver.probe) || isAsync(bus.ops.probe);
    // oxlint-disable-next-line typescript/unbound-method -- looked at, not called
    this.asyncRemove = isAsync(driver.remove) || isAsync(bus.ops.remove);
  }

  /** Wakes those who wait for scans or jobs to leave. */
  wake(): void {
    if (this.waiters.length === 0) return;
    const all = this.waiters;
    this.waiters = [];
    for (const resolve of all) resolve();
  }
}
