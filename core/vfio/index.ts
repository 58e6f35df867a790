export { IrqBypass, type IrqBypassConsumer, type IrqBypassProducer } from './bypass.js';
export { VfioContainer, type VfioDmaMap, type VfioDmaUnmap, type VfioIommuType } from './container.js';
export type { EmulatedDevice, EmulatedIrq, EmulatedRegion } from './emulated.js';
export { EventFd } from './eventfd.js';
export { VfioGroup, VfioGroupFile, type VfioGroupStatus } from './group.js';
export { Guest, type GuestOptions, type GuestRoute, Irqfd } from './guest.js';
export { MdevBus } from './mdev-bus.js';
export { MdevDevice } from './mdev-device.js';
export type { MdevDriver } from './mdev-driver.js';
export { MdevParent, MdevType, type MdevTypeSpec } from './mdev-parent.js';
export { PostedDescriptor } from './posted-descriptor.js';
export {
  VFIO_PCI_IRQ,
  VFIO_PCI_IRQS,
  VFIO_PCI_REGION,
  VFIO_PCI_REGIONS,
  type VfioDeviceInfo,
  type VfioFeature,
  type VfioIrqAction,
  type VfioIrqInfo,
  type VfioIrqSet,
  type VfioOps,
  type VfioRegionInfo,
} from './uapi.js';
export { type GuestHandler, Vcpu, type VcpuState } from './vcpu.js';
export { type EmulatedOptions, Vfio, type VfioPolicy } from './vfio.js';
export { VfioDevice } from './vfio-device.js';
export { VfioFile } from './vfio-file.js';
