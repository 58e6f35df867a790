import { type Reg, field, reg16, reg32, reg8, regAt } from './reg.js';

/**
 * PCI configuration space, for those who read it and for those who model it, with the names of the specification.
 * @see PCI Express Base Specification 5.0, 7.5.1 (headers), 7.5.2 (power management), 7.5.3 (PCI Express), 7.7 (MSI, MSI-X)
 */
export const VENDOR_ID = reg16('VENDOR_ID', 0x00, {}, { mode: 'ro' });
export const DEVICE_ID = reg16('DEVICE_ID', 0x02, {}, { mode: 'ro' });
/**
 * ```
 *  15      11  10    9   8    7   6   5   4   3     2      1    0
 * +----------+-----+---+----+---+---+---+---+---+--------+------+----+
 * |          |intx |   |serr|   |par|   |   |   | master |memory| io |
 * |          | off |   |    |   |   |   |   |   |        |      |    |
 * +----------+-----+---+----+---+---+---+---+---+--------+------+----+
 * ```
 */
export const COMMAND = reg16('COMMAND', 0x04, {
  io: field(0),
  memory: field(1),
  master: field(2),
  parity: field(6),
  serr: field(8),
  intxDisable: field(10),
});
/** What both status registers of a bridge tell of errors; cleared by writing 1. */
const ERRORS = {
  masterParity: field(8, 8, 'w1c'),
  signaledTargetAbort: field(11, 11, 'w1c'),
  receivedTargetAbort: field(12, 12, 'w1c'),
  receivedMasterAbort: field(13, 13, 'w1c'),
  signaledSerr: field(14, 14, 'w1c'),
  parity: field(15, 15, 'w1c'),
};
export const STATUS = reg16('STATUS', 0x06, { intx: field(3, 3, 'ro'), capabilities: field(4, 4, 'ro'), ...ERRORS });
/** Revision in the low byte, class code in the 24 bits above it. */
export const CLASS_REVISION = reg32('CLASS_REVISION', 0x08, { revision: field(7, 0, 'ro'), class: field(31, 8, 'ro') });
export const CACHE_LINE_SIZE = reg8('CACHE_LINE_SIZE', 0x0c);
export const HEADER_TYPE = reg8('HEADER_TYPE', 0x0e, { layout: field(6, 0, 'ro'), multifunction: field(7, 7, 'ro') });
const BAR = reg32('BAR', 0x10);
export const SUBSYSTEM_VENDOR_ID = reg16('SUBSYSTEM_VENDOR_ID', 0x2c, {}, { mode: 'ro' });
export const SUBSYSTEM_ID = reg16('SUBSYSTEM_ID', 0x2e, {}, { mode: 'ro' });
export const CAPABILITY_POINTER = reg8('CAPABILITY_POINTER', 0x34, {}, { mode: 'ro' });
export const INTERRUPT_LINE = reg8('INTERRUPT_LINE', 0x3c);
export const INTERRUPT_PIN = reg8('INTERRUPT_PIN', 0x3d, {}, { mode: 'ro' });

/** Base address register `index`, 0 to 5. */
export const barReg = (index: number): Reg => regAt(BAR, index, 4);

