import { hex } from '../lib/index.js';

/** Names of base classes and their subclasses, as the PCI ID database spells them. */
const CLASSES: { readonly [base: number]: { readonly name: string; readonly sub: { readonly [code: number]: string } } } = {
  0x00: { name: 'Unclassified device', sub: { 0x00: 'Non-VGA unclassified device', 0x01: 'VGA compatible unclassified device' } },
  0x01: {
    name: 'Mass storage controller',
    sub: {
      0x00: 'SCSI storage controller',
      0x01: 'IDE interface',
      0x04: 'RAID bus controller',
      0x05: 'ATA controller',
      0x06: 'SATA controller',
      0x07: 'Serial Attached SCSI controller',
      0x08: 'Non-Volatile memory controller',
      0x80: 'Mass storage controller',
    },
  },
  0x02: {
    name: 'Network controller',
    sub: { 0x00: 'Ethernet controller', 0x07: 'Infiniband controller', 0x80: 'Network controller' },
  },
  0x03: {
    name: 'Display controller',
    sub: { 0x00: 'VGA compatible controller', 0x02: '3D controller', 0x80: 'Display controller' },
  },
  0x04: {
    name: 'Multimedia controller',
    sub: {
      0x00: 'Multimedia video controller',
      0x01: 'Multimedia audio controller',
      0x03: 'Audio device',
      0x80: 'Multimedia controller',
    },
  },
  0x05: { name: 'Memory controller', sub: { 0x00: 'RAM memory', 0x01: 'FLASH memory', 0x80: 'Memory controller' } },
  0x06: {
    name: 'Bridge',
    sub: {
      0x00: 'Host bridge',
      0x01: 'ISA bridge',
      0x02: 'EISA bridge',
      0x04: 'PCI bridge',
      0x07: 'CardBus bridge',
      0x09: 'Semi-transparent PCI-to-PCI bridge',
      0x80: 'Bridge',
    },
  },
  0x07: {
    name: 'Communication controller',
    sub: { 0x00: 'Serial controller', 0x01: 'Parallel controller', 0x03: 'Modem', 0x80: 'Communication controller' },
  },
  0x08: {
    name: 'Generic system peripheral',
    sub: {
      0x00: 'PIC',
      0x01: 'DMA controller',
      0x02: 'Timer',
      0x03: 'RTC',
      0x04: 'PCI Hot-plug controller',
      0x05: 'SD Host controller',
      0x06: 'IOMMU',
      0x80: 'System peripheral',
    },
  },
  0x09: {
    name: 'Input device controller',
    sub: { 0x00: 'Keyboard controller', 0x02: 'Mouse controller', 0x80: 'Input device controller' },
  },
  0x0a: { name: 'Docking station', sub: {} },
  0x0b: { name: 'Processor', sub: { 0x40: 'Co-processor' } },
  0x0c: {
    name: 'Serial bus controller',
    sub: { 0x00: 'FireWire (IEEE 1394)', 0x03: 'USB controller', 0x04: 'Fibre Channel', 0x05: 'SMBus', 0x06: 'InfiniBand' },
  },
  0x0d: { name: 'Wireless controller', sub: {} },
  0x0e: { name: 'Intelligent controller', sub: {} },
  0x0f: { name: 'Satellite communications controller', sub: {} },
  0x10: {
    name: 'Encryption controller',
    sub: { 0x00: 'Network and computing encryption device', 0x80: 'Encryption controller' },
  },
  0x11: { name: 'Signal processing controller', sub: { 0x80: 'Signal processing controller' } },
  0x12: { name: 'Processing accelerators', sub: { 0x00: 'Processing accelerators' } },
  0x13: { name: 'Non-Essential Instrumentation', sub: {} },
  0x40: { name: 'Coprocessor', sub: {} },
  0xff: { name: 'Unassigned class', sub: {} },
};

/** Names of programming interfaces, by the 24 bits of the class code. */
const INTERFACES: { readonly [code: number]: string } = {
  0x01_0601: 'AHCI 1.0',
  0x01_0802: 'NVM Express',
  0x03_0000: 'VGA controller',
  0x06_0400: 'Normal decode',
  0x06_0401: 'Subtractive decode',
  0x0c_0300: 'UHCI',
  0x0c_0310: 'OHCI',
  0x0c_0320: 'EHCI',
  0x0c_0330: 'XHCI',
};

/** Vendors of devices that occur here. */
const VENDORS: { readonly [id: number]: string } = {
  0x1af4: 'Red Hat, Inc.',
  0x1b36: 'Red Hat, Inc.',
  0x8086: 'Intel Corporation',
};

