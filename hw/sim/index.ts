/**
 * The simulated machine, and what device models of your own stand on: `backplane/sim`.
 * @packageDocumentation
 */
export * from '../endpoint/index.js';
export { type ReadHook, RegisterFile, VirtualClock, type VirtualClockOptions, type WriteHook } from '../../core/hal/index.js';
export { Random } from '../../core/lib/index.js';
export { type CaptureOptions, CapturedWire } from './captured-wire.js';
export type { InterruptOptions, InterruptPlatform, SimInterrupts } from './interrupts.js';
export type { IommuOptions, SimIommu } from './iommu.js';
export type { DmaFault, DmaFaultReason, GuestError, ModelError, SimIommuFault } from './journal.js';
export { type LineListener, Machine, type MachineOptions, type MessageListener, type Removal } from './machine.js';
export { PhysicalMemory } from './memory.js';
export { type PacketDirection, Pcapng } from './pcapng.js';
export { Root } from './root.js';
export {
  type BridgeSpec,
  DEFAULT_APERTURES,
  type DeviceSpec,
  type PciSpec,
  type PlatformSpec,
  type RootSpec,
} from './topology.js';
