import type { DevresHooks } from '../devres/index.js';
import type { Clock } from '../hal/clock.js';
import { Errno, describeError } from '../lib/errno.js';
import type { Flow } from '../lib/flow.js';
import { List } from '../lib/list.js';
import { Log, type LogLevel } from '../lib/log.js';
import { Signal } from '../lib/signal.js';
import { attachDevice, attachDriver, bindDevice, bindMatching, outcome, recordFor, reprobe, rescan } from './attach.js';
import type { AttributeSet } from './attribute.js';
import type { Bus, BusEvent } from './bus.js';
import type { Class, ClassInterface } from './class.js';
import { DeferredProbe } from './deferred.js';
import type { Device } from './device.js';
import { Directory } from './directory.js';
import { registerDriver, unregisterDriver } from './driver-registration.js';
import type { Driver } from './driver.js';
import { SyncState } from './link-state.js';
import { type DeviceLink, addLink, deleteLink } from './link.js';
import { type CoreOptions, CALLBACK_LIMIT_US, DEFERRED_TIMEOUT_US, type Violation } from './options.js';
import { Power } from './power.js';
import { addChild, addDevice, deleteDevice, removeChild } from './registration.js';
import { registerBus, registerClass, registerInterface, unregisterBus, unregisterClass } from './registry.js';
import { Sections } from './sections.js';
import { populateDevice } from './sysfs.js';
import type { Tracer } from './trace.js';
import type { Uevent } from './uevent.js';
import { throwAll, unbindDevice } from './unbind.js';
import { Work, refuseInside } from './work.js';

/**
 * The driver core of one system: its tree of devices, its buses and classes, and what is going on in it.
 *
 * Every operation runs at once and returns; it returns a promise only when a driver's callback, or somebody else's operation
 * on the same device, makes it wait.
 * @see Linux 6.12 drivers/base/core.c, bus.c, dd.c, driver.c
 */
export class DeviceCore {
  readonly clock: Clock;
  readonly log: Log;
  readonly options: {
    callbackLimitUs: number;
    modules: boolean;
    testRemove: boolean;
    asyncProbe: readonly string[];
  };
  readonly buses = new Map<string, Bus>();
  readonly classes = new Map<string, Class>();
  /** Every event, as it is sent. */
  readonly uevents = new Signal<[Uevent]>();
  /** Every broken rule, as it is found. */
  readonly violations = new Signal<[Violation]>();
  readonly deferred: DeferredProbe;
  readonly syncState: SyncState;
  /** All registered devices in the order of system sleep; shutdown goes backwards. @internal */
  readonly order = new List<Device>();
  /** @internal */
  readonly rootDir = new Directory(() => '/devices');
  readonly #virtual = new Map<string, Directory>();
  /** @internal */
  readonly sections = new Sections();
  /** Sees every step; absent when nobody looks. @internal */
  tracer: Tracer | undefined = undefined;
  /** Sees and may refuse every acquisition. @internal */
  devresHooks: DevresHooks | undefined = undefined;
  /** @internal */
  ueventSeq = 0;
  #blocked = false;
  readonly #work = new Work(this);
  readonly #power = new Power(this, (flow) => this.#work.enter(flow));

  constructor(options: CoreOptions) {
    this.clock = options.clock;
    this.log = options.log ?? new Log(() => this.clock.now());
    this.options = {
      callbackLimitUs: options.callbackLimitUs ?? CALLBACK_LIMIT_US,
      modules: options.modules ?? true,
      testRemove: options.testRemove ?? false,
      asyncProbe: options.asyncProbe ?? [],
    };
    const initial = options.initialPhase ?? false;
    this.syncState = new SyncState(this, initial);
    this.deferred = new DeferredProbe(this, initial, options.deferredTimeoutUs ?? DEFERRED_TIMEOUT_US);
  }

  // Buses and classes

  /** Lets devices and drivers come to a bus. @throws {Errno} EEXIST when there is a bus of this name */
  registerBus<D extends Device, R extends Driver>(bus: Bus<D, R>): void {
    registerBus(this, bus);
  }

  /** Takes an empty bus away. @throws {Errno} EBUSY while it has devices or drivers; EINVAL when it is not registered */
  unregisterBus<D extends Device, R extends Driver>(bus: Bus<D, R>): void {
    unregisterBus(this, bus);
  }

  /** Lets devices come to a class. @throws {Errno} EEXIST when there is a class of this name */
  registerClass(cls: Class): void {
    registerClass(this, cls);
  }

  /** Takes an empty class away. @throws {Errno} EBUSY while it has devices; EINVAL when it is not registered */
  unregisterClass(cls: Class): void {
    unregisterClass(this, cls);
  }

  /** Lets `face` hear of the devices of a class, those there first. @throws {Errno} EINVAL when the class is not registered */
  registerInterface(cls: Class, face: ClassInterface): void {
    registerInterface(this, cls, face);
  }

  unregisterInterface(cls: Class, face: ClassInterface): void {
    cls.removeInterface(this, face);
  }

