export { Bridge, type BridgeConfig, type BridgeOptions, bridge } from './bridge.js';
export {
  type BarOffset,
  Capability,
  CapabilityBlock,
  MsixCapability,
  type MsiOptions,
  type MsixOptions,
  type PcieOptions,
  type PcieType,
  type Placed,
  type PowerManagementOptions,
  msi,
  msix,
  pcie,
  powerManagement,
  rawCapability,
  vendorSpecific,
} from './capability.js';
export { type ConfigHook, ConfigSpace } from './config-space.js';
export { type DecodedRange, Endpoint, type EndpointPort } from './endpoint.js';
export { ExtendedCapability, aer, deviceSerialNumber, rawExtended, vendorExtended } from './extended.js';
export type { BarSpec, EndpointConfig } from './header.js';
export { ImsSlots } from './ims-slots.js';
export { EndpointIrq, type InterruptSink } from './irq.js';
export {
  type DmaPort,
  type DmaView,
  type IrqPort,
  type Model,
  type ModelClock,
  type ModelContext,
  type ModelLog,
  NO_ADDRESS,
  type PciModel,
  type PciModelContext,
  type PlatformModel,
  type ResetKind,
} from './model.js';
export { MsixTable, MsixWindow } from './msix-table.js';
export { type Wire, type WirePort, cable } from './wire.js';
