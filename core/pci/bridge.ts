import type { Device } from '../device/index.js';
import { type Mmio, PCI, type PciRoot } from '../hal/index.js';
import { Errno } from '../lib/index.js';
import { WINDOW_KINDS, type WindowKind } from './bar.js';
import type { PciDevice } from './device.js';
import type { PciInterrupts } from './interrupts.js';
import { type Range, RangeSet } from './range.js';

/** The unit in which a bridge forwards addresses. */
export const WINDOW_UNIT: { readonly [K in WindowKind]: number } = { io: 2 ** 12, mem: 2 ** 20, prefetch: 2 ** 20 };

const ADDRESS_64 = 1;
const IO_32 = 1;

/** One bus of a system: the devices on it, and the addresses that reach it. */
export class PciBusNode {
  /** In the order of their device and function numbers. */
  readonly devices: PciDevice[] = [];
  /** The highest bus number below this bus. */
  subordinate: number;
  /** How its devices interrupt; undefined where they cannot. */
  readonly interrupts: PciInterrupts | undefined;
  /** Whether messages of devices here or below are known not to arrive. */
  noMsi = false;
  /** What reaches this bus; a space that does not has no ranges. */
  readonly #spaces = new Map<WindowKind, RangeSet>();
  readonly #offered: readonly WindowKind[];

  /**
   * @param parent the bridge above, or the host bridge
   * @param bridge the bridge above, when it is a PCI device
   * @param interrupts default those of the bus above
   */
  constructor(
    readonly root: PciRoot,
    readonly number: number,
    readonly parent: Device,
    readonly bridge: PciDevice | undefined,
    interrupts = bridge?.node.interrupts,
  ) {
    this.subordinate = number;
    this.interrupts = interrupts;
    if (bridge !== undefined) {
      const { config, node } = bridge;
      this.#offered = WINDOW_KINDS.filter((kind) => node.offers(kind) && hasWindow(config, kind));
      return;
    }
    for (const kind of WINDOW_KINDS)
      this.#open(
        kind,
        root.apertures.filter((a) => a.kind === kind),
      );
    this.#offered = WINDOW_KINDS.filter((kind) => this.space(kind).ranges.length > 0);
  }

  /** Whether messages are known not to arrive from this bus, or from one above it. */
  get hasNoMsi(): boolean {
    return this.noMsi || this.bridge?.node.hasNoMsi === true;
  }

  /** Whether addresses of this kind could reach the bus. */
  offers(kind: WindowKind): boolean {
    return this.#offered.includes(kind);
  }

  /** The addresses that reach the bus now. */
  space(kind: WindowKind): RangeSet {
    return this.#spaces.get(kind) ?? new RangeSet([]);
  }

  /** The window of the bridge above; undefined when it is closed. */
  window(kind: WindowKind): Range | undefined {
    return this.bridge === undefined ? undefined : this.#spaces.get(kind)?.ranges[0];
  }

  /** Gives the bus a window; {@link programWindows} tells the bridge. */
  openWindow(kind: WindowKind, base: number, sizeBytes: number): void {
    this.#open(kind, [{ base, limit: base + sizeBytes - 1 }]);
  }

  closeWindow(kind: WindowKind): void {
    this.#spaces.delete(kind);
  }

  #open(kind: WindowKind, ranges: readonly Range[]): void {
    // Non-prefetchable windows and 32-bit BARs cannot go higher.
    const most = kind === 'prefetch' ? Number.MAX_SAFE_INTEGER : 2 ** 32 - 1;
    const usable = ranges.filter(({ base }) => base <= most).map(({ base, limit }) => ({ base, limit: Math.min(limit, most) }));
    this.#spaces.set(kind, new RangeSet(usable));
  }

  /** Puts a device in its place on the bus. @throws {Errno} EEXIST when the place is taken */
  insert(dev: PciDevice): void {
    const index = this.devices.findIndex((other) => other.devfn >= dev.devfn);
    if (index < 0) this.devices.push(dev);
    else if (this.devices[index]!.devfn === dev.devfn) throw new Errno('EEXIST', `${dev.name}: is there already`);
    else this.devices.splice(index, 0, dev);
  }

  remove(dev: PciDevice): void {
    const index = this.devices.indexOf(dev);
    if (index >= 0) this.devices.splice(index, 1);
  }

  find(devfn: number): PciDevice | undefined {
    return this.devices.find((dev) => dev.devfn === devfn);
  }
}

/**
 * Whether a bridge implements a window. Prefetchable memory counts only with 64 bits of address: what needs less goes into
 * the memory window.
 * @see Linux 6.12 drivers/pci/probe.c pci_read_bridge_windows
 */
function hasWindow(config: Mmio, kind: WindowKind): boolean {
  if (kind === 'mem') return true;
  if (kind === 'io') {
    config.write(PCI.IO_BASE, 0xf0);
    return config.read(PCI.IO_BASE) >> 4 === 0xf;
  }
  return (config.read(PCI.PREFETCH_BASE) & 0xf) === ADDRESS_64;
}

/**
 * Tells a bridge its windows; a closed one has its base above its limit. The bridge forwards nothing meanwhile.
 * @see Linux 6.12 drivers/pci/setup-bus.c pci_setup_bridge
 */
export function programWindows(config: Mmio, bus: PciBusNode): void {
  config.modify(PCI.COMMAND, { io: 0, memory: 0, master: 0 });
  if (bus.offers('io')) {
    const { base, limit } = bus.window('io') ?? { base: 0xf000, limit: 0x0fff };
    if ((config.read(PCI.IO_BASE) & 0xf) === IO_32) {
      config.write(PCI.IO_BASE_UPPER, base >>> 16);
      config.write(PCI.IO_LIMIT_UPPER, limit >>> 16);
    }
    config.write(PCI.IO_BASE, (base >>> 8) & 0xf0);
    config.write(PCI.IO_LIMIT, (limit >>> 8) & 0xf0);
  }
  const mem = bus.window('mem') ?? { base: 0xfff0_0000, limit: 0x000f_ffff };
  config.write(PCI.MEMORY_BASE, (mem.base >>> 16) & 0xfff0);
  config.write(PCI.MEMORY_LIMIT, (mem.limit >>> 16) & 0xfff0);
  const pref = bus.window('prefetch') ?? { base: 0xfff0_0000, limit: 0x000f_ffff };
  config.write(PCI.PREFETCH_BASE, ((pref.base % 2 ** 32) >>> 16) & 0xfff0);
  config.write(PCI.PREFETCH_LIMIT, ((pref.limit % 2 ** 32) >>> 16) & 0xfff0);
  config.write(PCI.PREFETCH_BASE_UPPER, Math.floor(pref.base / 2 ** 32));
  config.write(PCI.PREFETCH_LIMIT_UPPER, Math.floor(pref.limit / 2 ** 32));
}

/** Switches a bridge on: it forwards in both directions. */
export function enableBridge(config: Mmio): void {
  config.modify(PCI.COMMAND, { io: 1, memory: 1, master: 1 });
}
