export { Clock, type ClockEvent, type PollOptions } from './clock.js';
export type { DmaConstraint, DmaMemory } from './dma.js';
export { Host, type HostCapabilities, type PlatformResource } from './host.js';
export { type FieldValues, Mmio, readSized } from './mmio.js';
export { type PciAperture, type PciFunction, type PciHotplugEvent, type PciRoot, devfn, formatBdf, parseBdf } from './pci.js';
/** PCI configuration space: `dev.config.read(PCI.COMMAND)`. */
export * as PCI from './pci-regs.js';
export {
  type Field,
  type FieldMode,
  type FieldSpec,
  type Reg,
  type RegOptions,
  field,
  getField,
  packFields,
  reg16,
  reg32,
  reg64,
  reg8,
  regAt,
  setField,
  unpackFields,
  wordOf,
} from './reg.js';
export { type ReadHook, RegisterFile, type WriteHook } from './register-file.js';
export { VirtualClock, type VirtualClockOptions } from './virtual-clock.js';
export type { AccessBytes, Window } from './window.js';