/** Header of a PCI-to-PCI bridge (type 1). */
export const PRIMARY_BUS = reg8('PRIMARY_BUS', 0x18);
export const SECONDARY_BUS = reg8('SECONDARY_BUS', 0x19);
export const SUBORDINATE_BUS = reg8('SUBORDINATE_BUS', 0x1a);
/** Bits 15:12 of the first and last address; the low bits tell whether the upper 16 bits exist. */
export const IO_BASE = reg8('IO_BASE', 0x1c, { type: field(3, 0, 'ro'), address: field(7, 4) });
export const IO_LIMIT = reg8('IO_LIMIT', 0x1d, { type: field(3, 0, 'ro'), address: field(7, 4) });
export const SECONDARY_STATUS = reg16('SECONDARY_STATUS', 0x1e, ERRORS);
/** Bits 31:20 of the first and last address. */
export const MEMORY_BASE = reg16('MEMORY_BASE', 0x20, { address: field(15, 4) });
export const MEMORY_LIMIT = reg16('MEMORY_LIMIT', 0x22, { address: field(15, 4) });
export const PREFETCH_BASE = reg16('PREFETCH_BASE', 0x24, { type: field(3, 0, 'ro'), address: field(15, 4) });
export const PREFETCH_LIMIT = reg16('PREFETCH_LIMIT', 0x26, { type: field(3, 0, 'ro'), address: field(15, 4) });
export const PREFETCH_BASE_UPPER = reg32('PREFETCH_BASE_UPPER', 0x28);
export const PREFETCH_LIMIT_UPPER = reg32('PREFETCH_LIMIT_UPPER', 0x2c);
export const IO_BASE_UPPER = reg16('IO_BASE_UPPER', 0x30);
export const IO_LIMIT_UPPER = reg16('IO_LIMIT_UPPER', 0x32);
/** Without what is optional: VGA and master abort mode. */
export const BRIDGE_CONTROL = reg16('BRIDGE_CONTROL', 0x3e, {
  parity: field(0),
  serr: field(1),
  isa: field(2),
  busReset: field(6),
});

/** Capability ids. */
export const CAP_PM = 0x01;
export const CAP_MSI = 0x05;
export const CAP_VENDOR = 0x09;
export const CAP_PCIE = 0x10;
export const CAP_MSIX = 0x11;

/** Extended capability ids. */
export const EXT_AER = 0x0001;
export const EXT_SERIAL = 0x0003;
export const EXT_VENDOR = 0x000b;
export const EXT_ATS = 0x000f;
export const EXT_PRI = 0x0013;
export const EXT_PASID = 0x001b;

/** Registers of capabilities, from the start of the capability: `inCap(at, PM_CONTROL)`. */
export const PM_CONTROL = reg16('PM_CONTROL', 0x04, { state: field(1, 0), noSoftReset: field(3, 3, 'ro') });
export const PCIE_FLAGS = reg16('PCIE_FLAGS', 0x02, {
  version: field(3, 0, 'ro'),
  type: field(7, 4, 'ro'),
  slot: field(8, 8, 'ro'),
});
export const PCIE_DEVICE_CAPS = reg32('PCIE_DEVICE_CAPS', 0x04, { flr: field(28, 28, 'ro') });
export const PCIE_DEVICE_CONTROL = reg16('PCIE_DEVICE_CONTROL', 0x08, { initiateFlr: field(15) });
export const PCIE_SLOT_CAPS = reg32('PCIE_SLOT_CAPS', 0x14, { hotplugCapable: field(6, 6, 'ro') });
export const PCIE_LINK_STATUS = reg16('PCIE_LINK_STATUS', 0x12, {
  speed: field(3, 0, 'ro'),
  width: field(9, 4, 'ro'),
  active: field(13, 13, 'ro'),
});
export const PCIE_SLOT_STATUS = reg16('PCIE_SLOT_STATUS', 0x1a, {
  attention: field(0, 0, 'w1c'),
  powerFault: field(1, 1, 'w1c'),
  latchChanged: field(2, 2, 'w1c'),
  presenceChanged: field(3, 3, 'w1c'),
  commandDone: field(4, 4, 'w1c'),
  present: field(6, 6, 'ro'),
  linkChanged: field(8, 8, 'w1c'),
});
export const MSI_CONTROL = reg16('MSI_CONTROL', 0x02, {
  enable: field(0),
  capable: field(3, 1, 'ro'),
  enabled: field(6, 4),
  is64: field(7, 7, 'ro'),
  maskable: field(8, 8, 'ro'),
});
export const MSI_ADDRESS_LO = reg32('MSI_ADDRESS_LO', 0x04);
/** Of functions with 64-bit addresses; the data of others is here. */
export const MSI_ADDRESS_HI = reg32('MSI_ADDRESS_HI', 0x08);
/** Data, mask bits and pending bits: of functions with 32-bit, and with 64-bit addresses. */
export const MSI_DATA_32 = reg16('MSI_DATA_32', 0x08);
export const MSI_DATA_64 = reg16('MSI_DATA_64', 0x0c);
export const MSI_MASK_32 = reg32('MSI_MASK_32', 0x0c);
export const MSI_MASK_64 = reg32('MSI_MASK_64', 0x10);
export const MSI_PENDING_32 = reg32('MSI_PENDING_32', 0x10, {}, { mode: 'ro' });
export const MSI_PENDING_64 = reg32('MSI_PENDING_64', 0x14, {}, { mode: 'ro' });
export const MSIX_CONTROL = reg16('MSIX_CONTROL', 0x02, {
  size: field(10, 0, 'ro'),
  functionMask: field(14),
  enable: field(15),
});
/** Where the table is: the offset is in units of 8 bytes. */
export const MSIX_TABLE = reg32('MSIX_TABLE', 0x04, { bar: field(2, 0, 'ro'), offset: field(31, 3, 'ro') });
/** Where the pending bits are. */
export const MSIX_PBA = reg32('MSIX_PBA', 0x08, { bar: field(2, 0, 'ro'), offset: field(31, 3, 'ro') });