/** Devices that occur here, by vendor and device in one number. */
const DEVICES: { readonly [ids: number]: string } = {
  0x1b36_000c: 'QEMU PCIe Root port',
  0x1b36_000e: 'QEMU PCIe-to-PCI bridge',
  0x1b36_0010: 'QEMU NVM Express Controller',
  0x8086_10c9: '82576 Gigabit Network Connection',
  0x8086_10ca: '82576 Virtual Function',
  0x8086_10d3: '82574L Gigabit Network Connection',
  0x8086_2918: '82801IB (ICH9) LPC Interface Controller',
  0x8086_2922: '82801IR/IO/IH (ICH9R/DO/DH) 6 port SATA Controller [AHCI mode]',
  0x8086_2930: '82801I (ICH9 Family) SMBus Controller',
  0x8086_29c0: '82G33/G31/P35/P31 Express DRAM Controller',
};

/** Subsystems that are the same whatever the device. */
const SUBSYSTEMS: { readonly [ids: number]: string } = { 0x1af4_1100: 'QEMU Virtual Machine' };

/** `names`: words alone; `n`: numbers alone; `nn`: both. */
export type Naming = 'names' | 'n' | 'nn';

/** `Ethernet controller`, `0200`, `Ethernet controller [0200]`. @param code class and subclass, 16 bits */
export function className(code: number, naming: Naming): string {
  const base = CLASSES[code >> 8];
  const sub = base?.sub[code & 0xff];
  const number = hex(code, 4);
  if (naming === 'n') return number;
  if (base === undefined) return naming === 'nn' ? `Class [${number}]` : `Class ${number}`;
  // A name that does not tell the subclass has the number with it in any case.
  return sub === undefined ? `${base.name} [${number}]` : naming === 'nn' ? `${sub} [${number}]` : sub;
}

/** The name of a programming interface, if it has one. @param code 24 bits */
export function interfaceName(code: number): string | undefined {
  return INTERFACES[code];
}

const join = (vendor: number, device: number): number => vendor * 2 ** 16 + device;

/** Vendor and device. */
export function deviceName(vendor: number, device: number, naming: Naming): string {
  return pair(VENDORS[vendor], DEVICES[join(vendor, device)], vendor, device, naming);
}

/** Vendor and device of a subsystem. @param config of the device whose subsystem it is */
export function subsystemName(
  config: { read32(offset: number): number },
  vendor: number,
  device: number,
  naming: Naming,
): string {
  const ids = join(vendor, device);
  const isDevice = config.read32(0) === device * 2 ** 16 + vendor;
  const name = SUBSYSTEMS[ids] ?? (isDevice ? DEVICES[ids] : undefined);
  return pair(VENDORS[vendor], name, vendor, device, naming);
}

function pair(vendorName: string | undefined, name: string | undefined, vendor: number, device: number, naming: Naming): string {
  const numbers = `${hex(vendor, 4)}:${hex(device, 4)}`;
  if (naming === 'n') return numbers;
  const words = vendorName === undefined ? 'Device' : `${vendorName} ${name ?? 'Device'}`;
  if (naming === 'nn') return `${words} [${numbers}]`;
  if (vendorName === undefined) return `Device ${numbers}`;
  return name === undefined ? `${words} ${hex(device, 4)}` : words;
}

/** The tables in the format of the database, as `lspci -i` reads it. */
export function idDatabase(): string {
  const lines: string[] = [];
  const vendors = new Set(
    [...Object.keys(VENDORS), ...Object.keys(SUBSYSTEMS).map((ids) => String(Math.floor(Number(ids) / 2 ** 16)))].map(Number),
  );
  for (const vendor of [...vendors].sort((a, b) => a - b)) {
    lines.push(`${hex(vendor, 4)}  ${VENDORS[vendor] ?? ''}`);
    for (const [ids, name] of Object.entries(DEVICES)) {
      if (Math.floor(Number(ids) / 2 ** 16) === vendor) lines.push(`\t${hex(Number(ids) % 2 ** 16, 4)}  ${name}`);
    }
  }
  for (const [ids, name] of Object.entries(SUBSYSTEMS)) {
    lines.push(`S ${hex(Math.floor(Number(ids) / 2 ** 16), 4)}`, `\t${hex(Number(ids) % 2 ** 16, 4)}  ${name}`);
  }
  for (const [base, { name, sub }] of Object.entries(CLASSES)) {
    lines.push(`C ${hex(Number(base), 2)}  ${name}`);
    for (const [code, subName] of Object.entries(sub)) {
      lines.push(`\t${hex(Number(code), 2)}  ${subName}`);
      const own = Number(base) * 2 ** 16 + Number(code) * 2 ** 8;
      for (const [full, face] of Object.entries(INTERFACES)) {
        if (Number(full) - (Number(full) % 256) === own) lines.push(`\t\t${hex(Number(full) % 256, 2)}  ${face}`);
      }
    }
  }
  return `${lines.join('\n')}\n`;
}
