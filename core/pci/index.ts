export type { PciBar } from './bar.js';
export { BarMmio } from './bar-mmio.js';
export { type CapabilityEntry, type ExtCapabilityEntry, capabilities, extCapabilities } from './capability.js';
export { type PowerState, PciDevice } from './device.js';
export { PciDriver } from './driver.js';
export { type PciId, pciClass, pciId } from './id.js';
export { type LspciDevice, type LspciOptions, lspci, snapshot } from './lspci.js';
export { PciBus, type PciBusOptions } from './pci-bus.js';
export type { PciState } from './state.js';