/** Address translation service: the device may ask for translations and keep them. @see PCI Express Base Specification 5.0, 10.5.1 */
export const ATS_CONTROL = reg16('ATS_CONTROL', 0x06, { unit: field(4, 0), enable: field(15) });
/** Page requests. @see PCI Express Base Specification 5.0, 10.5.2 */
export const PRI_CONTROL = reg16('PRI_CONTROL', 0x04, { enable: field(0), reset: field(1) });
/** How many requests the device can have under way. */
export const PRI_CAPACITY = reg32('PRI_CAPACITY', 0x08, {}, { mode: 'ro' });
/** How many it may have under way. */
export const PRI_ALLOCATION = reg32('PRI_ALLOCATION', 0x0c);
/** Process address spaces. @see PCI Express Base Specification 5.0, 7.8.9 */
export const PASID_CAPS = reg16('PASID_CAPS', 0x04, {
  execute: field(1, 1, 'ro'),
  privileged: field(2, 2, 'ro'),
  width: field(12, 8, 'ro'),
});
/** What of it is in use: written by software. */
export const PASID_CONTROL = reg16('PASID_CONTROL', 0x06, { enable: field(0), execute: field(1), privileged: field(2) });

/** Registers of an entry of the MSI-X table, from its start. */
export const MSIX_ENTRY_BYTES = 16;
export const MSIX_ENTRY_ADDRESS_LO = reg32('MSIX_ENTRY_ADDRESS_LO', 0x0);
export const MSIX_ENTRY_ADDRESS_HI = reg32('MSIX_ENTRY_ADDRESS_HI', 0x4);
export const MSIX_ENTRY_DATA = reg32('MSIX_ENTRY_DATA', 0x8);
export const MSIX_ENTRY_CONTROL = reg32('MSIX_ENTRY_CONTROL', 0xc, { mask: field(0), steeringTag: field(31, 16) });

/** Values of `PCIE_FLAGS.type`. */
export const PCIE_TYPES = {
  endpoint: 0x0,
  legacy: 0x1,
  'root-port': 0x4,
  upstream: 0x5,
  downstream: 0x6,
  'to-pci': 0x7,
  integrated: 0x9,
} as const;

/** A register of a capability, at its place in configuration space. */
export function inCap<F extends string>(at: number, reg: Reg<F>): Reg<F> {
  return { ...reg, offset: at + reg.offset };
}

/** Lowest offset of a capability; the header ends there. */
export const FIRST_CAPABILITY = 0x40;
/** Conventional and extended configuration space, in bytes. */
export const CONFIG_BYTES = 0x100;
export const EXTENDED_CONFIG_BYTES = 0x1000;

/** Header layouts. */
export const HEADER_BRIDGE = 1;
