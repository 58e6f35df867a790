import { PCI, packFields } from '../../core/hal/index.js';
import { Errno, checkRange, hex, isPowerOfTwo } from '../../core/lib/index.js';
import { Capability, type CapabilityBlock } from './capability.js';
import { ConfigSpace } from './config-space.js';
import type { ExtendedCapability } from './extended.js';

/** A base address register: how much the function decodes, and where that may lie. */
export interface BarSpec {
  /** `mem64` takes two registers. */
  readonly kind: 'mem32' | 'mem64' | 'io';
  /** A power of two; at least 16 for memory and 4 for I/O, at most 2 GiB, for `mem64` 2^52. */
  readonly sizeBytes: number;
  /** Reads have no side effects; memory only, default false. */
  readonly prefetch?: boolean;
}

/** What a function declares in its configuration space. */
export interface EndpointConfig {
  readonly vendor: number;
  readonly device: number;
  /** Class, subclass and interface: 24 bits, `0x020000` for Ethernet. */
  readonly classCode: number;
  readonly revision?: number;
  /** Default 0:0, none. */
  readonly subsystem?: { readonly vendor: number; readonly device: number };
  /** Default none. */
  readonly interruptPin?: 'A' | 'B' | 'C' | 'D';
  /** By BAR number, 0 to 5 (bridges: 0 and 1). */
  readonly bars?: { readonly [bar: number]: BarSpec };
  /** In the order of the list. */
  readonly capabilities?: readonly Capability[];
  /** In the order of the list; need a PCI Express capability. */
  readonly extended?: readonly ExtendedCapability[];
}

const LIMITS = { mem32: [16, 2 ** 31], mem64: [16, 2 ** 52], io: [4, 2 ** 31] } as const;

/** `1234:11e8`, for messages. */
function idOf(config: EndpointConfig): string {
  return `${hex(config.vendor, 4)}:${hex(config.device, 4)}`;
}

/**
 * Lays out the registers that all headers share, BARs and capabilities.
 * @param bars registers in this type of header: 6, or 2 for a bridge
 * @throws {Errno} EINVAL for a declaration that cannot be
 */
export function layOut(config: EndpointConfig, bars: 6 | 2): { space: ConfigSpace; caps: Map<number, number> } {
  const extended = config.extended ?? [];
  const caps = config.capabilities ?? [];
  const isExpress = caps.some((cap) => cap.id === PCI.CAP_PCIE);
  if (extended.length > 0 && !isExpress) {
    throw new Errno('EINVAL', `${idOf(config)}: extended capabilities without a PCI Express capability`);
  }
  const space = new ConfigSpace(isExpress ? PCI.EXTENDED_CONFIG_BYTES : PCI.CONFIG_BYTES);
  // All ones, or zero, is what is read where nothing is.
  checkRange(idOf(config), 'its vendor', config.vendor, 1, 0xfffe);
  checkRange(idOf(config), 'its device', config.device, 0, 0xffff);
  checkRange(idOf(config), 'its class code', config.classCode, 0, 0xff_ffff);
  space.define(PCI.VENDOR_ID, config.vendor);
  space.define(PCI.DEVICE_ID, config.device);
  space.define(PCI.COMMAND);
  space.define(PCI.STATUS, packFields(PCI.STATUS, { capabilities: caps.length > 0 ? 1 : 0 }));
  space.define(PCI.CLASS_REVISION, ((config.revision ?? 0) & 0xff) | (config.classCode << 8));
  space.define(PCI.CACHE_LINE_SIZE);
  space.define(PCI.INTERRUPT_LINE);
  space.define(PCI.INTERRUPT_PIN, config.interruptPin === undefined ? 0 : ' ABCD'.indexOf(config.interruptPin));
  layOutBars(config, space, bars);
  return { space, caps: placeCapabilities(config, space, caps, extended) };
}

