import { PCI, devfn } from '../hal/index.js';
import { type Bar, sizeBars } from './bar.js';
import { PciBusNode } from './bridge.js';
import { PciDevice } from './device.js';

/** Bus numbers of a hot-plug port when it is found, its own bus included. @see Linux 6.12 drivers/pci/pci.c pci_hotplug_bus_size */
export const HOTPLUG_BUSES = 1;

const ABSENT = 0xffff;

/** Tells of something that could not be done with a device, which is there nevertheless. */
export type ScanLog = (dev: PciDevice, text: string) => void;

/** What a scan needs to know. */
export interface ScanOptions {
  readonly hotplugBuses: number;
  readonly log: ScanLog;
}

/**
 * Finds the functions of a bus and of all buses below it, and gives bridges their bus numbers, depth first. What is known
 * already stays as it is.
 * @param last the highest bus number that may be given below this bus
 * @returns the devices that are new on this very bus, or on one below a bridge that is not new
 * @see Linux 6.12 drivers/pci/probe.c pci_scan_child_bus_extend, pci_scan_bridge_extend
 */
export function scanBus(node: PciBusNode, last: number, options: ScanOptions): PciDevice[] {
  const found: PciDevice[] = [];
  const devices = isLink(node) ? 1 : 32;
  for (let device = 0; device < devices; device++) found.push(...scanSlot(node, device));
  let highest = node.number;
  for (const dev of node.devices) {
    if (!dev.isBridge) continue;
    if (dev.secondary === undefined) highest = numberBridge(dev, highest, last, options);
    else {
      found.push(...scanBus(dev.secondary, dev.secondary.subordinate, options));
      highest = Math.max(highest, dev.secondary.subordinate);
    }
  }
  return found;
}

/** Looks for new functions of one device. @see Linux 6.12 drivers/pci/probe.c pci_scan_slot */
export function scanSlot(node: PciBusNode, device: number): PciDevice[] {
  const found: PciDevice[] = [];
  for (let fn = 0; fn < 8; fn++) {
    const at = devfn(device, fn);
    const dev = node.find(at) ?? scanFunction(node, at, found);
    // Function 0 is always there when the device is, and tells whether there are others.
    if (fn === 0 && dev?.isMultifunction !== true) break;
  }
  return found;
}

function scanFunction(node: PciBusNode, at: number, found: PciDevice[]): PciDevice | undefined {
  const config = node.root.config(node.number, at);
  const vendor = config.read16(PCI.VENDOR_ID.offset);
  if (vendor === ABSENT || vendor === 0) return undefined;
  const dev = new PciDevice(node, at, config);
  if (dev.isBridge) forgetBusNumbers(dev);
  dev.bars = measure(dev);
  node.insert(dev);
  found.push(dev);
  return dev;
}

function measure(dev: PciDevice): (Bar | undefined)[] {
  if (dev.headerType === PCI.HEADER_BRIDGE) return sizeBars(dev.config, 2);
  return dev.headerType === 0 ? sizeBars(dev.config, 6) : [];
}

/** Below a port of PCI Express is a link, which has device 0 alone. */
function isLink(node: PciBusNode): boolean {
  const at = node.bridge?.findCapability(PCI.CAP_PCIE);
  if (node.bridge === undefined || at === undefined) return false;
  const type = node.bridge.config.readField(PCI.inCap(at, PCI.PCIE_FLAGS), PCI.PCIE_FLAGS.fields.type);
  return type === PCI.PCIE_TYPES['root-port'] || type === PCI.PCIE_TYPES.downstream;
}

/** Whatever numbers a bridge had, they must not claim those given now. */
function forgetBusNumbers(dev: PciDevice): void {
  dev.config.write(PCI.SUBORDINATE_BUS, 0);
  dev.config.write(PCI.SECONDARY_BUS, 0);
  dev.config.write(PCI.PRIMARY_BUS, 0);
}

/** @returns the highest bus number now in use */
function numberBridge(dev: PciDevice, highest: number, last: number, options: ScanOptions): number {
  const number = highest + 1;
  if (number > last) {
    options.log(dev, `no bus number left for what is below it: all up to ${last} are given`);
    return highest;
  }
  const { config } = dev;
  config.write(PCI.PRIMARY_BUS, dev.node.number);
  config.write(PCI.SECONDARY_BUS, number);
  config.write(PCI.SUBORDINATE_BUS, last);
  const below = new PciBusNode(dev.node.root, number, dev, dev);
  dev.secondary = below;
  scanBus(below, last, options);
  let top = number;
  for (const child of below.devices) top = Math.max(top, child.secondary?.subordinate ?? 0);
  if (dev.isHotplugPort) top = Math.max(top, Math.min(last, number + options.hotplugBuses - 1));
  below.subordinate = top;
  config.write(PCI.SUBORDINATE_BUS, top);
  return top;
}
