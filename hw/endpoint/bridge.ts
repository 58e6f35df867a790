import { PCI, packFields, setField } from '../../core/hal/index.js';
import { type PcieType, pcie, powerManagement } from './capability.js';
import { Endpoint, type EndpointPort } from './endpoint.js';
import { aer } from './extended.js';
import type { EndpointConfig } from './header.js';
import type { ResetKind } from './model.js';

/** What a bridge forwards, beside what every function declares. */
export interface BridgeConfig extends EndpointConfig {
  /** Has an I/O window; default true. */
  readonly ioWindow?: boolean;
  /** Its slot takes devices while the machine runs. */
  readonly hotplug: boolean;
}

/** Options of {@link bridge}. */
export interface BridgeOptions {
  /** Default `root-port`. */
  readonly type?: Extract<PcieType, 'root-port' | 'upstream' | 'downstream' | 'to-pci'>;
  /** Devices can be added and removed below it; `root-port` and `downstream` only, default false. */
  readonly hotplug?: boolean;
  /** Physical slot number, shown by lspci; default 0. */
  readonly slot?: number;
  /** Default 1b36:000c, the generic root port of QEMU. */
  readonly vendor?: number;
  readonly device?: number;
  readonly ioWindow?: boolean;
}

/** Declares a PCI-to-PCI bridge: a root port unless told otherwise. */
export function bridge(options: BridgeOptions = {}): BridgeConfig {
  const { type = 'root-port', hotplug = false, slot = 0 } = options;
  return {
    vendor: options.vendor ?? 0x1b36,
    device: options.device ?? 0x000c,
    classCode: 0x06_0400,
    hotplug,
    ioWindow: options.ioWindow ?? true,
    capabilities: [powerManagement({ noSoftReset: true }), pcie({ type, ...(hotplug && { slot: { number: slot } }) })],
    extended: [aer({ root: type === 'root-port' })],
  };
}

/** An inclusive range of addresses. */
interface Range {
  readonly base: number;
  readonly limit: number;
}

/** The top 768 bytes of each KiB of the first 64 KiB, which `ISA enable` keeps away from the secondary side. */
const ISA_BITS = 0x0300;

/**
 * A PCI-to-PCI bridge: the type 1 header, whose bus numbers and windows say what goes through.
 * @see PCI Express Base Specification 5.0, 7.5.1.3; PCI-to-PCI Bridge Architecture Specification 1.2, 3.2.5
 */
export class Bridge extends Endpoint {
  #wasInReset = false;

  /** @param busReset called when software starts a reset of everything below */
  constructor(declared: BridgeConfig, port: EndpointPort, busReset: () => void) {
    super(declared, port, 2);
    const { space } = this;
    space.define(PCI.HEADER_TYPE, PCI.HEADER_BRIDGE);
    for (const reg of [PCI.PRIMARY_BUS, PCI.SECONDARY_BUS, PCI.SUBORDINATE_BUS]) space.define(reg);
    if (declared.ioWindow !== false) {
      // The type tells of 32-bit I/O, and below of 64-bit prefetchable addresses.
      space.define(PCI.IO_BASE, packFields(PCI.IO_BASE, { type: 1 }));
      space.define(PCI.IO_LIMIT, packFields(PCI.IO_LIMIT, { type: 1 }));
      space.define(PCI.IO_BASE_UPPER);
      space.define(PCI.IO_LIMIT_UPPER);
    }
    space.define(PCI.SECONDARY_STATUS);
    space.define(PCI.MEMORY_BASE);
    space.define(PCI.MEMORY_LIMIT);
    space.define(PCI.PREFETCH_BASE, packFields(PCI.PREFETCH_BASE, { type: 1 }));
    space.define(PCI.PREFETCH_LIMIT, packFields(PCI.PREFETCH_LIMIT, { type: 1 }));
    space.define(PCI.PREFETCH_BASE_UPPER);
    space.define(PCI.PREFETCH_LIMIT_UPPER);
    space.define(PCI.BRIDGE_CONTROL);
    const windows = PCI.PRIMARY_BUS.offset;
    space.onWrite(windows, PCI.CAPABILITY_POINTER.offset - windows, () => port.decodeChanged());
    space.onWrite(PCI.BRIDGE_CONTROL.offset, 2, () => {
      port.decodeChanged();
      const started = this.inReset && !this.#wasInReset;
      this.#wasInReset = this.inReset;
      if (started) busReset();
    });
  }