function layOutBars(config: EndpointConfig, space: ConfigSpace, bars: number): void {
  let pairedWith = -1;
  for (const [key, bar] of Object.entries(config.bars ?? {})) {
    const index = Number(key);
    const who = `${idOf(config)}: BAR ${key}`;
    if (!Object.hasOwn(LIMITS, bar.kind)) throw new Errno('EINVAL', `${who}: is of kind ${bar.kind}, must be mem32, mem64 or io`);
    const [min, max] = LIMITS[bar.kind];
    if (!isPowerOfTwo(bar.sizeBytes) || bar.sizeBytes < min || bar.sizeBytes > max) {
      throw new Errno('EINVAL', `${who}: ${bar.sizeBytes} bytes, must be a power of two of ${min} to ${max}`);
    }
    const last = index + (bar.kind === 'mem64' ? 1 : 0);
    if (!(Number.isInteger(index) && index >= 0 && last < bars)) {
      throw new Errno('EINVAL', `${who}: outside a header of ${bars} base address registers`);
    }
    if (index === pairedWith) throw new Errno('EINVAL', `${who}: is the upper half of BAR ${index - 1}`);
    const at = PCI.barReg(index).offset;
    const mask = 2 ** 32 - (bar.sizeBytes % 2 ** 32);
    if (bar.kind === 'io') {
      space.define32(at, 0x1, (mask & 0xffff_fffc) >>> 0);
      continue;
    }
    const flags = (bar.kind === 'mem64' ? 0x4 : 0) | (bar.prefetch === true ? 0x8 : 0);
    space.define32(at, flags, bar.sizeBytes >= 2 ** 32 ? 0 : (mask & 0xffff_fff0) >>> 0);
    if (bar.kind === 'mem64') {
      space.define32(at + 4, 0, bar.sizeBytes >= 2 ** 32 ? 2 ** 32 - bar.sizeBytes / 2 ** 32 : 0xffff_ffff);
      pairedWith = last;
    }
  }
}

/** Links the capabilities into their two lists; gives offset by id (the first of an id; extended ids from 0x10000 on). */
function placeCapabilities(
  config: EndpointConfig,
  space: ConfigSpace,
  caps: readonly Capability[],
  extended: readonly ExtendedCapability[],
): Map<number, number> {
  const offsets = new Map<number, number>();
  let link = PCI.CAPABILITY_POINTER.offset;
  for (const [cap, at] of place(config, caps, PCI.FIRST_CAPABILITY, PCI.CONFIG_BYTES)) {
    copyBlock(space, cap, at, 2);
    space.define8(at, cap.id);
    space.define8(link, at);
    link = at + 1;
    if (!offsets.has(cap.id)) offsets.set(cap.id, at);
  }
  let previous = 0;
  for (const [cap, at] of place(config, extended, PCI.CONFIG_BYTES, PCI.EXTENDED_CONFIG_BYTES)) {
    if (previous === 0 && at !== PCI.CONFIG_BYTES) {
      throw new Errno('EINVAL', `${idOf(config)}: the first extended capability must be at 0x100`);
    }
    copyBlock(space, cap, at, 4);
    space.define32(at, (cap.id | (cap.version << 16)) >>> 0);
    if (previous > 0) space.define16(previous + 2, (space.read16(previous + 2) & 0xf) | (at << 4));
    previous = at;
    const key = 0x1_0000 + cap.id;
    if (!offsets.has(key)) offsets.set(key, at);
  }
  return offsets;
}

function place<T extends CapabilityBlock>(
  config: EndpointConfig,
  blocks: readonly T[],
  first: number,
  end: number,
): [T, number][] {
  let next = first;
  const placed: [T, number][] = [];
  for (const block of blocks) {
    const at = block.at ?? next;
    const after = at + Math.ceil(block.sizeBytes / 4) * 4;
    const clash = placed.find(([other, start]) => at < start + other.sizeBytes && start < after);
    if (at < first || after > end || clash !== undefined) {
      const what = `capability 0x${hex(block.id, 2)}: ${block.sizeBytes} bytes at 0x${hex(at)}`;
      throw new Errno('EINVAL', `${idOf(config)}: ${what} do not fit 0x${hex(first)} to 0x${hex(end - 1)} beside the others`);
    }
    placed.push([block, at]);
    next = Math.max(next, after);
  }
  return placed;
}

function copyBlock(space: ConfigSpace, block: CapabilityBlock, at: number, headerBytes: number): void {
  for (let i = headerBytes; i < block.sizeBytes; i++) {
    space.define8(at + i, block.value.getUint8(i), block.writable.getUint8(i), block.w1c.getUint8(i));
  }
}
