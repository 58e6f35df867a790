/**
 * What authors of drivers, hosts and programs use: `backplane`.
 * @packageDocumentation
 */
export * from './auxiliary/index.js';
export * from './class/index.js';
export * from './device/index.js';
export { Devres, DevresEntry, type DevresGroup, type DevresHandle, type Release } from './devres/index.js';
export {
  type AccessBytes,
  type ApicMessages,
  Clock,
  type ClockEvent,
  type DmaConstraint,
  type DmaMemory,
  type DoorbellMessages,
  type Field,
  type FieldMode,
  type FieldSpec,
  type FieldValues,
  Host,
  type HostCapabilities,
  IMS_ADDRESS_HI,
  IMS_ADDRESS_LO,
  IMS_CONTROL,
  IMS_DATA,
  IMS_SLOT_BYTES,
  type ImsArrayLayout,
  type InterruptController,
  type InterruptEntry,
  type InterruptLines,
  type Irte,
  Mmio,
  type MsiMsg,
  NO_MSG,
  PCI,
  type PciAperture,
  type PciFunction,
  type PciHotplugEvent,
  type PciRoot,
  type PlatformResource,
  type PollOptions,
  type Reg,
  type RegOptions,
  type RemapFault,
  type RemapFaultReason,
  type RemappingUnit,
  type Window,
  devfn,
  field,
  composeCompat,
  composeRemappable,
  formatBdf,
  getField,
  packFields,
  packIrte,
  parseBdf,
  parseMsg,
  reg16,
  reg32,
  reg64,
  reg8,
  regAt,
  setField,
  unpackFields,
  unpackIrte,
} from './hal/index.js';
export * from './iommu/index.js';
export * from './irq/index.js';
export { Kernel, type KernelOptions } from './kernel.js';
export {
  ERRNO,
  Errno,
  type ErrnoCode,
  IdAllocator,
  LOG_LEVELS,
  Log,
  type LogLevel,
  type LogRecord,
  type MaybePromise,
  Random,
  Signal,
  type Subscription,
  type Token,
  bit,
  bits,
  checkRange,
  defer,
  describeError,
  hex,
  token,
} from './lib/index.js';
export * from './msi/index.js';
export * from './pci/index.js';
export * from './platform/index.js';
export * from './plugin/index.js';
export * from './vfio/index.js';