  override reset(kind: ResetKind): void {
    this.#wasInReset = false;
    super.reset(kind);
  }

  get hotplug(): boolean {
    return (this.declared as BridgeConfig).hotplug;
  }
  /** Below it is a link of PCI Express, with one device, and no bus. */
  get isLink(): boolean {
    const at = this.capability(PCI.CAP_PCIE);
    const type = at === 0 ? -1 : this.space.field(PCI.PCIE_FLAGS, 'type', at);
    return type === PCI.PCIE_TYPES['root-port'] || type === PCI.PCIE_TYPES.downstream;
  }
  get secondary(): number {
    return this.space.read8(PCI.SECONDARY_BUS.offset);
  }
  get subordinate(): number {
    return this.space.read8(PCI.SUBORDINATE_BUS.offset);
  }
  /** Everything below is held in reset and answers to nothing. */
  get inReset(): boolean {
    return this.space.field(PCI.BRIDGE_CONTROL, 'busReset') === 1;
  }

  /** Whether configuration accesses to `bus` go through; not before software has given bus numbers. */
  routes(bus: number): boolean {
    return this.secondary > 0 && this.secondary <= bus && bus <= this.subordinate && !this.inReset && this.powerState === 0;
  }

  /** Whether an access to `address` goes through to the secondary side. */
  forwards(kind: 'io' | 'mem', address: number): boolean {
    if (!this.decodes(kind) || this.inReset) return false;
    if (kind === 'mem') return within(this.#memoryWindow(), address) || within(this.#prefetchWindow(), address);
    const isIsa = this.space.field(PCI.BRIDGE_CONTROL, 'isa') === 1;
    if (isIsa && address < 0x1_0000 && (address & ISA_BITS) !== 0) return false;
    return (this.declared as BridgeConfig).ioWindow !== false && within(this.#ioWindow(), address);
  }

  /** Tells the slot registers whether a device is there; without a hot-plug slot it does nothing. */
  setPresent(present: boolean): void {
    const at = this.capability(PCI.CAP_PCIE);
    if (at === 0 || !this.hotplug) return;
    // Presence outlives a reset of the port; that it changed does not.
    const slot = PCI.inCap(at, PCI.PCIE_SLOT_STATUS);
    const link = PCI.inCap(at, PCI.PCIE_LINK_STATUS);
    this.space.define(slot, packFields(slot, { present: present ? 1 : 0 }));
    this.space.define(link, setField(link.fields.active, this.space.read16(link.offset), present ? 1 : 0));
    const changed = packFields(slot, { presenceChanged: 1, linkChanged: 1 });
    this.space.set16(slot.offset, changed, changed);
  }

  #memoryWindow(): Range {
    return {
      base: this.space.read16(PCI.MEMORY_BASE.offset) * 2 ** 16,
      limit: this.space.read16(PCI.MEMORY_LIMIT.offset) * 2 ** 16 + 0xf_ffff,
    };
  }

  #prefetchWindow(): Range {
    const base = this.space.read16(PCI.PREFETCH_BASE.offset) & 0xfff0;
    const limit = this.space.read16(PCI.PREFETCH_LIMIT.offset) & 0xfff0;
    return {
      base: this.space.read32(PCI.PREFETCH_BASE_UPPER.offset) * 2 ** 32 + base * 2 ** 16,
      limit: this.space.read32(PCI.PREFETCH_LIMIT_UPPER.offset) * 2 ** 32 + limit * 2 ** 16 + 0xf_ffff,
    };
  }

  #ioWindow(): Range {
    const base = this.space.read8(PCI.IO_BASE.offset) & 0xf0;
    const limit = this.space.read8(PCI.IO_LIMIT.offset) & 0xf0;
    return {
      base: this.space.read16(PCI.IO_BASE_UPPER.offset) * 2 ** 16 + base * 2 ** 8,
      limit: this.space.read16(PCI.IO_LIMIT_UPPER.offset) * 2 ** 16 + limit * 2 ** 8 + 0xfff,
    };
  }
}

function within(range: Range, address: number): boolean {
  return range.base <= address && address <= range.limit;
}