  // Devices

  /** Puts a device into the tree and probes it. See {@link addDevice}. */
  add(dev: Device): void | Promise<void> {
    return this.#work.enter(addDevice(this, dev));
  }

  /**
   * Adds a device on behalf of the driver of `parent`: it is gone before that driver's `remove` runs. The child's reference is
   * given to the core, also when this fails.
   * @throws {Errno} ENODEV unless `parent` is bound or being bound
   */
  addChild(parent: Device, child: Device): void | Promise<void> {
    return this.#work.enter(addChild(this, parent, child));
  }

  /** Unbinds a device, takes it out of the tree and gives up its creator's reference. */
  remove(dev: Device): void | Promise<void> {
    const errors: unknown[] = [];
    return this.#work.enter(deleteDevice(this, dev, errors, true), () => throwAll(errors, 'removal', dev));
  }

  /** As `remove`, but the creator's reference stays. Linux's `device_del`. */
  delete(dev: Device): void | Promise<void> {
    const errors: unknown[] = [];
    return this.#work.enter(deleteDevice(this, dev, errors, false), () => throwAll(errors, 'removal', dev));
  }

  // Drivers

  registerDriver(bus: Bus, driver: Driver): void | Promise<void> {
    return this.#work.enter(registerDriver(this, bus, driver));
  }

  unregisterDriver(bus: Bus, driver: Driver): void | Promise<void> {
    return this.#work.enter(unregisterDriver(this, bus, driver));
  }

  /**
   * Looks for a driver for a device.
   * @returns whether it is bound now
   * @throws {Errno} what stopped the search: EPROBE_DEFER, EBUSY, ...
   * @see Linux 6.12 drivers/base/dd.c device_attach
   */
  attach(dev: Device): boolean | Promise<boolean> {
    return this.#work.enter(outcome(dev, attachDevice(this, dev, false)));
  }

  /** Offers a registered driver the unbound devices of its bus. Linux's `driver_attach`. */
  attachDriver<D extends Device, R extends Driver>(bus: Bus<D, R>, driver: R): void | Promise<void> {
    const record = bus.records.get(driver.name);
    return record?.driver === driver ? this.#work.enter(attachDriver(this, record)) : undefined;
  }

  /** Unbinds a device if it is bound, and looks for a driver again. */
  reprobe(dev: Device): boolean | Promise<boolean> {
    return this.#work.enter(outcome(dev, reprobe(this, dev)));
  }

  /** Binds a device to a driver of its bus, whether or not it matches. @throws {Errno} ENODEV, EBUSY, EAGAIN, or the probe's error */
  bind(dev: Device, driver: Driver): void | Promise<void> {
    return this.#work.enter(bindDevice(this, dev, recordFor(dev, driver), true));
  }

  /** As a write to the driver's `bind` attribute: it must match. @throws {Errno} as `bind`, and ENODEV when it does not match */
  bindMatching(dev: Device, driver: Driver): void | Promise<void> {
    return this.#work.enter(bindMatching(this, dev, recordFor(dev, driver)));
  }

  /** Unbinds a device; nothing happens when it is not bound. @param only unbind from this driver alone */
  unbind(dev: Device, only?: Driver): void | Promise<void> {
    const errors: unknown[] = [];
    return this.#work.enter(unbindDevice(this, dev, errors, only), () => throwAll(errors, 'unbind', dev));
  }

  /** Looks for drivers for all unbound devices of a bus, in order; ends at the first that the core refuses. */
  rescan(bus: Bus): void | Promise<void> {
    return this.#work.enter(rescan(this, bus));
  }

  /** Whether probes of a driver run beside the operation that found the device. */
  allowsAsync(driver: Driver): boolean {
    switch (driver.probeType) {
      case 'prefer-asynchronous':
        return true;
      case 'force-synchronous':
        return false;
      default: {
        const list = this.options.asyncProbe;
        if (list.length === 0) return false;
        return list.includes('*') !== list.includes(driver.name);
      }
    }
  }

  // Links

  /** See {@link addLink}; undefined when there can be no such link. */
  link(consumer: Device, supplier: Device, flags = 0): DeviceLink | undefined {
    return addLink(this, consumer, supplier, flags);
  }

  deleteLink(link: DeviceLink): void {
    deleteLink(this, link);
  }

  // Deferral and waiting

  /** Whether probing is held back. */
  get probingBlocked(): boolean {
    return this.#blocked;
  }

  /** Makes every probe from now on a deferral, and waits for those that run. */
  blockProbing(): void | Promise<void> {
    refuseInside('blocking probes, which waits for those that run,');
    this.#blocked = true;
    return this.#work.idle ? undefined : this.settle();
  }

  unblockProbing(): void {
    this.#blocked = false;
    this.trigger();
  }

  /** Retries the deferred devices. */
  trigger(): void {
    void this.#work.enter(this.#trigger());
  }

