import { Errno, Signal, type Subscription, hex } from '../../core/lib/index.js';
import type { PciAperture, PciHotplugEvent, PciRoot } from '../../core/hal/pci.js';
import type { AccessBytes, Window } from '../../core/hal/window.js';
import type { QtestLink, ReadOp, WriteOp } from './qtest-link.js';
import type { QtestConfig } from './qtest-options.js';

/** Where configuration space is put in memory: 1 MiB a bus, up to the memory aperture's neighbour at 0xc0000000. */
const ECAM = 0xb000_0000;
const CONFIG_ADDRESS = 0xcf8;
const CONFIG_DATA = 0xcfc;
/** Registers of the q35 host bridge, 0000:00:00.0. @see Intel 3 Series Express Chipset (P35), 5.1 PCIEXBAR */
const PCIEXBAR_LO = 0x60;
const PCIEXBAR_HI = 0x64;
const PCIEXBAREN = 1;
/**
 * The ISA bridge of a pc, 0000:00:01.0, and the ISA interrupts that its PIRQ A to D are connected to: none after reset, so we choose.
 * @see Intel 82371SB (PIIX3) datasheet, PIRQRC[A:D]; QEMU 11.1 hw/pci-host/i440fx.c, hw/isa/piix.c
 */
const PIIX3_DEVFN = 0x08;
const PIRQRC = 0x60;
const PIRQ_TO_ISA = [10, 11, 5, 7] as const;
/**
 * I/O APIC inputs of q35: PIRQ A to D are 16 to 19, E to H 20 to 23. Below the first slot of the ICH9, a slot's pins are wired to
 * E to H, each slot one further; in its slots to A to D, but those behind its bridge to PCI to E to H.
 * @see QEMU 11.1 hw/isa/lpc_ich9.c ich9_cc_init, ich9_cc_update
 */
const PIRQ_A_LINE = 16;
const PIRQ_E_LINE = 20;
const ICH9_FIRST_SLOT = 25;
const ICH9_BRIDGE_SLOT = 30;

const APERTURES: readonly PciAperture[] = [
  { kind: 'mem', base: 0xe000_0000, limit: 0xfebf_ffff },
  // Above all memory a host may have, and within 36 bits of physical address.
  { kind: 'prefetch', base: 0x8_0000_0000, limit: 0xf_ffff_ffff },
  { kind: 'io', base: 0xc000, limit: 0xffff },
];

/** The access operations of one address space, by log2 of the width. */
const READ: Record<'mem' | 'io', readonly [ReadOp, ReadOp, ReadOp]> = {
  mem: ['readb', 'readw', 'readl'],
  io: ['inb', 'inw', 'inl'],
};
const WRITE: Record<'mem' | 'io', readonly [WriteOp, WriteOp, WriteOp]> = {
  mem: ['writeb', 'writew', 'writel'],
  io: ['outb', 'outw', 'outl'],
};

/** What all windows share: the widths, the all-ones of an access that goes nowhere, and values cut to their width. */
abstract class QtestWindow implements Window {
  constructor(
    protected readonly link: QtestLink,
    readonly sizeBytes: number,
  ) {}

  read8(offset: number): number {
    return this.decodes(offset, 1) ? this.read(0, offset) : 0xff;
  }
  read16(offset: number): number {
    return this.decodes(offset, 2) ? this.read(1, offset) : 0xffff;
  }
  read32(offset: number): number {
    return this.decodes(offset, 4) ? this.read(2, offset) : 0xffff_ffff;
  }
  read64(_offset: number, out: Uint32Array): void {
    out[0] = out[1] = 0xffff_ffff;
  }
  write8(offset: number, value: number): void {
    if (this.decodes(offset, 1)) this.write(0, offset, value & 0xff);
  }
  write16(offset: number, value: number): void {
    if (this.decodes(offset, 2)) this.write(1, offset, value & 0xffff);
  }
  write32(offset: number, value: number): void {
    if (this.decodes(offset, 4)) this.write(2, offset, value >>> 0);
  }
  write64(_offset: number, _lo: number, _hi: number): void {}

  protected decodes(offset: number, bytes: AccessBytes): boolean {
    return Number.isInteger(offset) && offset >= 0 && offset + bytes <= this.sizeBytes;
  }
  protected abstract read(width: 0 | 1 | 2, offset: number): number;
  protected abstract write(width: 0 | 1 | 2, offset: number, value: number): void;
}

/** A range of I/O space, which knows no access of 8 bytes. */
class SpaceWindow extends QtestWindow {
  readonly #reads: readonly [ReadOp, ReadOp, ReadOp];
  readonly #writes: readonly [WriteOp, WriteOp, WriteOp];

  constructor(
    link: QtestLink,
    kind: 'mem' | 'io',
    protected readonly base: number,
    sizeBytes: number,
  ) {
    super(link, sizeBytes);
    this.#reads = READ[kind];
    this.#writes = WRITE[kind];
  }

