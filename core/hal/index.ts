export { Clock, type ClockEvent, type ClockTimer, type PollOptions } from './clock.js';
export type { DmaConstraint, DmaMemory } from './dma.js';
export { Host, type HostCapabilities, type PlatformResource } from './host.js';
export { IMS_ADDRESS_HI, IMS_ADDRESS_LO, IMS_CONTROL, IMS_DATA, IMS_SLOT_BYTES, type ImsArrayLayout } from './ims.js';
export type {
  ApicMessages,
  DoorbellMessages,
  InterruptController,
  InterruptEntry,
  InterruptLines,
  RemapFault,
  RemapFaultReason,
  RemappingUnit,
} from './interrupts.js';
export {
  IRTE,
  IRTE_WORDS,
  type Irte,
  type SourceCheck,
  irteAccepts,
  irteDestination,
  isValidIrte,
  packIrte,
  unpackIrte,
} from './irte.js';
export {
  type IommuContext,
  type IommuFault,
  type IommuFaultReason,
  type IommuHardware,
  type IommuPageRequest,
  type IommuTable,
  NOT_ALLOWED,
  NOT_MAPPED,
} from './iommu.js';
export { type FieldValues, Mmio, readSized } from './mmio.js';
export { type MsiMsg, NO_MSG } from './msi.js';
export {
  type CompatMsg,
  DELIVERY_MODES,
  DELIVER_FIXED,
  DELIVER_LOWEST,
  type RemappableMsg,
  compatApicId,
  composeCompat,
  composeRemappable,
  deliveryOf,
  hasRedirectionHint,
  hasReservedData,
  isInterruptAddress,
  isLogical,
  isRemappable,
  parseMsg,
  remapIndex,
} from './msi-format.js';
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
export { type AccessBytes, DIRECT_STORE_BYTES, type Window, writeDirect } from './window.js';
