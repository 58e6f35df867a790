import { Bus, type BusOptions, Device, type DeviceCore, rootDevice } from '../device/index.js';
import { Errno } from '../lib/errno.js';
import { type MaybePromise, chain, isThenable } from '../lib/flow.js';
import { IdAllocator } from '../lib/id-allocator.js';
import { PlatformDevice, type PlatformHost, type PlatformInterrupts, type PlatformOptions } from './platform-device.js';
import type { PlatformDriver, PlatformId } from './platform-driver.js';
import { ResourceTree } from './resource-tree.js';

/** How far the one registration of a driver with `registerOnce` has come. */
type Once = 'open' | 'shut';

type DmaHooks = Pick<BusOptions, 'dmaConfigure' | 'dmaCleanup'>;

/** An id table, when there is one, is all that counts. @see Linux 6.12 drivers/base/platform.c platform_match */
function match(dev: PlatformDevice, driver: PlatformDriver): PlatformId | boolean {
  if (driver.ids === undefined) return driver.name === dev.baseName;
  return driver.ids.find((id) => id.name === dev.baseName) ?? false;
}

/**
 * The bus of devices that no bus finds.
 * @see Linux 6.12 drivers/base/platform.c
 */
export class PlatformBus extends Bus<PlatformDevice, PlatformDriver> {
  /** Parent of the devices that name none. */
  readonly root: Device;
  readonly mem = new ResourceTree('mem');
  readonly io = new ResourceTree('io');
  readonly #core: DeviceCore;
  readonly #host: PlatformHost | undefined;
  readonly #interrupts: PlatformInterrupts | undefined;
  readonly #autoIds = new IdAllocator('platform');
  readonly #once: WeakMap<object, Once>;

  /**
   * Registers bus `platform` and its root device.
   * @param host maps the devices' registers; without it `mapMem` gives EOPNOTSUPP
   * @param interrupts the lines of devices; without it the number of an interrupt is that of its resource
   * @param dma who is told before a probe and after a remove
   * @throws {Errno} EEXIST when the system has one
   */
  constructor(core: DeviceCore, host?: PlatformHost, interrupts?: PlatformInterrupts, dma: DmaHooks = {}) {
    const once = new WeakMap<object, Once>();
    super('platform', {
      ...dma,
      match,
      driverOverride: true,
      wrapsDriver: true,
      probe: (dev, driver, id) => probe(dev, driver, id as PlatformId | true, once.get(driver)),
      uevent: (dev, env) => env.set('MODALIAS', `platform:${dev.baseName}`),
      devGroups: [{ attributes: [{ name: 'modalias', show: (dev) => `platform:${(dev as PlatformDevice).baseName}\n` }] }],
      checkDriver: (driver) => {
        if (once.get(driver) === 'shut') once.delete(driver);
      },
      explain: (dev, driver) =>
        driver.ids === undefined
          ? `name ${dev.baseName}, driver ${driver.name}`
          : `name ${dev.baseName}, ids ${driver.ids.map((id) => id.name).join(', ')}`,
    });
    this.#core = core;
    this.#host = host;
    this.#interrupts = interrupts;
    this.#once = once;
    core.registerBus(this);
    this.root = rootDevice(core, 'platform');
    this.notifier.on((event, dev) => {
      if (event === 'REMOVED') this.#disclaim(dev as PlatformDevice);
    });
  }

  /**
   * Names a device, claims its addresses, adds it and probes it. When this throws, only `put` is left to do.
   * @throws {Errno} EEXIST when the name is taken; EBUSY when an address range is
   * @see Linux 6.12 drivers/base/platform.c platform_device_add
   */
  override add(dev: PlatformDevice): MaybePromise<void> {
    return this.#claimed(dev, () => super.add(dev));
  }