  protected read(width: 0 | 1 | 2, offset: number): number {
    return this.link.read(this.#reads[width], this.base + offset);
  }
  protected write(width: 0 | 1 | 2, offset: number, value: number): void {
    this.link.write(this.#writes[width], this.base + offset, value);
  }
}

/** A range of memory space. */
class MemWindow extends SpaceWindow {
  constructor(link: QtestLink, base: number, sizeBytes: number) {
    super(link, 'mem', base, sizeBytes);
  }

  override read64(offset: number, out: Uint32Array): void {
    if (this.decodes(offset, 8)) this.link.read64(this.base + offset, out);
    else out[0] = out[1] = 0xffff_ffff;
  }
  override write64(offset: number, lo: number, hi: number): void {
    if (this.decodes(offset, 8)) this.link.write64(this.base + offset, lo, hi);
  }
}

/** The configuration space of a function, through an address and a data port: two qtest accesses make one of the bus. */
class PortConfigWindow extends QtestWindow {
  readonly #select: number;

  constructor(link: QtestLink, bus: number, devfn: number) {
    super(link, 256);
    this.#select = 0x8000_0000 + bus * 0x1_0000 + devfn * 0x100;
  }

  /** A transaction on the bus is within one aligned word. */
  protected override decodes(offset: number, bytes: AccessBytes): boolean {
    return super.decodes(offset, bytes) && offset % bytes === 0;
  }
  protected read(width: 0 | 1 | 2, offset: number): number {
    this.link.write('outl', CONFIG_ADDRESS, this.#select + offset - (offset % 4));
    return this.link.read(READ.io[width], CONFIG_DATA + (offset % 4));
  }
  protected write(width: 0 | 1 | 2, offset: number, value: number): void {
    this.link.write('outl', CONFIG_ADDRESS, this.#select + offset - (offset % 4));
    this.link.write(WRITE.io[width], CONFIG_DATA + (offset % 4), value);
  }
}

/** The PCI host bridge of a PC, without firmware: nothing behind it is configured. @internal */
export class QtestPciRoot implements PciRoot {
  readonly segment = 0;
  readonly firstBus = 0;
  readonly lastBus = 255;
  readonly apertures = APERTURES;
  readonly #link: QtestLink;
  readonly #machine: QtestConfig['machine'];
  readonly #hotplug = new Signal<[PciHotplugEvent]>();

  constructor(link: QtestLink, machine: QtestConfig['machine']) {
    this.#link = link;
    this.#machine = machine;
  }

  /** Sets the bridge up as firmware would; once, after the start. */
  start(): void {
    if (this.#machine === 'pc') {
      const isa = new PortConfigWindow(this.#link, 0, PIIX3_DEVFN);
      for (const [i, irq] of PIRQ_TO_ISA.entries()) isa.write8(PIRQRC + i, irq);
      return;
    }
    const bridge = new PortConfigWindow(this.#link, 0, 0);
    bridge.write32(PCIEXBAR_HI, 0);
    bridge.write32(PCIEXBAR_LO, ECAM + PCIEXBAREN);
  }

  config(bus: number, devfn: number): Window {
    if (!(Number.isInteger(bus) && bus >= 0 && bus <= 255 && Number.isInteger(devfn) && devfn >= 0 && devfn <= 255)) {
      throw new Errno('EINVAL', `qtest: bus ${bus}, function ${devfn}: each must be an integer of 0 to 255`);
    }
    if (this.#machine === 'q35') return new MemWindow(this.#link, ECAM + bus * 0x10_0000 + devfn * 0x1000, 4096);
    return new PortConfigWindow(this.#link, bus, devfn);
  }

  map(kind: 'io' | 'mem', address: number, sizeBytes: number): Window {
    const end = kind === 'io' ? 0x1_0000 : Number.MAX_SAFE_INTEGER;
    if (
      !(
        Number.isSafeInteger(address) &&
        address >= 0 &&
        Number.isInteger(sizeBytes) &&
        sizeBytes >= 0 &&
        address + sizeBytes <= end
      )
    ) {
      throw new Errno('EINVAL', `qtest: ${sizeBytes} bytes at 0x${hex(address)} are no range of ${kind} space`);
    }
    return kind === 'io' ? new SpaceWindow(this.#link, 'io', address, sizeBytes) : new MemWindow(this.#link, address, sizeBytes);
  }

  irqLine(devfn: number, pin: number): number | undefined {
    if (!(pin >= 1 && pin <= 4)) return undefined;
    const slot = devfn >> 3;
    if (this.#machine === 'pc') return PIRQ_TO_ISA[(slot + pin - 2) & 3];
    if (slot < ICH9_FIRST_SLOT) return PIRQ_E_LINE + ((slot + pin - 1) & 3);
    return (slot === ICH9_BRIDGE_SLOT ? PIRQ_E_LINE : PIRQ_A_LINE) + pin - 1;
  }

  /** Nothing comes or goes on this host. */
  onHotplug(listener: (event: PciHotplugEvent) => void): Subscription {
    return this.#hotplug.on(listener);
  }
}
