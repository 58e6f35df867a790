import { describe, expect, test } from 'vitest';
import { PCI, type Reg, wordOf } from '../../../core/hal/index.js';
import { hex } from '../../../core/lib/index.js';

/** Name, offset, bits that software can write, bits that writing 1 clears. */
const line = (reg: Reg): string => {
  const { rw, w1c } = wordOf(reg).masks;
  return `${hex(reg.offset, 2)} ${reg.name} ${hex(rw >>> 0, 2 * reg.bytes)} ${hex(w1c >>> 0, 2 * reg.bytes)}`;
};

/** @see PCI Express Base Specification 5.0, 7.5.1, 7.5.2, 7.5.3, 7.7; Linux 6.12 include/uapi/linux/pci_regs.h */
describe('PCI registers', () => {
  test('a header has its registers where the specification has them, and no other bit can be written', () => {
    const { VENDOR_ID, DEVICE_ID, COMMAND, STATUS, CLASS_REVISION, CACHE_LINE_SIZE, HEADER_TYPE, barReg } = PCI;
    const { SUBSYSTEM_VENDOR_ID, SUBSYSTEM_ID, CAPABILITY_POINTER, INTERRUPT_LINE, INTERRUPT_PIN } = PCI;
    const common = [VENDOR_ID, DEVICE_ID, COMMAND, STATUS, CLASS_REVISION, CACHE_LINE_SIZE, HEADER_TYPE, barReg(0), barReg(5)];
    const device = [SUBSYSTEM_VENDOR_ID, SUBSYSTEM_ID, CAPABILITY_POINTER, INTERRUPT_LINE, INTERRUPT_PIN];
    expect([...common, ...device].map(line)).toEqual([
      '00 VENDOR_ID 0000 0000',
      '02 DEVICE_ID 0000 0000',
      '04 COMMAND 0547 0000',
      '06 STATUS 0000 f900',
      '08 CLASS_REVISION 00000000 00000000',
      '0c CACHE_LINE_SIZE ff 00',
      '0e HEADER_TYPE 00 00',
      '10 BAR[0] ffffffff 00000000',
      '24 BAR[5] ffffffff 00000000',
      '2c SUBSYSTEM_VENDOR_ID 0000 0000',
      '2e SUBSYSTEM_ID 0000 0000',
      '34 CAPABILITY_POINTER 00 00',
      '3c INTERRUPT_LINE ff 00',
      '3d INTERRUPT_PIN 00 00',
    ]);
  });

  test('a bridge has its bus numbers and windows where the specification has them', () => {
    const { PRIMARY_BUS, SECONDARY_BUS, SUBORDINATE_BUS, IO_BASE, IO_LIMIT, SECONDARY_STATUS, MEMORY_BASE, MEMORY_LIMIT } = PCI;
    const { PREFETCH_BASE, PREFETCH_LIMIT, PREFETCH_BASE_UPPER, PREFETCH_LIMIT_UPPER, IO_BASE_UPPER, IO_LIMIT_UPPER } = PCI;
    const low = [PRIMARY_BUS, SECONDARY_BUS, SUBORDINATE_BUS, IO_BASE, IO_LIMIT, SECONDARY_STATUS, MEMORY_BASE, MEMORY_LIMIT];
    const high = [PREFETCH_BASE, PREFETCH_LIMIT, PREFETCH_BASE_UPPER, PREFETCH_LIMIT_UPPER, IO_BASE_UPPER, IO_LIMIT_UPPER];
    expect([...low, ...high, PCI.BRIDGE_CONTROL].map(line)).toEqual([
      '18 PRIMARY_BUS ff 00',
      '19 SECONDARY_BUS ff 00',
      '1a SUBORDINATE_BUS ff 00',
      '1c IO_BASE f0 00',
      '1d IO_LIMIT f0 00',
      '1e SECONDARY_STATUS 0000 f900',
      '20 MEMORY_BASE fff0 0000',
      '22 MEMORY_LIMIT fff0 0000',
      '24 PREFETCH_BASE fff0 0000',
      '26 PREFETCH_LIMIT fff0 0000',
      '28 PREFETCH_BASE_UPPER ffffffff 00000000',
      '2c PREFETCH_LIMIT_UPPER ffffffff 00000000',
      '30 IO_BASE_UPPER ffff 0000',
      '32 IO_LIMIT_UPPER ffff 0000',
      '3e BRIDGE_CONTROL 0047 0000',
    ]);
  });

  test('registers of capabilities count from the start of the capability', () => {
    const { PM_CONTROL, PCIE_FLAGS, PCIE_DEVICE_CAPS, PCIE_DEVICE_CONTROL, PCIE_LINK_STATUS, PCIE_SLOT_CAPS } = PCI;
    const { PCIE_SLOT_STATUS, MSI_CONTROL, MSIX_CONTROL, inCap } = PCI;
    const express = [PCIE_FLAGS, PCIE_DEVICE_CAPS, PCIE_DEVICE_CONTROL, PCIE_LINK_STATUS, PCIE_SLOT_CAPS, PCIE_SLOT_STATUS];
    expect([PM_CONTROL, ...express, MSI_CONTROL, MSIX_CONTROL, inCap(0x40, MSIX_CONTROL)].map(line)).toEqual([
      '04 PM_CONTROL 0003 0000',
      '02 PCIE_FLAGS 0000 0000',
      '04 PCIE_DEVICE_CAPS 00000000 00000000',
      '08 PCIE_DEVICE_CONTROL 8000 0000',
      '12 PCIE_LINK_STATUS 0000 0000',
      '14 PCIE_SLOT_CAPS 00000000 00000000',
      '1a PCIE_SLOT_STATUS 0000 011f',
      '02 MSI_CONTROL 0071 0000',
      '02 MSIX_CONTROL c000 0000',
      '42 MSIX_CONTROL c000 0000',
    ]);
  });

  test('capabilities have the numbers of the specification', () => {
    const { CAP_PM, CAP_MSI, CAP_VENDOR, CAP_PCIE, CAP_MSIX, EXT_AER, EXT_SERIAL, EXT_VENDOR } = PCI;
    expect([CAP_PM, CAP_MSI, CAP_VENDOR, CAP_PCIE, CAP_MSIX]).toEqual([0x01, 0x05, 0x09, 0x10, 0x11]);
    expect([EXT_AER, EXT_SERIAL, EXT_VENDOR]).toEqual([0x0001, 0x0003, 0x000b]);
  });
});
