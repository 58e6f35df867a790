import { type Clock, Mmio, PCI, type PciRoot, type Window, formatBdf } from '../hal/index.js';
import { Errno, type MaybePromise, hex } from '../lib/index.js';
import type { Bar, PciBar } from './bar.js';
import { BarMmio, unmapBar } from './bar-mmio.js';
import type { PciBusNode } from './bridge.js';
import { type CapabilityEntry, type ExtCapabilityEntry, capabilities, extCapabilities } from './capability.js';
import { ConfigWindow } from './config.js';
import type { PciIdentity } from './id.js';
import { PciIrqDevice } from './irq-device.js';
import { resetFunction } from './reset.js';
import { type PciState, restoreState, saveState } from './state.js';

/** Power states that software can choose: D0 works, D3 (hot) keeps configuration space alive. */
export type PowerState = 0 | 1 | 2 | 3;

const ABSENT = 0xffff;
/** Time that a change from or to D3 takes. @see PCI Express Base Specification 5.0, 5.9 */
const D3_US = 10_000;

const nothing = (): void => {};

/**
 * A function of a PCI device; its name is its address, `0000:00:05.0`.
 *
 * What a driver takes through it is undone at unbind. It exists until it is removed; at surprise removal its configuration
 * space reads all ones from that moment on.
 * @see Linux 6.12 include/linux/pci.h struct pci_dev
 */
export class PciDevice extends PciIrqDevice implements PciIdentity {
  readonly root: PciRoot;
  /** Number of the bus it is on. */
  readonly busNumber: number;
  /** Device number in bits 7:3, function in bits 2:0. */
  readonly devfn: number;
  /** Configuration space, by the registers of `core/pci`. All ones when the device is gone. */
  readonly config: Mmio;
  readonly vendorId: number;
  readonly deviceId: number;
  readonly subsystemVendorId: number;
  readonly subsystemDeviceId: number;
  /** Class, subclass and interface, 24 bits. */
  readonly classCode: number;
  readonly revision: number;
  /** Layout of the header: 0 for devices, 1 for bridges. */
  readonly headerType: number;

  /** The bus it is on. @internal */
  readonly node: PciBusNode;
  /** By number; undefined where none is implemented. @internal */
  bars: readonly (Bar | undefined)[] = [];
  /** The bus behind a bridge, once it has a number. @internal */
  secondary: PciBusNode | undefined = undefined;
  readonly #window: ConfigWindow;
  /** Offset of the power management capability. */
  readonly #pm: number | undefined;
  #isGone = false;
  /** Who needs the device to decode and to send; the command register follows. */
  readonly #users = { io: 0, memory: 0, master: 0 };
  /** BARs that are mapped, a bit each. */
  #mapped = 0;
  #isUserEnabled = false;
  /** What D3 may make it forget. */
  #asleep: PciState | undefined = undefined;

