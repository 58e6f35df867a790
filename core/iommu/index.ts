export { Dma, type DmaAllocOptions, type DmaLimits, type DmaMapOptions } from './dma.js';
export { DmaBuffer, DmaPages } from './dma-buffer.js';
export { DmaCalls } from './dma-calls.js';
export { DmaDebug, type DmaDebugOptions } from './dma-debug.js';
export { DmaMapping, type DmaSegment, type DmaSource } from './dma-map.js';
export type { DmaOptions } from './dma-mapper.js';
export { HostMemory } from './dma-memory.js';
export { type SgElement, SgList } from './dma-sg.js';
export { DMA_MAPPING_ERROR, DmaAttr, type DmaDirection } from './dma-types.js';
export {
  IommuDomain,
  type IommuDomainKind,
  type IommuFaultHandler,
  type IommuFaultReport,
  type IommuGeometry,
} from './domain.js';
export { IommuFaults, type IommuFaultRecord } from './faults.js';
export { GroupDevice, IommuGroup } from './group.js';
export type { IommuDemands, IommuPolicy } from './groups.js';
export { Iommu } from './iommu.js';
export { type MappedRange, PROT, PageTable } from './page-table.js';
export { NO_PASID, PasidAttachment, type PasidControl } from './pasid.js';
export { AddressSpace, type AddressSpaceOptions, type PageFaultHandler, SvaBond } from './sva.js';
export { type InterruptPlatform, buildInterruptPlatform } from './interrupts.js';
