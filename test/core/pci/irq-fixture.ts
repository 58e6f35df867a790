import { PCI, type MsiMsg, type Window } from '../../../core/hal/index.js';
import { Kernel, type KernelOptions } from '../../../core/kernel.js';
import type { Violation } from '../../../core/device/index.js';
import type { MsiFlag } from '../../../core/irq/index.js';
import type { PciDevice } from '../../../core/pci/index.js';
import {
  type Capability,
  type EndpointConfig,
  Machine,
  type MachineOptions,
  msi,
  msix,
  pcie,
  powerManagement,
} from '../../../hw/sim/index.js';
import { type ScratchKind, scratch } from '../../hw/sim/fixture.js';
import { TestDriver } from './fixture.js';

export { PCI };
export type MsiOptions = NonNullable<Parameters<typeof msi>[0]>;

/** Where {@link messages} has its MSI-X table and pending bits. */
export const TABLE = 0x800;
export const PBA = 0xc00;

/** What {@link messages} is to have. */
export interface Has {
  readonly msix?: number;
  readonly msi?: MsiOptions;
  readonly flr?: boolean;
  readonly noSoftReset?: boolean;
  readonly pin?: 'A' | 'B' | 'C' | 'D';
}

/** A device of PCI Express that interrupts as told; BAR 0 is memory. */
export function messages(has: Has): ScratchKind {
  const capabilities: Capability[] = [powerManagement({ noSoftReset: has.noSoftReset ?? true }), pcie({ flr: has.flr ?? true })];
  if (has.msi !== undefined) capabilities.push(msi(has.msi));
  if (has.msix !== undefined) {
    capabilities.push(msix({ vectors: has.msix, table: { bar: 0, offset: TABLE }, pba: { bar: 0, offset: PBA } }));
  }
  const config: Partial<EndpointConfig> = { capabilities, ...(has.pin !== undefined && { interruptPin: has.pin }) };
  return scratch(config);
}

/** A system on the simulated machine with one such device at 00:01.0, bound to a driver that takes nothing. */
export class IrqSystem implements AsyncDisposable {
  readonly kernel: Kernel;
  readonly violations: Violation[] = [];
  readonly driver = new TestDriver();
  /** What was written to the device since it was asked for: `COMMAND 0x402`, `entry 1 data 0x4`. */
  readonly writes: string[] = [];

  constructor(
    readonly machine: Machine,
    readonly kind: ScratchKind,
    options: KernelOptions = {},
  ) {
    for (const root of machine.pci) {
      const [config, map] = [root.config.bind(root), root.map.bind(root)];
      root.config = (bus, devfn) => this.#recorded(config(bus, devfn), (at) => configName(this.#found, at));
      root.map = (kindOf, address, size) => this.#recorded(map(kindOf, address, size), entryName);
    }
    this.kernel = new Kernel(machine, options);
    this.kernel.core.violations.on((violation) => this.violations.push(violation));
  }

  static async start(
    has: Has | ScratchKind,
    options: MachineOptions = {},
    take: (dev: PciDevice) => unknown = () => undefined,
    kernel: KernelOptions & { readonly noMask?: boolean } = {},
  ): Promise<IrqSystem> {
    const kind = 'create' in has ? has : messages(has);
    const machine = new Machine({ cpus: 4, postedWrites: false, devices: [{ at: '00:01.0', model: kind }], ...options });
    const system = new IrqSystem(machine, kind, kernel);
    if (kernel.noMask === true) (system.kernel.interrupts.msiParent!.msiParent!.supported as Set<MsiFlag>).add('no-mask');
    await system.kernel.start();
    system.driver.take = take;
    await system.kernel.pci.register(system.driver);
    return system;
  }

  get #found(): PciDevice | undefined {
    return this.kernel.pci.devices.find((dev) => !dev.isBridge);
  }

  get dev(): PciDevice {
    if (this.#found === undefined) throw new Error('no device');
    return this.#found;
  }

  get model(): ScratchKind['made'][number] {
    return this.kind.made[0]!;
  }

  get rules(): string[] {
    return this.violations.map((violation) => violation.rule);
  }

  get labels(): string[] {
    return this.dev.devres
      .entries()
      .map((entry) => entry.label)
      .reverse();
  }

  /** Lets what is pending be delivered. */
  drain(): void {
    this.kernel.irqs.drain();
  }

  /** A word of an entry of the table, as the device has it. */
  entry(index: number): { msg: MsiMsg; masked: boolean } {
    const window = this.machine.pci[0]!.map('mem', this.dev.bar(0)!.address!, 4096);
    const at = TABLE + 16 * index;
    return {
      msg: { addressLo: window.read32(at), addressHi: window.read32(at + 4), data: window.read32(at + 8) },
      masked: (window.read32(at + 12) & 1) === 1,
    };
  }

  pendingBits(): number {
    return this.machine.pci[0]!.map('mem', this.dev.bar(0)!.address!, 4096).read32(PBA);
  }

  /** A field of a control register of a capability. */
  msixControl(): { enable: boolean; functionMask: boolean } {
    const value = this.dev.config.read(PCI.inCap(this.dev.findCapability(PCI.CAP_MSIX)!, PCI.MSIX_CONTROL));
    return { enable: (value & 0x8000) !== 0, functionMask: (value & 0x4000) !== 0 };
  }

  msiControl(): { enable: boolean; messages: number } {
    const value = this.dev.config.read(PCI.inCap(this.dev.findCapability(PCI.CAP_MSI)!, PCI.MSI_CONTROL));
    return { enable: (value & 1) === 1, messages: 1 << ((value >> 4) & 7) };
  }

  get command(): { memory: boolean; master: boolean; intxDisable: boolean } {
    const value = this.dev.config.read(PCI.COMMAND);
    return { memory: (value & 2) !== 0, master: (value & 4) !== 0, intxDisable: (value & 0x400) !== 0 };
  }

  #recorded(window: Window, name: (at: number) => string): Window {
    const { writes } = this;
    const note = (at: number, value: number): void => void writes.push(`${name(at)} 0x${value.toString(16)}`);
    return {
      sizeBytes: window.sizeBytes,
      read8: (at) => window.read8(at),
      read16: (at) => window.read16(at),
      read32: (at) => window.read32(at),
      read64: (at, out) => window.read64(at, out),
      write8: (at, value) => (note(at, value), window.write8(at, value)),
      write16: (at, value) => (note(at, value), window.write16(at, value)),
      write32: (at, value) => (note(at, value), window.write32(at, value)),
      write64: (at, lo, hi) => (note(at, lo), window.write64(at, lo, hi)),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kernel.stop();
  }
}

/** The table is mapped from its start on. */
const entryName = (at: number): string => `entry ${at >> 4} ${['low', 'high', 'data', 'control'][(at >> 2) & 3]}`;

function configName(dev: PciDevice | undefined, at: number): string {
  if (at === PCI.COMMAND.offset) return 'COMMAND';
  const msixAt = dev?.findCapability(PCI.CAP_MSIX) ?? -1;
  const msiAt = dev?.findCapability(PCI.CAP_MSI) ?? -1;
  if (at === msixAt + PCI.MSIX_CONTROL.offset) return 'MSIX_CONTROL';
  if (at >= msiAt && at < msiAt + 0x18 && msiAt > 0) return `MSI+0x${(at - msiAt).toString(16)}`;
  return `config 0x${at.toString(16)}`;
}