  /** @internal */
  constructor(node: PciBusNode, devfn: number, window: Window) {
    super({ name: formatBdf(node.root.segment, node.number, devfn), parent: node.parent, release: nothing });
    this.node = node;
    this.root = node.root;
    this.busNumber = node.number;
    this.devfn = devfn;
    this.#window = new ConfigWindow(window);
    const config = new Mmio(this.#window, `${this.name}: configuration space`);
    this.config = config;
    this.vendorId = config.read(PCI.VENDOR_ID);
    this.deviceId = config.read(PCI.DEVICE_ID);
    const word = config.read(PCI.CLASS_REVISION);
    this.classCode = word >>> 8;
    this.revision = word & 0xff;
    this.headerType = config.read(PCI.HEADER_TYPE) & 0x7f;
    this.#pm = this.findCapability(PCI.CAP_PM);
    const hasSubsystem = this.headerType === 0;
    this.subsystemVendorId = hasSubsystem ? config.read(PCI.SUBSYSTEM_VENDOR_ID) : 0;
    this.subsystemDeviceId = hasSubsystem ? config.read(PCI.SUBSYSTEM_ID) : 0;
    this.findMessages();
  }

  /** Whether there may be functions beside function 0; it tells for all of them. */
  get isMultifunction(): boolean {
    return this.config.readField(PCI.HEADER_TYPE, PCI.HEADER_TYPE.fields.multifunction) === 1;
  }

  /** What the log says of it when it is found. @internal */
  found(): string[] {
    const type = hex(this.headerType, 2);
    const lines = [`[${hex(this.vendorId, 4)}:${hex(this.deviceId, 4)}] type ${type} class 0x${hex(this.classCode, 6)}`];
    for (const bar of this.bars) if (bar?.address !== undefined) lines.push(`${bar.range(bar.address)}: assigned`);
    return lines;
  }

  /** Whether buses are below it. */
  get isBridge(): boolean {
    return this.headerType === PCI.HEADER_BRIDGE;
  }

  /** Whether devices can come and go below it. */
  get isHotplugPort(): boolean {
    const at = this.isBridge ? this.findCapability(PCI.CAP_PCIE) : undefined;
    if (at === undefined || this.config.readField(PCI.inCap(at, PCI.PCIE_FLAGS), PCI.PCIE_FLAGS.fields.slot) === 0) return false;
    return this.config.readField(PCI.inCap(at, PCI.PCIE_SLOT_CAPS), PCI.PCIE_SLOT_CAPS.fields.hotplugCapable) === 1;
  }

  /** Whether the device does not answer any more: it was pulled out. */
  get isGone(): boolean {
    return this.#isGone || this.config.read(PCI.VENDOR_ID) === ABSENT;
  }

  /** The time of the system it is in. @throws {Errno} ENODEV before it is added */
  get clock(): Clock {
    if (this.core === undefined) throw new Errno('ENODEV', `${this.name}: is in no system`);
    return this.core.clock;
  }

  /** What is behind BAR `index`, and where; undefined when the device does not implement it. */
  bar(index: number): PciBar | undefined {
    return this.bars[index];
  }

  /**
   * Maps a BAR and lets the device decode it. Managed: in the ledger it is `bar 0`, and after unbind its use throws
   * `ENODEV: 0000:00:01.0: BAR 0 used after unbind`.
   * @param index 0 to 5
   * @throws {Errno} EINVAL when there is no such BAR; ENOSPC when it has no address; EBUSY when it is mapped
   * @see Linux 6.12 drivers/pci/devres.c pcim_iomap_region
   */
  mapBar(index: number): BarMmio {
    const bar = this.bars[index];
    if (bar === undefined) throw new Errno('EINVAL', `${this.name}: has no BAR ${index}`);
    if (bar.address === undefined) throw new Errno('ENOSPC', `${this.name}: ${bar.describe()} has no address: see the log`);
    const { address } = bar;
    return this.devres.acquire(
      `bar ${index}`,
      () => {
        if ((this.#mapped & (1 << index)) !== 0) throw new Errno('EBUSY', `${this.name}: BAR ${index} is mapped already`);
        const window = this.root.map(bar.kind, address, bar.sizeBytes);
        this.#use(bar.kind === 'io' ? 'io' : 'memory', 1);
        this.#mapped |= 1 << index;
        return new BarMmio(window, `${this.name}: BAR ${index}`, this, index, (what) => {
          this.core?.report('use-after-unbind', this, `${what} used after unbind`);
        });
      },
      unmapBar,
    );
  }

  /** The end of a mapping. @internal */
  unmapped(regs: BarMmio): void {
    regs.revoke();
    this.#mapped &= ~(1 << regs.index);
    this.#use(this.bars[regs.index]?.kind === 'io' ? 'io' : 'memory', -1);
  }

  /**
   * Lets the device decode all its BARs, until unbind. `mapBar` does that for its own kind of space already.
   * @throws {Errno} EINVAL when a BAR has no address
   * @see Linux 6.12 drivers/pci/setup-res.c pci_enable_resources
   */
  enable(): void {
    this.devres.acquire(
      'enable',
      () => this.#enableAll(1),
      () => this.#enableAll(-1),
    );
  }

  /** Lets the device read and write memory by itself, until unbind. @see Linux 6.12 drivers/pci/pci.c pci_set_master */
  setMaster(): void {
    this.devres.acquire(
      'bus master',
      () => this.#use('master', 1),
      () => this.#use('master', -1),
    );
  }

  /** Whether a user has enabled the device without a driver. @internal */
  get isUserEnabled(): boolean {
    return this.#isUserEnabled;
  }

  /** @internal */
  set isUserEnabled(on: boolean) {
    if (on === this.#isUserEnabled) return;
    this.#enableAll(on ? 1 : -1);
    this.#isUserEnabled = on;
  }

  /** Capabilities in the order of their list. */
  get capabilities(): CapabilityEntry[] {
    return [...capabilities(this.config)];
  }

  /** Extended capabilities in the order of their list; none on conventional PCI. */
  get extCapabilities(): ExtCapabilityEntry[] {
    return this.findCapability(PCI.CAP_PCIE) === undefined ? [] : [...extCapabilities(this.config)];
  }

  /** Offset of the first capability with this id. */
  findCapability(id: number): number | undefined {
    for (const entry of capabilities(this.config)) if (entry.id === id) return entry.at;
    return undefined;
  }

  /** Offset of the first extended capability with this id. */
  findExtCapability(id: number): number | undefined {
    return this.extCapabilities.find((entry) => entry.id === id)?.at;
  }

  /** Reads what software has set up in configuration space. */
  saveState(): PciState {
    return saveState(this);
  }

  /** Writes back what {@link saveState} read. */
  restoreState(state: PciState): void {
    restoreState(this, state);
    this.updateCommand();
    this.restoreMessages();
  }

  /**
   * Resets this function alone; what was set up in configuration space survives. See {@link resetFunction}.
   * @param readyUs how long it may take to answer again, in microseconds; default a minute, as in Linux
   */
  reset(readyUs?: number): Promise<void> {
    return resetFunction(this, readyUs);
  }

  /** The power state; 0 for a device without power management, 3 for one that is gone. */
  get powerState(): PowerState {
    if (this.#pm === undefined) return this.isGone ? 3 : 0;
    return this.config.readField(PCI.inCap(this.#pm, PCI.PM_CONTROL), PCI.PM_CONTROL.fields.state) as PowerState;
  }

  /**
   * Puts the device into a power state, and waits as long as the specification says; at once when it is in it. A device that
   * forgets in D3 gets its configuration back in D0.
   * @throws {Errno} EIO when the device does not go there; EINVAL for anything but D0 without power management
   * @see Linux 6.12 drivers/pci/pci.c pci_set_power_state
   */
  setPowerState(state: PowerState): MaybePromise<void> {
    const from = this.powerState;
    if (from === state || this.isGone) return;
    if (this.#pm === undefined) throw new Errno('EINVAL', `${this.name}: has no power management, cannot go to D${state}`);
    const control = PCI.inCap(this.#pm, PCI.PM_CONTROL);
    if (state === 3) this.#asleep = this.saveState();
    this.config.modify(control, { state });
    return this.clock.sleep(D3_US).then(() => {
      const now = this.powerState;
      if (now !== state && !this.isGone) throw new Errno('EIO', `${this.name}: is in D${now}, was to go to D${state}`);
      if (state !== 0) return;
      const asleep = this.#asleep;
      this.#asleep = undefined;
      const hasForgotten = asleep !== undefined && this.config.readField(control, PCI.PM_CONTROL.fields.noSoftReset) === 0;
      if (hasForgotten) this.restoreState(asleep);
      // What was moved meanwhile was not written.
      else this.restoreMessages();
    });
  }

  /** The command register as those who use the device need it. @internal */
  updateCommand(): void {
    const { io, memory, master } = this.#users;
    if (!this.isBridge)
      this.config.modify(PCI.COMMAND, { io: io > 0 ? 1 : 0, memory: memory > 0 ? 1 : 0, master: master > 0 ? 1 : 0 });
  }

  /** Whether it is known to be pulled out, without asking it. @internal */
  get isMarkedGone(): boolean {
    return this.#isGone;
  }

  /** The device was pulled out: from now on it reads all ones, whatever comes to its place. @internal */
  markGone(): void {
    this.#isGone = true;
    this.#window.cut();
    for (const child of this.secondary?.devices ?? []) child.markGone();
  }

  /** Somebody needs it to decode memory, or no longer does. @internal */
  useMemory(delta: 1 | -1): void {
    this.#use('memory', delta);
  }

  /** Somebody needs it to send, or no longer does. @internal */
  useMaster(delta: 1 | -1): void {
    this.#use('master', delta);
  }

  #enableAll(delta: 1 | -1): void {
    const unassigned = this.bars.find((bar) => bar !== undefined && bar.address === undefined);
    if (unassigned !== undefined) throw new Errno('EINVAL', `${this.name}: ${unassigned.describe()} has no address: see the log`);
    for (const kind of ['io', 'mem'] as const) {
      if (this.bars.some((bar) => bar?.kind === kind)) this.#use(kind === 'io' ? 'io' : 'memory', delta);
    }
  }

  /** A bridge forwards for those below it, and is left alone. */
  #use(what: 'io' | 'memory' | 'master', delta: 1 | -1): void {
    const before = this.#users[what];
    this.#users[what] = before + delta;
    if (!this.isBridge && (before === 0 || before + delta === 0))
      this.config.modify(PCI.COMMAND, { [what]: delta === 1 ? 1 : 0 });
  }
}