  /**
   * Adds a device on behalf of the driver of its parent: it is gone before that driver's `remove`, or after its failed probe.
   * @throws {Errno} as `add`, and ENODEV unless the parent is bound or being bound; nothing is left of the device then
   */
  addChild(parent: Device, options: Omit<PlatformOptions, 'parent'>): MaybePromise<PlatformDevice> {
    const dev = new PlatformDevice({ ...options, parent });
    dev.bus = this;
    let given = false;
    try {
      const done = this.#claimed(dev, () => {
        given = true;
        return this.#core.addChild(parent, dev);
      });
      return chain(done, () => dev);
    } catch (error) {
      if (!given) dev.put();
      throw error;
    }
  }

  /**
   * Registers a driver that probes the devices there now and none later: they cannot come back, and neither can a deferral.
   * @throws {Errno} ENODEV when it bound nothing, and it is not registered then; EINVAL when it probes asynchronously
   * @see Linux 6.12 drivers/base/platform.c __platform_driver_probe
   */
  registerOnce(driver: PlatformDriver): MaybePromise<void> {
    if (this.#core.allowsAsync(driver)) {
      this.#core.logFor('err', driver.name, 'a driver that is registered once cannot probe asynchronously', 'once_async');
      throw new Errno('EINVAL', `${driver.name}: cannot be registered once: it probes asynchronously`);
    }
    this.#once.set(driver, 'open');
    const registered = (): MaybePromise<void> => {
      this.#once.set(driver, 'shut');
      if (this.devicesOf(driver).length > 0) {
        const attributes = this.records.get(driver.name)?.attributes;
        attributes?.remove('bind');
        attributes?.remove('unbind');
        return undefined;
      }
      return chain(this.unregister(driver), () => {
        throw new Errno('ENODEV', `${driver.name}: bound no device, and is not registered`);
      });
    };
    const failed = (error: unknown): never => {
      this.#once.delete(driver);
      throw error;
    };
    let done: MaybePromise<void>;
    try {
      done = this.register(driver);
    } catch (error) {
      return failed(error);
    }
    return isThenable(done) ? Promise.resolve(done).then(registered, failed) : registered();
  }

  /** Takes the bus and its root device out of the system. @throws {Errno} EBUSY while it has devices or drivers */
  close(): void {
    this.#core.unregisterBus(this);
    void this.#core.remove(this.root);
  }

  /** Claims for a device what `add` then makes it keep, or gives it back. */
  #claimed(dev: PlatformDevice, add: () => MaybePromise<void>): MaybePromise<void> {
    if (dev.phase !== 'new') return add();
    this.#claim(dev);
    try {
      return add();
    } catch (error) {
      this.#disclaim(dev);
      throw error;
    }
  }

  #claim(dev: PlatformDevice): void {
    dev.parent ??= this.root;
    dev.host = this.#host;
    dev.interrupts = this.#interrupts;
    if (dev.isAuto) {
      dev.id = this.#autoIds.alloc();
      dev.rename(`${dev.baseName}.${dev.id}.auto`);
    }
    try {
      for (const resource of dev.resources) {
        if (resource.kind !== 'irq') dev.claims.push(this[resource.kind].claim(resource, dev.name));
      }
    } catch (error) {
      this.#core.logFor('err', dev.name, `resource not claimed: ${(error as Errno).text}`, 'claim_failed');
      this.#disclaim(dev);
      throw error;
    }
  }

  /** Gives everything back, last first. */
  #disclaim(dev: PlatformDevice): void {
    const mine = dev.resources.filter((r) => r.kind !== 'irq');
    for (let claim = dev.claims.pop(); claim !== undefined; claim = dev.claims.pop()) {
      this[mine[dev.claims.length]!.kind as 'io' | 'mem'].release(claim);
    }
    if (!dev.isAuto || dev.id === undefined) return;
    this.#autoIds.free(dev.id);
    dev.id = undefined;
  }
}

/** @see Linux 6.12 drivers/base/platform.c platform_probe, platform_probe_fail */
function probe(
  dev: PlatformDevice,
  driver: PlatformDriver,
  id: PlatformId | true,
  once: Once | undefined,
): MaybePromise<unknown> {
  if (once === undefined) return driver.probe?.(dev, id);
  if (once === 'shut') throw new Errno('ENXIO', `${dev.name}: driver ${driver.name} probed once, and probes no more`);
  const failed = (error: unknown): never => {
    if (!Errno.is(error, 'EPROBE_DEFER')) throw error;
    dev.log('warn', 'a driver that is registered once cannot defer its probe', 'once_deferred');
    throw new Errno('ENXIO', `${dev.name}: driver ${driver.name} is registered once and cannot defer`, { cause: error });
  };
  try {
    const done = driver.probe?.(dev, id);
    return isThenable(done) ? Promise.resolve(done).then(undefined, failed) : done;
  } catch (error) {
    return failed(error);
  }
}
