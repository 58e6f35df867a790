import { DeviceCore, type Violation } from '../../../core/device/index.js';
import { PciBus, type PciBusOptions, type PciDevice, type PciDriver, type PciId } from '../../../core/pci/index.js';
import { Machine, type MachineOptions, type PciModel, pcie, powerManagement } from '../../../hw/sim/index.js';
import { scratch } from '../../hw/sim/fixture.js';

/** A system with nothing in it but PCI: the real core over a simulated machine. */
export class PciSystem implements AsyncDisposable {
  readonly machine: Machine;
  readonly core: DeviceCore;
  readonly pci: PciBus;
  readonly violations: Violation[] = [];

  constructor(options: MachineOptions, busOptions: PciBusOptions = {}) {
    this.machine = new Machine(options);
    this.core = new DeviceCore({ clock: this.machine.clock });
    this.core.violations.on((violation) => this.violations.push(violation));
    this.pci = new PciBus(this.core, this.machine, busOptions);
  }

  static async start(options: MachineOptions, busOptions?: PciBusOptions): Promise<PciSystem> {
    const system = new PciSystem(options, busOptions);
    await system.pci.start();
    return system;
  }

  /** The device at an address; it must be there. */
  device(name: string): PciDevice {
    const dev = this.pci.find(name);
    if (dev === undefined) throw new Error(`no ${name}, but ${this.names().join(', ')}`);
    return dev;
  }

  names(): string[] {
    return this.pci.devices.map((dev) => dev.name);
  }

  /** Lines of the log with this id. */
  logged(id: string): string[] {
    return this.core.log
      .records()
      .filter((record) => record.id === id)
      .map((record) => `${record.who}: ${record.text}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pci.stop();
    for (const driver of this.pci.bus.drivers) await this.pci.unregister(driver);
    this.machine.stop();
  }
}

/** Ids of {@link scratch}. */
export const SCRATCH = { vendor: 0x1af4, device: 0x10f0 };

/** A driver that takes what `take` takes, and remembers who was probed with what. */
export class TestDriver implements PciDriver {
  readonly probed: string[] = [];
  readonly removed: string[] = [];
  readonly given: PciId[] = [];
  constructor(
    readonly ids: readonly PciId[] = [SCRATCH],
    public take: (dev: PciDevice) => unknown = () => undefined,
    readonly name = 'test',
  ) {}

  probe(dev: PciDevice, id: PciId): unknown {
    this.probed.push(dev.name);
    this.given.push(id);
    return this.take(dev);
  }

  remove(dev: PciDevice): void {
    this.removed.push(dev.name);
  }
}

/** A device of PCI Express with one BAR. */
export function express(options: { flr?: boolean; noSoftReset?: boolean } = {}): PciModel & ReturnType<typeof scratch> {
  return scratch({
    capabilities: [powerManagement({ noSoftReset: options.noSoftReset ?? true }), pcie({ flr: options.flr ?? false })],
  });
}
