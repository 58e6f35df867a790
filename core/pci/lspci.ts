import { PCI, parseBdf } from '../hal/index.js';
import { hex } from '../lib/index.js';
import { readConfig } from './config.js';
import type { PciDevice } from './device.js';
import { capabilityLines } from './lspci-caps.js';
import { hexDump } from './lspci-dump.js';
import { headerLines } from './lspci-header.js';
import { type Naming, className, deviceName, interfaceName, subsystemName } from './lspci-names.js';
import { ConfigDump, devsel, flags, part } from './lspci-text.js';
import { type TreeNode, tree } from './lspci-tree.js';

/** What `lspci` shows of a device. */
export interface LspciDevice {
  /** `0000:00:05.0` */
  readonly name: string;
  /** Configuration space: 256 bytes, or 4096. */
  readonly config: Uint8Array;
  /** What its BARs decode, in bytes, by number; the device itself does not tell. */
  readonly barBytes?: readonly (number | undefined)[];
  /** Name of the driver that is bound. */
  readonly driver?: string;
}

/** The options of the command, by what they do. */
export interface LspciOptions {
  /** `-v` is 1, `-vv` is 2; default 0. */
  readonly verbose?: 0 | 1 | 2;
  /** `-n`, `-nn`; default names. */
  readonly naming?: Naming;
  /** `-k`: the driver in use; always with `-v`. */
  readonly kernel?: boolean;
  /** `-x`: 64 bytes; `-xxx`: 256; `-xxxx`: all. */
  readonly hex?: 'x' | 'xxx' | 'xxxx';
  /** `-t`: the tree of buses instead of a list. */
  readonly tree?: boolean;
  /** `-D`: segment numbers, also where all are 0. */
  readonly domains?: boolean;
}

/** Reads what {@link lspci} needs of a device: all of its configuration space. */
export function snapshot(dev: PciDevice): LspciDevice {
  const isExtended = dev.extCapabilities.length > 0;
  return {
    name: dev.name,
    config: readConfig(dev.config, isExtended ? PCI.EXTENDED_CONFIG_BYTES : PCI.CONFIG_BYTES),
    barBytes: dev.bars.map((bar) => bar?.sizeBytes),
    ...(dev.driver !== undefined && { driver: dev.driver.name }),
  };
}

/**
 * The output of `lspci` for these devices, in the layout of pciutils. Names come from a table of its own; of a device that is
 * not in it the numbers are shown, as `lspci` does.
 *
 * What `-xxx` and `-xxxx` print is what `lspci -F` reads.
 * @param devices in any order; they are shown by address
 * @see pciutils 3.9.0 lspci.c
 */
export function lspci(devices: readonly LspciDevice[], options: LspciOptions = {}): string {
  const sorted = devices.slice().sort((a, b) => (a.name < b.name ? -1 : 1));
  const { verbose = 0, naming = 'names' } = options;
  if (options.tree === true) return tree(sorted.map((dev) => treeNode(dev, verbose > 0 ? naming : undefined)));
  const domains = options.domains === true || sorted.some((dev) => !dev.name.startsWith('0000:'));
  let text = '';
  for (const dev of sorted) {
    const config = new ConfigDump(dev.config);
    text += `${domains ? dev.name : dev.name.slice(5)} ${identity(config, naming, verbose)}\n`;
    for (const line of details(dev, config, naming, options)) text += `${line}\n`;
    if (options.hex !== undefined)
      text += hexDump(dev.config.subarray(0, { x: 64, xxx: PCI.CONFIG_BYTES, xxxx: PCI.EXTENDED_CONFIG_BYTES }[options.hex]));
    if (verbose > 0 || options.hex !== undefined) text += '\n';
  }
  return text;
}

/** `Host bridge: Intel Corporation 82G33/G31/P35/P31 Express DRAM Controller (rev 01)` */
function identity(config: ConfigDump, naming: Naming, verbose: number): string {
  const code = Math.floor(config.read32(0x08) / 256);
  const revision = config.read8(0x08);
  let text = `${className(code >> 8, naming)}: ${deviceName(config.read16(0x00), config.read16(0x02), naming)}`;
  if (revision !== 0) text += ` (rev ${hex(revision, 2)})`;
  const face = interfaceName(code);
  if (verbose > 0 && ((code & 0xff) !== 0 || face !== undefined)) {
    text += ` (prog-if ${hex(code & 0xff, 2)}${face === undefined ? '' : ` [${face}]`})`;
  }
  return text;
}

