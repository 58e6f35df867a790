import { AuxiliaryBus } from './auxiliary/index.js';
import { type CoreOptions, DeviceCore } from './device/index.js';
import { refuseInside } from './device/work.js';
import type { Host } from './hal/index.js';
import { Dma, type DmaOptions, type InterruptPlatform, Iommu, type IommuPolicy, buildInterruptPlatform } from './iommu/index.js';
import { ContextClock, IrqCore, Irqs, type VectorOptions } from './irq/index.js';
import { Errno, collect, joinErrors } from './lib/index.js';
import { Ims, Msi, messageSenderOf } from './msi/index.js';
import { PciBus, type PciBusOptions, PciDevice, pciPasids } from './pci/index.js';
import { FauxBus, PlatformBus } from './platform/index.js';
import { MdevBus, Vfio, type VfioPolicy } from './vfio/index.js';

/** How a kernel behaves; all of it has a default. */
export interface KernelOptions {
  readonly core?: Omit<CoreOptions, 'clock' | 'initialPhase'>;
  readonly pci?: PciBusOptions;
  readonly irq?: {
    /** Hard handlers run as threads where that is possible; default false. Linux's `threadirqs`. */
    readonly threadIrqs?: boolean;
    /** Which vectors its CPUs have; default those of x86. */
    readonly vectors?: VectorOptions;
  };
  /** How buffers are mapped for devices, and how that is checked. */
  readonly dma?: Omit<DmaOptions, 'domainOf'>;
  /** What devices can reach where the host has an IOMMU. */
  readonly iommu?: IommuPolicy;
  /** How devices are handed to users. */
  readonly vfio?: VfioPolicy;
}

/**
 * The core on one host, assembled without a container: driver core, buses, and the services drivers use.
 *
 * Between `start` and `stop` the devices of the host are there; drivers may be registered before. It runs once.
 */
export class Kernel {
  readonly core: DeviceCore;
  readonly pci: PciBus;
  readonly auxiliary: AuxiliaryBus;
  readonly platform: PlatformBus;
  readonly faux: FauxBus;
  readonly dma: Dma;
  readonly iommu: Iommu;
  readonly irqs: Irqs;
  /** The domains between the CPUs and the devices. */
  readonly interrupts: InterruptPlatform;
  readonly msi: Msi;
  readonly ims: Ims;
  readonly vfio: Vfio;
  readonly mdev: MdevBus;
  readonly clock: ContextClock;
  #isStarted = false;
  #hasHost = false;
  #end: Promise<void> | undefined = undefined;
  #dmaBytes = 0;

  constructor(
    readonly host: Host,
    options: KernelOptions = {},
  ) {
    // The clock of a remote host runs from its start on: until then no timeout may begin.
    this.clock = new ContextClock(host.clock);
    this.core = new DeviceCore({ ...options.core, clock: this.clock, initialPhase: true });
    const irq = new IrqCore(this.core, host.interrupts, options.irq);
    this.irqs = new Irqs(irq);
    this.interrupts = buildInterruptPlatform(irq, options.irq?.vectors);
    const { msiParent: domain, lines } = this.interrupts;
    this.msi = new Msi(irq, (dev) => ({ domain, requesterId: messageSenderOf(dev)?.requesterId }));
    this.ims = new Ims(this.msi);
    const ports = { pasidsOf: pciPasids, later: (fn: () => void) => irq.windows.queueCall(fn) };
    this.iommu = new Iommu(this.core, host.iommu, ports, options.iommu);
    const { busHooks } = this.iommu;
    this.faux = new FauxBus(this.core);
    this.platform = new PlatformBus(this.core, host, { irqs: this.irqs, lines }, busHooks);
    this.auxiliary = new AuxiliaryBus(this.core);
    this.pci = new PciBus(this.core, host, options.pci, { irqs: this.irqs, msi: this.msi, msiParent: domain, lines }, busHooks);
    this.iommu.watch(this.platform);
    this.iommu.watch(this.pci.bus);
    // Buffers are mapped where a device is when nobody attaches anything.
    this.dma = new Dma(this.core, host, { ...options.dma, domainOf: (dev) => this.iommu.group(dev)?.defaultDomain });
    const { irqs, iommu } = this;
    const hasIsolatedMsi = domain?.isolatedMsi ?? true;
    const { iommu: hardware, dma: memory } = host;
    this.vfio = new Vfio(this.core, { irqs, iommu, hardware, memory, hasIsolatedMsi }, options.vfio);
    this.mdev = new MdevBus(this.core, (dev) => this.vfio.deviceOf(dev)?.unregister());
  }

