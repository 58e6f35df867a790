import type { IommuDomain, IommuDomainKind } from './domain.js';
import type { Dma } from './dma.js';
import type { DmaDirection, DmaKind } from './dma-types.js';
import type { IommuFaultRecord } from './faults.js';
import type { IommuGroup } from './group.js';
import type { Iommu } from './iommu.js';
import type { MappedRange } from './page-table.js';

/** What accesses of a group meet. */
export interface DomainView {
  /** Undefined for accesses without one. */
  readonly pasid: number | undefined;
  readonly kind: IommuDomainKind;
  /** Who made it: a device, or the process whose memory it is. */
  readonly owner: string;
  /** Who attached it at its PASID: the device, or a part of it. */
  readonly attachedBy: string | undefined;
  readonly mappedBytes: number;
  readonly mappings: readonly MappedRange[];
}

/** Devices that the unit cannot tell apart. */
export interface GroupView {
  readonly id: number;
  readonly requesterId: number;
  readonly devices: readonly string[];
  readonly usedBy: 'nobody' | 'drivers' | 'user';
  /** Without PASID first, then by number. */
  readonly domains: readonly DomainView[];
}

/** A buffer that a device was told of. */
export interface DmaView {
  readonly device: string;
  /** The name of the driver that mapped it. */
  readonly driver: string;
  readonly kind: DmaKind;
  readonly direction: DmaDirection;
  /** What the device was told. */
  readonly address: number;
  /** Where that leads. */
  readonly physical: number;
  readonly sizeBytes: number;
}

/** What devices can reach. */
export interface IommuView {
  /** Whether there is an IOMMU: without one devices reach all memory. */
  readonly isPresent: boolean;
  readonly groups: readonly GroupView[];
  /** As far as the checker of the DMA API knows them, oldest first. */
  readonly dma: readonly DmaView[];
  /** The last accesses that were refused, oldest first. */
  readonly faults: readonly IommuFaultRecord[];
}

/** All groups and what is mapped for them, or those of one group. */
export function iommuView(iommu: Iommu, dma: Dma, only?: IommuGroup): IommuView {
  const groups = only === undefined ? iommu.groups : [only];
  const isWanted = (group: IommuGroup | undefined): boolean => only === undefined || group === only;
  const mappings = [...dma.debug.mappings()].filter(({ dev }) => isWanted(iommu.group(dev)));
  return {
    isPresent: iommu.isPresent,
    groups: groups.map(groupView),
    dma: mappings.map(({ dev, mappedBy, kind, direction, address, sizeBytes, domain }) => {
      const physical = domain?.iovaToPhys(address) ?? address;
      return { device: dev.name, driver: mappedBy, kind, direction, address, physical, sizeBytes };
    }),
    faults: iommu.faults.list.filter(({ requesterId }) => only === undefined || requesterId === only.requesterId),
  };
}

function groupView({ id, requesterId, devices, owner, ownerCount, domain, pasids }: IommuGroup): GroupView {
  return {
    id,
    requesterId,
    devices: devices.map(({ name }) => name),
    usedBy: owner !== undefined ? 'user' : ownerCount > 0 ? 'drivers' : 'nobody',
    domains: [
      ...(domain === undefined ? [] : [domainView(domain, undefined, undefined)]),
      ...pasids.map((attachment) => domainView(attachment.domain, attachment.pasid, attachment.owner.name)),
    ],
  };
}

function domainView(domain: IommuDomain, pasid: number | undefined, attachedBy: string | undefined): DomainView {
  const { kind, owner, mappedBytes } = domain;
  return { pasid, kind, owner, attachedBy, mappedBytes, mappings: [...domain.mappings()] };
}