function details(dev: LspciDevice, config: ConfigDump, naming: Naming, options: LspciOptions): string[] {
  const { verbose = 0, kernel = false } = options;
  const lines: string[] = [];
  if (verbose === 0 && !kernel) return lines;
  const subsystem = subsystemOf(config);
  if (subsystem !== undefined && subsystem.vendor !== 0 && subsystem.vendor !== 0xffff) {
    lines.push(`\tSubsystem: ${subsystemName(config, subsystem.vendor, subsystem.device, naming)}`);
  }
  if (verbose > 0) {
    const { devfn } = parseBdf(dev.name);
    const hasMemory = config.read8(0x0e) % 0x80 <= 1 && memoryBars(config).length > 0;
    lines.push(...stateLines(config, verbose), ...headerLines(config, dev.barBytes ?? [], verbose));
    lines.push(...capabilityLines({ config, devfn, hasMemory, verbose, naming }));
  }
  if (dev.driver !== undefined) lines.push(`\tKernel driver in use: ${dev.driver}`);
  return lines;
}

/** A bridge tells its subsystem by a capability, which is shown as such. */
function subsystemOf(config: ConfigDump): { vendor: number; device: number } | undefined {
  if (config.read8(0x0e) % 0x80 !== 0) return subsystemCapability(config);
  return { vendor: config.read16(0x2c), device: config.read16(0x2e) };
}

function subsystemCapability(config: ConfigDump): { vendor: number; device: number } | undefined {
  if ((config.read16(0x06) & 0x10) === 0) return undefined;
  const seen = new Set<number>();
  for (let at = config.read8(0x34) & 0xfc; at !== 0 && !seen.has(at); at = config.read8(at + 1) & 0xfc) {
    seen.add(at);
    if (config.read8(at) === 0x0d) return { vendor: config.read16(at + 4), device: config.read16(at + 6) };
  }
  return undefined;
}

function memoryBars(config: ConfigDump): number[] {
  const count = config.read8(0x0e) % 0x80 === 0 ? 6 : 2;
  return Array.from({ length: count }, (_, i) => config.read32(0x10 + 4 * i)).filter((bar) => bar !== 0 && bar % 2 === 0);
}

const CONTROL = {
  'I/O': 0,
  Mem: 1,
  BusMaster: 2,
  SpecCycle: 3,
  MemWINV: 4,
  VGASnoop: 5,
  ParErr: 6,
  Stepping: 7,
  SERR: 8,
  FastB2B: 9,
  DisINTx: 10,
};

function stateLines(config: ConfigDump, verbose: number): string[] {
  const command = config.read16(0x04);
  const status = config.read16(0x06);
  const latency = config.read8(0x0d);
  const isMaster = part(command, 2, 1) === 1;
  const irq = config.read8(0x3c);
  const pin = config.read8(0x3d);
  if (verbose === 1) {
    const words = [
      isMaster && 'bus master',
      part(command, 5, 1) === 1 && 'VGA palette snoop',
      part(command, 7, 1) === 1 && 'stepping',
      part(command, 9, 1) === 1 && 'fast Back2Back',
      part(status, 5, 1) === 1 && '66MHz',
      part(status, 6, 1) === 1 && 'user-definable features',
      `${devsel(status)} devsel`,
      isMaster && `latency ${latency}`,
      irq !== 0 && `IRQ ${irq}`,
    ];
    return [`\tFlags: ${words.filter((word) => word !== false).join(', ')}`];
  }
  const before = flags(status, { Cap: 4, '66MHz': 5, UDF: 6, FastB2B: 7, ParErr: 8 });
  const after = flags(status, { '>TAbort': 11, '<TAbort': 12, '<MAbort': 13, '>SERR': 14, '<PERR': 15, INTx: 3 });
  const lines = [`\tControl: ${flags(command, CONTROL)}`, `\tStatus: ${before} DEVSEL=${devsel(status)} ${after}`];
  if (isMaster) {
    const isDevice = config.read8(0x0e) % 0x80 === 0;
    const [grant, latencyMost] = isDevice ? [config.read8(0x3e), config.read8(0x3f)] : [0, 0];
    const wanted = [grant !== 0 && `${grant * 250}ns min`, latencyMost !== 0 && `${latencyMost * 250}ns max`].filter(
      (w) => w !== false,
    );
    const cache = config.read8(0x0c);
    const extra =
      (wanted.length > 0 ? ` (${wanted.join(', ')})` : '') + (cache > 0 ? `, Cache Line Size: ${cache * 4} bytes` : '');
    lines.push(`\tLatency: ${latency}${extra}`);
  }
  if (pin !== 0 || irq !== 0) {
    lines.push(`\tInterrupt: pin ${pin === 0 ? '?' : String.fromCharCode(0x40 + pin)} routed to IRQ ${irq}`);
  }
  return lines;
}

function treeNode(dev: LspciDevice, naming: Naming | undefined): TreeNode {
  const { segment, bus, devfn } = parseBdf(dev.name);
  const config = new ConfigDump(dev.config);
  const isBridge = config.read8(0x0e) % 0x80 === 1;
  return {
    segment,
    bus,
    devfn,
    secondary: isBridge ? config.read8(0x19) : undefined,
    subordinate: config.read8(0x1a),
    label: naming === undefined ? '' : `  ${deviceName(config.read16(0x00), config.read16(0x02), naming)}`,
  };
}