  /**
   * Starts the host and finds its devices; resolves when those that have drivers are probed.
   * @throws {Errno} EBUSY the second time; what the host threw. Nothing is left running then
   */
  async start(): Promise<void> {
    if (this.#isStarted) throw new Errno('EBUSY', `${this.host.name}: the kernel was started before: make a new one`);
    this.#isStarted = true;
    try {
      await this.host.start(this.core.log);
      this.#hasHost = true;
      this.#openWindows();
      this.#dmaBytes = this.host.dma.allocatedBytes;
      await this.pci.start();
      this.core.endInitialPhase();
      await this.core.settle();
    } catch (error) {
      const errors: unknown[] = [error];
      await collect(errors, () => (this.#end ??= this.#stop()));
      throw joinErrors(errors, 'stopping the kernel that did not start');
    }
  }

  /**
   * Removes every device, children and consumers first, then the drivers and buses, and stops the host. Idempotent.
   * @throws what drivers threw, after all is done; {Errno} EBUSY with the list of what was left over; EDEADLK from inside a
   *   callback of a driver, and nothing is done then
   */
  async stop(): Promise<void> {
    if (!this.#isStarted) return;
    refuseInside('stopping the kernel');
    await (this.#end ??= this.#stop());
  }

  async #stop(): Promise<void> {
    const { core, host } = this;
    const errors: unknown[] = [];
    await collect(errors, () => core.settle());
    await collect(errors, () => this.vfio.close());
    await this.#removeDevices(errors);
    await collect(errors, () => this.pci.stop());
    await this.#unregisterDrivers(errors);
    await collect(errors, () => this.platform.close());
    await collect(errors, () => this.faux.close());
    await collect(errors, () => core.unregisterBus(this.mdev));
    await collect(errors, () => core.unregisterBus(this.auxiliary));
    await collect(errors, () => core.unregisterBus(this.pci.bus));
    await collect(errors, () => this.dma.close());
    await collect(errors, () => this.iommu.close());
    await collect(errors, () => this.interrupts.close());
    const left = this.#leftOvers();
    core.stop();
    host.interrupts?.attach(undefined);
    // One that did not start has left nothing running, and may be running for somebody else.
    if (this.#hasHost) await collect(errors, () => host.stop());
    if (left.length > 0) errors.push(new Errno('EBUSY', `${host.name}: left over at the end: ${left.join(', ')}`));
    if (errors.length > 0) throw joinErrors(errors, `stopping the kernel on ${host.name}`);
  }

  /** From now on interrupts are delivered. */
  #openWindows(): void {
    const { core, irqs, clock, host } = this;
    const { windows } = irqs.core;
    core.sections.onLeave = () => windows.drain();
    core.sections.check = () => irqs.core.mightSleep('an operation of the core', undefined);
    clock.check = (what) => irqs.core.mightSleep(what, undefined);
    clock.onEvent(() => windows.drain());
    host.interrupts?.attach(windows);
  }

  /** All but the roots of the tree, in the order of shutdown. */
  async #removeDevices(errors: unknown[]): Promise<void> {
    for (const dev of this.core.order.toArray().reverse()) {
      const isRoot = dev.bus === undefined && dev.parent === undefined;
      // What a driver added or published goes when that driver is unbound, in its order.
      if (!dev.registered || dev.isLeaving || isRoot || dev.ownedBy !== undefined) continue;
      await collect(errors, () => (dev instanceof PciDevice ? this.pci.remove(dev) : this.core.remove(dev)));
    }
  }

  async #unregisterDrivers(errors: unknown[]): Promise<void> {
    for (const bus of [...this.core.buses.values()].reverse()) {
      if (bus.name === this.faux.name) continue;
      for (const driver of bus.drivers.reverse()) await collect(errors, () => this.core.unregisterDriver(bus, driver));
    }
  }

  #leftOvers(): string[] {
    const { core, host } = this;
    const left = core.order.toArray().map((dev) => `device ${dev.name}`);
    for (const cls of core.classes.keys()) left.push(`class ${cls}`);
    for (const desc of this.irqs.list()) left.push(`irq ${desc.virq}`);
    const bytes = host.dma.allocatedBytes - this.#dmaBytes;
    if (bytes > 0) left.push(`${bytes} bytes of DMA memory`);
    return left;
  }
}
