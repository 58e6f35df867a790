import { type Mmio, PCI } from '../hal/index.js';
import { hex } from '../lib/index.js';

/** The address spaces that a root or a bridge hands down. */
export const WINDOW_KINDS = ['io', 'mem', 'prefetch'] as const;
export type WindowKind = (typeof WINDOW_KINDS)[number];

/** A base address register: what the device decodes, and where. */
export interface PciBar {
  /** 0 to 5; a 64-bit BAR takes this register and the next. */
  readonly index: number;
  readonly kind: 'io' | 'mem';
  readonly is64: boolean;
  readonly prefetch: boolean;
  readonly sizeBytes: number;
  /** Its bus address; undefined when no room was found. */
  readonly address: number | undefined;
}

/** A BAR as the core assigns it. @internal */
export class Bar implements PciBar {
  address: number | undefined = undefined;
  /** The space it was assigned in. */
  space: WindowKind | undefined = undefined;

  constructor(
    readonly index: number,
    readonly kind: 'io' | 'mem',
    readonly is64: boolean,
    readonly prefetch: boolean,
    readonly sizeBytes: number,
  ) {}

  /** Writes the address to the device. */
  program(config: Mmio, address: number, space: WindowKind): void {
    this.address = address;
    this.space = space;
    config.write(PCI.barReg(this.index), address % 2 ** 32);
    if (this.is64) config.write(PCI.barReg(this.index + 1), Math.floor(address / 2 ** 32));
  }

  /** `BAR 0 [mem 0xc0000000-0xc0000fff 64bit pref]` */
  range(address: number): string {
    const flags = `${this.is64 ? ' 64bit' : ''}${this.prefetch ? ' pref' : ''}`;
    return `BAR ${this.index} [${this.kind} 0x${hex(address)}-0x${hex(address + this.sizeBytes - 1)}${flags}]`;
  }

  /** `BAR 0 [mem 64-bit prefetch, 4096 bytes]` */
  describe(): string {
    const width = this.kind === 'io' ? '' : this.is64 ? ' 64-bit' : ' 32-bit';
    return `BAR ${this.index} [${this.kind}${width}${this.prefetch ? ' prefetch' : ''}, ${this.sizeBytes} bytes]`;
  }
}

const IO_SPACE = 0x1;
const TYPE_64 = 0x4;
const TYPE_MASK = 0x6;
const PREFETCH = 0x8;
const ALL = 0xffff_ffff;

/**
 * Finds out what a function's BARs decode; the function decodes nothing meanwhile, and its BARs are zero after it.
 * @param count registers in this header: 6, or 2 for a bridge
 * @returns by BAR number; undefined where none is implemented
 * @see Linux 6.12 drivers/pci/probe.c __pci_read_base
 */
export function sizeBars(config: Mmio, count: number): (Bar | undefined)[] {
  const command = config.read(PCI.COMMAND);
  config.modify(PCI.COMMAND, { io: 0, memory: 0 });
  const bars: (Bar | undefined)[] = [];
  for (let i = 0; i < count; i++) {
    const bar = sizeBar(config, i, i + 1 < count);
    bars[i] = bar;
    // The next register is the upper half of this one, whether or not this one can be used.
    if (isMem64(config, i)) bars[++i] = undefined;
  }
  config.write(PCI.COMMAND, command);
  return bars;
}

function sizeBar(config: Mmio, index: number, hasNext: boolean): Bar | undefined {
  const low = probe(config, index);
  if (low === 0 || low === ALL) return undefined;
  if ((low & IO_SPACE) !== 0) {
    const ports = low & 0xffff_fffc;
    return ports === 0 ? undefined : new Bar(index, 'io', false, false, lowestBit(ports));
  }
  const prefetch = (low & PREFETCH) !== 0;
  const mask = (low & 0xffff_fff0) >>> 0;
  if ((low & TYPE_MASK) !== TYPE_64) return mask === 0 ? undefined : new Bar(index, 'mem', false, prefetch, lowestBit(mask));
  // Nothing can be the upper half of the last register.
  if (!hasNext) return undefined;
  const high = probe(config, index + 1);
  if (mask !== 0) return new Bar(index, 'mem', true, prefetch, lowestBit(mask));
  const sizeBytes = lowestBit(high) * 2 ** 32;
  return sizeBytes === 0 || sizeBytes > 2 ** 52 ? undefined : new Bar(index, 'mem', true, prefetch, sizeBytes);
}

/** Which bits of a BAR can be written, with its flags. */
function probe(config: Mmio, index: number): number {
  const reg = PCI.barReg(index);
  config.write(reg, ALL);
  const value = config.read(reg);
  config.write(reg, 0);
  return value;
}

const isMem64 = (config: Mmio, index: number): boolean => (config.read(PCI.barReg(index)) & (IO_SPACE | TYPE_MASK)) === TYPE_64;

const lowestBit = (mask: number): number => (mask & -mask) >>> 0;
