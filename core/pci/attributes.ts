import type { AttributeGroup, Device } from '../device/index.js';
import { PCI } from '../hal/index.js';
import { Errno, type MaybePromise, hex } from '../lib/index.js';
import { type Bar, WINDOW_KINDS, type WindowKind } from './bar.js';
import { readConfig } from './config.js';
import type { PciDevice } from './device.js';
import { hexDump } from './lspci-dump.js';

const upper = (value: number, digits: number): string => hex(value, digits).toUpperCase();

/** `pci:v00001234d000011E8sv...`: what module loaders match. @see Linux 6.12 drivers/pci/pci-sysfs.c modalias_show */
export function modalias(dev: PciDevice): string {
  const { vendorId, deviceId, subsystemVendorId, subsystemDeviceId, classCode } = dev;
  const ids = `v${upper(vendorId, 8)}d${upper(deviceId, 8)}sv${upper(subsystemVendorId, 8)}sd${upper(subsystemDeviceId, 8)}`;
  return `pci:${ids}bc${upper(classCode >> 16, 2)}sc${upper((classCode >> 8) & 0xff, 2)}i${upper(classCode & 0xff, 2)}`;
}

/** The variables of a PCI device's events. @see Linux 6.12 drivers/pci/pci-driver.c pci_uevent */
export function pciUevent(dev: PciDevice, env: Map<string, string>): void {
  env.set('PCI_CLASS', upper(dev.classCode, 4));
  env.set('PCI_ID', `${upper(dev.vendorId, 4)}:${upper(dev.deviceId, 4)}`);
  env.set('PCI_SUBSYS_ID', `${upper(dev.subsystemVendorId, 4)}:${upper(dev.subsystemDeviceId, 4)}`);
  env.set('PCI_SLOT_NAME', dev.name);
  env.set('MODALIAS', modalias(dev));
}

/** Flags of a resource. @see Linux 6.12 include/linux/ioport.h */
const IORESOURCE = { io: 0x100, mem: 0x200, prefetch: 0x2000, align: 0x4_0000, mem64: 0x10_0000, unset: 0x2000_0000 } as const;
/** The 6 BARs and the expansion ROM. */
const DEVICE_RESOURCES = 7;
/** With the windows of a bridge, the last of which is unused. */
const BRIDGE_RESOURCES = 4;

function line(start: number, end: number, flags: number): string {
  return `0x${hex(start, 16)} 0x${hex(end, 16)} 0x${hex(flags, 16)}\n`;
}

function barLine(bar: Bar | undefined): string {
  if (bar === undefined) return line(0, 0, 0);
  // The low bits are those of the register itself.
  const kind = bar.kind === 'io' ? IORESOURCE.io + 1 : IORESOURCE.mem + (bar.is64 ? IORESOURCE.mem64 + 4 : 0);
  const flags = kind + IORESOURCE.align + (bar.prefetch ? IORESOURCE.prefetch + 8 : 0);
  if (bar.address === undefined) return line(0, bar.sizeBytes - 1, flags + IORESOURCE.unset);
  return line(bar.address, bar.address + bar.sizeBytes - 1, flags);
}

const WINDOW_FLAGS: { readonly [K in WindowKind]: number } = {
  io: IORESOURCE.io + 1,
  mem: IORESOURCE.mem,
  prefetch: IORESOURCE.mem + IORESOURCE.prefetch + IORESOURCE.mem64 + 1,
};

/** Start, end and flags of each resource, a line each. @see Linux 6.12 drivers/pci/pci-sysfs.c resource_show */
function resources(dev: PciDevice): string {
  const lines = Array.from({ length: DEVICE_RESOURCES }, (_, i) => barLine(dev.bars[i]));
  if (dev.isBridge) {
    for (const kind of WINDOW_KINDS) {
      const window = dev.secondary?.window(kind);
      lines.push(window === undefined ? line(0, 0, 0) : line(window.base, window.limit, WINDOW_FLAGS[kind]));
    }
    while (lines.length < DEVICE_RESOURCES + BRIDGE_RESOURCES) lines.push(line(0, 0, 0));
  }
  return lines.join('');
}

/** Reads `0`, `1` and their like. @see Linux 6.12 lib/kstrtox.c kstrtobool */
function parseFlag(dev: Device, name: string, text: string): boolean {
  const word = text.trim();
  if (!/^([01yn]|on|off)$/i.test(word))
    throw new Errno('EINVAL', `${dev.name}: ${name} takes 0 or 1, not ${JSON.stringify(word)}`);
  return /^(1|y|on)$/i.test(word);
}

/** Switches decoding on or off where there is no driver. @see Linux 6.12 drivers/pci/pci-sysfs.c enable_store */
function enableByUser(dev: PciDevice, on: boolean): void {
  if (dev.driver !== undefined) throw new Errno('EBUSY', `${dev.name}: driver ${dev.driver.name} decides that`);
  if (!on && !dev.isUserEnabled) throw new Errno('EIO', `${dev.name}: is not enabled`);
  dev.isUserEnabled = on;
}

/** What the attributes ask of the bus. */
export interface AttributeActions {
  /** Takes a device, and all below it, off the bus. */
  remove(dev: PciDevice): MaybePromise<void>;
}

/** What sysfs shows of a PCI device. @see Linux 6.12 drivers/pci/pci-sysfs.c pci_dev_attrs */
export function deviceAttributes(actions: AttributeActions): AttributeGroup<Device> {
  const show = (name: string, text: (dev: PciDevice) => string) => ({
    name,
    show: (dev: Device): string => `${text(dev as PciDevice)}\n`,
  });
  return {
    attributes: [
      show('vendor', (dev) => `0x${hex(dev.vendorId, 4)}`),
      show('device', (dev) => `0x${hex(dev.deviceId, 4)}`),
      show('subsystem_vendor', (dev) => `0x${hex(dev.subsystemVendorId, 4)}`),
      show('subsystem_device', (dev) => `0x${hex(dev.subsystemDeviceId, 4)}`),
      show('revision', (dev) => `0x${hex(dev.revision, 2)}`),
      show('class', (dev) => `0x${hex(dev.classCode, 6)}`),
      show('irq', (dev) => String(dev.config.read(PCI.INTERRUPT_LINE))),
      show('modalias', modalias),
      show('numa_node', () => '-1'),
      show('power_state', (dev) => (dev.powerState === 3 ? 'D3hot' : `D${dev.powerState}`)),
      { name: 'resource', show: (dev) => resources(dev as PciDevice) },
      // In text: the whole of the extended space would not fit an attribute.
      { name: 'config', show: (dev) => hexDump(readConfig((dev as PciDevice).config, PCI.CONFIG_BYTES)) },
      {
        name: 'enable',
        show: (dev) => `${(dev as PciDevice).isUserEnabled || dev.driver !== undefined ? 1 : 0}\n`,
        store: (dev, text) => enableByUser(dev as PciDevice, parseFlag(dev, 'enable', text)),
      },
      {
        name: 'remove',
        store: (dev, text) => (parseFlag(dev, 'remove', text) ? actions.remove(dev as PciDevice) : undefined),
      },
      {
        name: 'reset',
        store: (dev, text) => {
          if (!parseFlag(dev, 'reset', text)) throw new Errno('EINVAL', `${dev.name}: reset takes 1 alone`);
          return (dev as PciDevice).reset();
        },
      },
    ],
  };
}
