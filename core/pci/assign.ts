import { alignUp, assert, hex } from '../lib/index.js';
import { type Bar, WINDOW_KINDS, type WindowKind } from './bar.js';
import { type PciBusNode, WINDOW_UNIT, enableBridge, programWindows } from './bridge.js';
import type { PciDevice } from './device.js';
import type { RangeRequest } from './range.js';
import type { ScanLog } from './scan.js';

/** Room that is kept below a hot-plug port for what may come, in bytes. @see Linux 6.12 drivers/pci/pci.c pci_hotplug_io_size */
export const HOTPLUG_BYTES: { readonly [K in WindowKind]: number } = { io: 256, mem: 2 * 2 ** 20, prefetch: 2 * 2 ** 20 };

/** What an assignment needs to know. */
export interface AssignOptions {
  readonly hotplugBytes: { readonly [K in WindowKind]: number };
  readonly log: ScanLog;
}

/** One thing that wants addresses on a bus: a BAR, or the window of a bridge with what is below it. */
interface Need extends RangeRequest {
  readonly dev: PciDevice;
  readonly bar: Bar | undefined;
  readonly below: readonly Need[];
}

/**
 * Gives new devices of a bus, and all below them, their addresses: windows are measured bottom up and filled top down.
 *
 * What does not fit stays without an address, largest first; the rest is served.
 * @see Linux 6.12 drivers/pci/setup-bus.c pci_assign_unassigned_root_bus_resources
 */
export function assignResources(node: PciBusNode, devices: readonly PciDevice[], options: AssignOptions): void {
  for (const kind of WINDOW_KINDS) assignKind(node, devices, kind, options);
  if (node.bridge === undefined) useHighMemory(node, devices);
  for (const dev of devices) finish(dev, options);
}

function assignKind(node: PciBusNode, devices: readonly PciDevice[], kind: WindowKind, options: AssignOptions): void {
  const given = new Set<Bar>();
  const space = node.space(kind);
  for (let reserve = true; ; reserve = false) {
    const needs = collect(node, devices, kind, reserve ? options.hotplugBytes[kind] : 0, given);
    const addresses = space.allocAll(needs);
    if (addresses !== undefined) {
      commit(needs, addresses, kind);
      return;
    }
    if (reserve) continue;
    const largest = largestBar(needs);
    if (largest === undefined) return;
    given.add(largest);
  }
}

/** What devices want of a bus, in an order in which nothing is lost between two of them. */
function collect(
  node: PciBusNode,
  devices: readonly PciDevice[],
  kind: WindowKind,
  reserveBytes: number,
  givenUp: ReadonlySet<Bar>,
): Need[] {
  const needs: Need[] = [];
  for (const dev of devices) {
    for (const bar of dev.bars) {
      if (bar === undefined || bar.address !== undefined || givenUp.has(bar) || spaceOf(bar, node) !== kind) continue;
      needs.push({ dev, bar, below: [], sizeBytes: bar.sizeBytes, align: bar.sizeBytes });
    }
    const { secondary } = dev;
    if (secondary?.offers(kind) !== true) continue;
    const below = collect(secondary, secondary.devices, kind, reserveBytes, givenUp);
    const unit = WINDOW_UNIT[kind];
    const wanted = Math.max(packedBytes(below), dev.isHotplugPort ? reserveBytes : 0);
    if (wanted > 0)
      needs.push({ dev, bar: undefined, below, sizeBytes: alignUp(wanted, unit), align: Math.max(unit, below[0]?.align ?? 0) });
  }
  return needs.sort((a, b) => b.align - a.align);
}

/** Prefetchable memory has 64 bits of address all the way, or is served as other memory is. */
function spaceOf(bar: Bar, node: PciBusNode): WindowKind {
  if (bar.kind === 'io') return 'io';
  return bar.prefetch && bar.is64 && node.offers('prefetch') ? 'prefetch' : 'mem';
}

function packedBytes(needs: readonly Need[]): number {
  let end = 0;
  for (const need of needs) end = alignUp(end, need.align) + need.sizeBytes;
  return end;
}

function largestBar(needs: readonly Need[]): Bar | undefined {
  let largest: Bar | undefined;
  for (const need of needs) {
    const bar = need.bar ?? largestBar(need.below);
    if (bar !== undefined && bar.sizeBytes > (largest?.sizeBytes ?? 0)) largest = bar;
  }
  return largest;
}

function commit(needs: readonly Need[], addresses: readonly number[], kind: WindowKind): void {
  for (const [i, need] of needs.entries()) {
    const address = addresses[i]!;
    if (need.bar !== undefined) {
      need.bar.program(need.dev.config, address, kind);
      continue;
    }
    const bus = need.dev.secondary!;
    bus.openWindow(kind, address, need.sizeBytes);
    const inner = bus.space(kind).allocAll(need.below);
    assert(inner !== undefined, `the window of ${need.dev.name} is smaller than what it was measured for`);
    commit(need.below, inner, kind);
  }
}

/** On a root bus no bridge merges or prefetches, so what found no room below 4 GiB may lie above. */
function useHighMemory(node: PciBusNode, devices: readonly PciDevice[]): void {
  for (const dev of devices) {
    for (const bar of dev.bars) {
      if (bar?.is64 !== true || bar.address !== undefined) continue;
      const request = { sizeBytes: bar.sizeBytes, align: bar.sizeBytes };
      const kind = node.offers('prefetch') && !bar.prefetch ? 'prefetch' : 'mem';
      const address = node.space(kind).alloc(request);
      if (address !== undefined) bar.program(dev.config, address, kind);
    }
  }
}

/** Bridges are switched on with their windows; what got nothing is told. */
function finish(dev: PciDevice, options: AssignOptions): void {
  for (const bar of dev.bars) {
    if (bar !== undefined && bar.address === undefined)
      options.log(dev, `no room for ${bar.describe()} in ${room(dev.node, bar)}`);
  }
  if (dev.secondary === undefined) return;
  programWindows(dev.config, dev.secondary);
  enableBridge(dev.config);
  for (const child of dev.secondary.devices) finish(child, options);
}

function room(node: PciBusNode, bar: Bar): string {
  const kind = spaceOf(bar, node);
  const { ranges } = node.space(kind);
  const where = node.bridge === undefined ? 'the apertures of the root' : `the window of ${node.bridge.name}`;
  const list = ranges.map(({ base, limit }) => `0x${hex(base)}-0x${hex(limit)}`).join(', ');
  return `${where} (${kind} ${list === '' ? 'closed' : list})`;
}

/** Gives back what a device, and the window of a bridge, took of its bus. */
export function releaseResources(dev: PciDevice): void {
  for (const bar of dev.bars) {
    if (bar?.address === undefined || bar.space === undefined) continue;
    dev.node.space(bar.space).free(bar.address);
    bar.address = bar.space = undefined;
  }
  const { secondary } = dev;
  if (secondary === undefined) return;
  for (const kind of WINDOW_KINDS) {
    const window = secondary.window(kind);
    if (window === undefined) continue;
    dev.node.space(kind).free(window.base);
    secondary.closeWindow(kind);
  }
  // A bridge that stays in its place must not go on forwarding what will soon be another's.
  programWindows(dev.config, secondary);
}