  /** Static drivers and devices are there: deferred devices are retried from now on. */
  endInitialPhase(): void {
    if (!this.deferred.initialPhase) return;
    this.deferred.endInitialPhase();
    // Twice, as in Linux: what the first pass bound may be what another was waiting for.
    this.trigger();
    this.trigger();
    this.syncState.resume();
  }

  /**
   * Resolves when every queued and running probe and retry is over. Linux's `wait_for_device_probe`.
   * @throws {Errno} EDEADLK from inside a callback of a driver, which would wait for itself
   */
  settle(): Promise<void> {
    return this.#work.settle();
  }

  /** Whether nothing is queued or running. */
  get idle(): boolean {
    return this.#work.idle;
  }

  /** Ends all use of the devices, which stay bound. See {@link Power.shutdown}. */
  shutdown(): void | Promise<void> {
    return this.#power.shutdown();
  }

  /** Puts the system to sleep. See {@link Power.suspend}. */
  suspend(): void | Promise<void> {
    return this.#power.suspend();
  }

  /** Wakes the system up. See {@link Power.resume}. */
  resume(): void | Promise<void> {
    return this.#power.resume();
  }

  /** Ends the core's own clock events. @internal */
  stop(): void {
    this.deferred.stop();
  }

  // For the other files of this room

  /** @internal */
  notify(dev: Device, event: BusEvent): void {
    this.tracer?.({ kind: 'notify', who: dev.name, detail: event });
    const notifier = dev.bus?.notifier;
    if (notifier?.active === true) this.guard(dev, `bus notifier at ${event}`, () => notifier.emit(event, dev));
  }

  /** Calls somebody who has no say in an operation: when it throws, that is reported, and the operation goes on. @internal */
  guard(dev: Device | undefined, what: string, fn: () => void): void {
    try {
      fn();
    } catch (error) {
      const text = `${what} threw: ${describeError(error)}`;
      this.logFor('err', dev?.name ?? 'core', text, 'callback_threw');
      this.report('callback-threw', dev, text);
    }
  }

  /** @internal */
  logFor(level: LogLevel, who: string, text: string, id?: string): void {
    this.tracer?.({ kind: 'log', who, detail: `${level}:${id ?? ''}` });
    this.log.write(level, who, text, id);
  }

  /** Records a broken rule. @internal */
  report(rule: string, dev: Device | undefined, text: string): void {
    try {
      this.violations.emit({ rule, dev: dev?.name ?? '', text });
    } catch (error) {
      // `guard` would report that as well.
      this.logFor('err', dev?.name ?? 'core', `listener of violations threw: ${describeError(error)}`, 'callback_threw');
    }
  }

  /** Records that a callback threw something other than an `Errno`: a bug, not a failure. @internal */
  checkErrno(dev: Device, what: string, error: unknown): void {
    if (!Errno.is(error)) this.report('not-an-errno', dev, `${what} threw ${describeError(error)}`);
  }

  /** Records a broken rule, and makes the error for the one who broke it. @internal */
  violate(rule: string, dev: Device | undefined, text: string): Errno {
    this.logFor('warn', dev?.name ?? 'core', text, `WARN ${rule}`);
    this.report(rule, dev, text);
    return new Errno('EINVAL', dev === undefined ? text : `${dev.name}: ${text}`, { rule });
  }

  /** @internal */
  virtualDir(cls: string): Directory {
    let dir = this.#virtual.get(cls);
    if (dir === undefined) {
      dir = new Directory(
        () => `/devices/virtual/${cls}`,
        () => this.#virtual.delete(cls),
      );
      this.#virtual.set(cls, dir);
    }
    return dir;
  }

  /** The class directories of devices without parents. @internal */
  virtualDirs(): string[] {
    return [...this.#virtual.keys()];
  }

  /** @internal */
  populate(dev: Device, set: AttributeSet<Device>): void {
    populateDevice(dev, set);
  }

  /** @internal */
  removeFlow(dev: Device, errors: unknown[]): Flow<void> {
    return removeChild(this, dev, errors);
  }

  /** @internal */
  unbindFlow(dev: Device, errors: unknown[]): Flow<void> {
    return unbindDevice(this, dev, errors);
  }

  /** Runs an operation of another file of this room. @internal */
  enter<T>(flow: Flow<T>): T | Promise<T> {
    return this.#work.enter(flow);
  }

  /** Runs something on its own, soon: an asynchronous probe. @internal */
  schedule(job: () => Flow<void>): void {
    this.#work.schedule(job);
  }

  /** Runs `fn` after the running operation; `settle` waits for it. @internal */
  later(fn: () => void): void {
    this.#work.schedule(function* (): Flow<void> {
      fn();
    });
  }

  /** @internal */
  requestWorker(): void {
    this.#work.request();
  }

  /** Runs `fn` when the retries that are due have been made. @internal */
  afterWorker(fn: () => void): void {
    this.#work.afterRetries(fn);
  }

  *#trigger(): Flow<void> {
    this.deferred.trigger();
  }
}
