import { Bus, type BusOptions, Device, type DeviceCore } from '../device/index.js';
import type { Host, PciHotplugEvent, PciRoot } from '../hal/index.js';
import {
  Errno,
  type Flow,
  type MaybePromise,
  type Subscription,
  chain,
  describeError,
  hex,
  joinErrors,
  run,
  settle,
} from '../lib/index.js';
import { type AssignOptions, HOTPLUG_BYTES, assignResources, releaseResources } from './assign.js';
import { deviceAttributes, pciUevent } from './attributes.js';
import { PciBusNode } from './bridge.js';
import { BusLock } from './bus-lock.js';
import { PciDevice } from './device.js';
import type { PciDriver } from './driver.js';
import { DynamicIds, idAttributes } from './dynamic-ids.js';
import type { PciInterrupts } from './interrupts.js';
import { HOTPLUG_BUSES, type ScanOptions, scanBus, scanSlot } from './scan.js';

/** How much is kept below hot-plug ports for what may come. */
export interface PciBusOptions {
  /** Bus numbers of a port, its own bus included; default 1. */
  readonly hotplugBuses?: number;
  /** Bytes of each kind of address space; default 256 of I/O, 2 MiB of memory, 2 MiB of prefetchable memory. */
  readonly hotplugBytes?: Partial<typeof HOTPLUG_BYTES>;
  /** Whether devices may interrupt by messages; default true. Linux's `pci=nomsi`. */
  readonly msi?: boolean;
}

type DmaHooks = Pick<BusOptions, 'dmaConfigure' | 'dmaCleanup'>;

/** One host bridge: its device, which has no driver, and its bus. */
interface Segment {
  readonly host: Device;
  readonly node: PciBusNode;
  readonly subscription: Subscription;
}

/**
 * The PCI side of one system: it finds the devices behind the host's roots, gives them their addresses, and puts them on the
 * bus `pci`; it follows what is plugged and pulled.
 *
 * The bus exists from construction on, its devices between `start` and `stop`.
 * @see Linux 6.12 drivers/pci/probe.c, setup-bus.c, pci-driver.c, remove.c
 */
export class PciBus {
  /** Devices on one side, drivers on the other. */
  readonly bus: Bus<PciDevice, PciDriver>;
  readonly #core: DeviceCore;
  readonly #host: Host;
  readonly #ids = new DynamicIds();
  readonly #lock = new BusLock();
  readonly #options: ScanOptions & AssignOptions;
  readonly #segments: Segment[] = [];
  readonly #interrupts: PciInterrupts | undefined;
  readonly #noMsi: boolean;

