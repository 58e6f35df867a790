import { PCI } from '../hal/index.js';
import type { PciDevice } from './device.js';

/** What software has set up in configuration space; see {@link saveState}. */
export interface PciState {
  /** The standard header, in words. */
  readonly header: readonly number[];
  /** Registers of capabilities: offset, width and value, in the order in which they are to be written. */
  readonly registers: readonly { readonly offset: number; readonly bytes: 2 | 4; readonly value: number }[];
}

/** Control registers of a PCI Express capability: device, link, slot, root, and the second ones of device and link. */
const PCIE_CONTROLS = [0x08, 0x10, 0x18, 0x1c, 0x28, 0x30];
/** Those of version 1 that an endpoint has. */
const PCIE_CONTROLS_V1 = 4;
const COMMAND_WORD = 1;
/** A bridge's secondary status is in the upper half of this word, and cleared by what it reads. */
const SECONDARY_STATUS_WORD = 7;

/**
 * Reads what software has set up, to be written back after a reset or a sleep. Messages and their masks are not part of
 * it: the core knows them, see `PciIrqDevice.restoreMessages`.
 * @see Linux 6.12 drivers/pci/pci.c pci_save_state
 */
export function saveState(dev: PciDevice): PciState {
  const { config } = dev;
  const header = Array.from({ length: 16 }, (_, i) => config.read32(4 * i));
  const registers: { offset: number; bytes: 2 | 4; value: number }[] = [];
  const save = (offset: number, bytes: 2 | 4): void => {
    registers.push({ offset, bytes, value: bytes === 2 ? config.read16(offset) : config.read32(offset) });
  };
  const pcie = dev.findCapability(PCI.CAP_PCIE);
  if (pcie !== undefined) {
    const version = config.readField(PCI.inCap(pcie, PCI.PCIE_FLAGS), PCI.PCIE_FLAGS.fields.version);
    for (const offset of version < 2 ? PCIE_CONTROLS.slice(0, PCIE_CONTROLS_V1) : PCIE_CONTROLS) save(pcie + offset, 2);
    saveExtended(dev, save);
  }
  return { header, registers };
}

/** In the order that they depend on each other. @see Linux 6.12 drivers/pci/pci.c pci_restore_state */
function saveExtended(dev: PciDevice, save: (offset: number, bytes: 2 | 4) => void): void {
  const pasid = dev.findExtCapability(PCI.EXT_PASID);
  const pri = dev.findExtCapability(PCI.EXT_PRI);
  const ats = dev.findExtCapability(PCI.EXT_ATS);
  if (pasid !== undefined) save(pasid + PCI.PASID_CONTROL.offset, 2);
  if (pri !== undefined) {
    save(pri + PCI.PRI_ALLOCATION.offset, 4);
    save(pri + PCI.PRI_CONTROL.offset, 2);
  }
  if (ats !== undefined) save(ats + PCI.ATS_CONTROL.offset, 2);
}

/**
 * Writes back what differs; the command register last, so that nothing is decoded or sent before all of it is right.
 * @see Linux 6.12 drivers/pci/pci.c pci_restore_state, pci_restore_config_space
 */
export function restoreState(dev: PciDevice, state: PciState): void {
  const { config } = dev;
  for (const { offset, bytes, value } of state.registers) {
    if (bytes === 2) config.write16(offset, value);
    else config.write32(offset, value);
  }
  for (let word = state.header.length - 1; word >= 0; word--) {
    const value = state.header[word]!;
    if (word === COMMAND_WORD || config.read32(4 * word) === value) continue;
    if (word === SECONDARY_STATUS_WORD && dev.isBridge) config.write16(4 * word, value & 0xffff);
    else config.write32(4 * word, value);
  }
  config.write(PCI.COMMAND, state.header[COMMAND_WORD]! & 0xffff);
}