  /** @param interrupts how devices interrupt; without it they cannot; @param dma who is told before a probe and after a remove */
  constructor(core: DeviceCore, host: Host, options: PciBusOptions = {}, interrupts?: PciInterrupts, dma: DmaHooks = {}) {
    this.#core = core;
    this.#interrupts = interrupts;
    this.#noMsi = options.msi === false;
    this.#host = host;
    this.#options = {
      hotplugBuses: options.hotplugBuses ?? HOTPLUG_BUSES,
      hotplugBytes: { ...HOTPLUG_BYTES, ...options.hotplugBytes },
      log: (dev, text) => core.log.write('err', dev.name, text, 'pci_resources'),
    };
    const ids = this.#ids;
    const bus: Bus<PciDevice, PciDriver> = new Bus('pci', {
      ...dma,
      match: (dev, driver) => ids.match(dev, driver),
      uevent: pciUevent,
      wrapsDriver: true,
      probe: (dev, driver, id) => chain(dev.setPowerState(0), () => driver.probe(dev, id as never)),
      driverOverride: true,
      checkDriver: (driver) => {
        if (!Array.isArray(driver.ids) || typeof driver.probe !== 'function') {
          throw new Errno('EINVAL', `${driver.name}: a PCI driver has ids and a probe`);
        }
        // Lines that were added live as long as the driver is registered.
        if (bus.findDriver(driver.name) === undefined) ids.forget(driver);
      },
      busGroups: [{ attributes: [{ name: 'rescan', store: (_bus, text) => (/^[1y]/i.test(text) ? this.rescan() : undefined) }] }],
      devGroups: [deviceAttributes({ remove: (dev) => this.remove(dev) })],
      drvGroups: [{ attributes: idAttributes(ids, (driver) => core.attachDriver(bus, driver)) }],
      explain: (dev, driver) => explain(dev, driver, ids),
    });
    this.bus = bus;
    core.registerBus(bus);
  }

  /** The devices, in the order they were found. */
  get devices(): PciDevice[] {
    return this.bus.devices;
  }

  /** The device at an address such as `0000:00:05.0`. */
  find(name: string): PciDevice | undefined {
    return this.bus.find(name);
  }

  /** Adds a driver and probes the devices it matches. */
  register(driver: PciDriver): MaybePromise<void> {
    return this.bus.register(driver);
  }

  /** Unbinds every device of a driver and takes it off the bus. */
  unregister(driver: PciDriver): MaybePromise<void> {
    return this.bus.unregister(driver);
  }

  /**
   * Finds all devices, assigns them addresses, and offers them to the drivers. When it fails, nothing of it is left.
   * @throws {Errno} EBUSY when it was started before
   */
  start(): MaybePromise<void> {
    if (this.#segments.length > 0) throw new Errno('EBUSY', 'pci: is started already');
    return run(this.#lock.hold('start', () => this.#start()));
  }

  /** Takes all devices off the bus, last first. The bus and its drivers stay. Idempotent. */
  stop(): MaybePromise<void> {
    for (const { subscription } of this.#segments) subscription.dispose();
    return run(this.#lock.hold('stop', () => this.#stop()));
  }

  /** Looks for devices that are new, on all buses. @see Linux 6.12 drivers/pci/probe.c pci_rescan_bus */
  rescan(): MaybePromise<void> {
    return run(this.#lock.hold('rescan', () => this.#rescan()));
  }

  /**
   * Takes a device, and first all below it, off the bus. It stays plugged, and a rescan finds it again.
   * @throws what its drivers threw, after all is done
   * @see Linux 6.12 drivers/pci/remove.c pci_stop_and_remove_bus_device_locked
   */
  remove(dev: PciDevice): MaybePromise<void> {
    return run(this.#lock.hold('removal', () => this.#removeOrThrow(dev)));
  }

  *#start(): Flow<void> {
    try {
      for (const root of this.#host.pci) yield* this.#addRoot(root);
      for (const { node } of this.#segments) yield* this.#settle(node, scanBus(node, node.root.lastBus, this.#options));
    } catch (error) {
      const errors: unknown[] = [error];
      yield* this.#stopInto(errors);
      throw joinErrors(errors, 'unwinding the start of pci');
    }
  }

  *#addRoot(root: PciRoot): Flow<void> {
    const host = new Device({ name: `pci${hex(root.segment, 4)}:${hex(root.firstBus, 2)}`, release: () => {} });
    yield* settle(this.#core.add(host));
    const node = new PciBusNode(root, root.firstBus, host, undefined, this.#interrupts);
    node.noMsi = this.#noMsi;
    node.subordinate = root.lastBus;
    const subscription = root.onHotplug((event) => this.#onHotplug(node, event));
    this.#segments.push({ host, node, subscription });
  }

  *#stop(): Flow<void> {
    const errors: unknown[] = [];
    yield* this.#stopInto(errors);
    if (errors.length > 0) throw joinErrors(errors, 'stop of pci');
  }

  *#stopInto(errors: unknown[]): Flow<void> {
    for (let segment = this.#segments.pop(); segment !== undefined; segment = this.#segments.pop()) {
      const { host, node, subscription } = segment;
      subscription.dispose();
      for (const dev of node.devices.slice().reverse()) yield* this.#removeTree(dev, errors);
      yield* settle(this.#core.remove(host));
    }
  }

  *#rescan(): Flow<void> {
    for (const { node } of this.#segments) yield* this.#settle(node, scanBus(node, node.root.lastBus, this.#options));
  }

  /** Gives what was found below `top` its addresses, bus by bus, then adds it. */
  *#settle(top: PciBusNode, found: readonly PciDevice[]): Flow<void> {
    const buses = new Map<PciBusNode, PciDevice[]>();
    for (const dev of found) {
      const devices = buses.get(dev.node);
      if (devices === undefined) buses.set(dev.node, [dev]);
      else devices.push(dev);
    }
    for (const [node, devices] of buses) assignResources(node, devices, this.#options);
    yield* this.#addNew(top);
  }

  /** Devices of a bus come before those of the buses below it. @see Linux 6.12 drivers/pci/bus.c pci_bus_add_devices */
  *#addNew(node: PciBusNode): Flow<void> {
    for (const dev of node.devices.slice()) if (!dev.registered) yield* this.#add(dev);
    for (const { registered, secondary } of node.devices.slice())
      if (registered && secondary !== undefined) yield* this.#addNew(secondary);
  }

  *#add(dev: PciDevice): Flow<void> {
    for (const line of dev.found()) this.#core.logFor('info', dev.name, line, 'pci_found');
    try {
      yield* settle(this.bus.add(dev));
    } catch (error) {
      yield* this.#removeTree(dev, []);
      throw error;
    }
  }

  *#removeOrThrow(dev: PciDevice): Flow<void> {
    const errors: unknown[] = [];
    yield* this.#removeTree(dev, errors);
    if (errors.length > 0) throw joinErrors(errors, `removal of ${dev.name}`);
  }

  /** Last first, and those below a bridge before it. */
  *#removeTree(dev: PciDevice, errors: unknown[]): Flow<void> {
    const { secondary } = dev;
    for (const child of secondary?.devices.slice().reverse() ?? []) yield* this.#removeTree(child, errors);
    // What could not be removed keeps the bridge above it.
    if (secondary !== undefined && secondary.devices.length > 0) return;
    if (dev.registered) {
      try {
        yield* settle(this.#core.remove(dev));
      } catch (error) {
        errors.push(error);
        if (dev.registered) return;
      }
    }
    releaseResources(dev);
    dev.node.remove(dev);
  }

  /** May come in the middle of a driver's register access: what is gone is marked at once, the work is done soon after. */
  #onHotplug(top: PciBusNode, event: PciHotplugEvent): void {
    const node = findBus(top, event.bus);
    if (node === undefined) return;
    if (event.action === 'added') {
      this.#soon(`hot add on bus ${hex(event.bus, 2)}`, () => this.#hotAdd(node, event.devfn >> 3));
      return;
    }
    const dev = node.find(event.devfn);
    if (dev === undefined || dev.isMarkedGone) return;
    dev.markGone();
    dev.log('info', 'is gone', 'pci_gone');
    this.#soon(`removal of ${dev.name}`, () => this.#removeOrThrow(dev));
  }

  *#hotAdd(node: PciBusNode, device: number): Flow<void> {
    // The bus may have gone meanwhile.
    if (node.bridge !== undefined && !node.bridge.registered) return;
    const last = node.subordinate;
    const found = scanSlot(node, device);
    if (found.some((dev) => dev.isBridge)) scanBus(node, last, this.#options);
    yield* this.#settle(node, found);
  }

  #soon(what: string, body: () => Flow<void>): void {
    const { log } = this.#core;
    const lock = this.#lock;
    this.#core.schedule(function* () {
      try {
        yield* lock.hold(what, body);
      } catch (error) {
        log.write('err', 'pci', `${what} failed: ${describeError(error)}`, 'pci_hotplug');
      }
    });
  }
}

function findBus(node: PciBusNode, number: number): PciBusNode | undefined {
  if (node.number === number) return node;
  for (const { secondary } of node.devices) {
    if (secondary !== undefined && secondary.number <= number && number <= secondary.subordinate)
      return findBus(secondary, number);
  }
  return undefined;
}

function explain(dev: PciDevice, driver: PciDriver, ids: DynamicIds): string {
  const who = `${hex(dev.vendorId, 4)}:${hex(dev.deviceId, 4)} class ${hex(dev.classCode, 6)}`;
  if (dev.driverOverride !== undefined && dev.driverOverride !== driver.name) return `driver_override is ${dev.driverOverride}`;
  return ids.match(dev, driver) === undefined ? `no id of ${driver.name} is for ${who}` : `an id of ${driver.name} is for ${who}`;
}
