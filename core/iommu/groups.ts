import type { Bus, BusOptions, Device, DeviceCore } from '../device/index.js';
import type { IommuHardware } from '../hal/index.js';
import { IdAllocator } from '../lib/id-allocator.js';
import { NumberTable } from '../lib/number-table.js';
import type { Subscription } from '../lib/index.js';
import { messageSenderOf } from '../msi/index.js';
import { IommuDomain, type IommuDomainKind } from './domain.js';
import { GroupDevice, IommuGroup } from './group.js';
import { PageTable } from './page-table.js';
import type { PasidControl } from './pasid.js';

/** What a device needs of the domains that it is given. */
export interface IommuDemands {
  /** The only default domain that works for it. */
  readonly domain?: 'dma' | 'identity';
  /** It may be anybody's: whatever else is said, it gets no identity domain. */
  readonly untrusted?: boolean;
  /** Firmware needs mappings of it: it is never blocked, and never given to a user. */
  readonly requiresDirect?: boolean;
}

/** How the IOMMU of a system is used. */
export interface IommuPolicy {
  /** What devices have by default: addresses that the DMA API maps, or physical ones. Default `dma`. Linux's `iommu.passthrough`. */
  readonly defaultDomain?: 'dma' | 'identity';
  /** What devices demand, by firmware tables or quirks; default nothing. */
  readonly demands?: (dev: Device) => IommuDemands;
}

/** What the IOMMU asks of its surroundings. @internal */
export interface IommuPorts {
  /** The PASIDs of a device; undefined when it has none. */
  pasidsOf(dev: Device): PasidControl | undefined;
  /** Runs it when interrupts are delivered. */
  later(fn: () => void): void;
}

/** The groups of one unit: a device has its group, and that its default domain, from the moment it is added to its bus. @internal */
export class IommuGroups {
  /** Shared by all that nothing is to reach, and by all whose addresses are physical. */
  readonly blocked: IommuDomain;
  readonly identity: IommuDomain;
  readonly #core: DeviceCore;
  readonly #ports: IommuPorts;
  readonly #policy: IommuPolicy;
  /** By requester id. */
  readonly #groups = new NumberTable<IommuGroup>();
  readonly #ids = new IdAllocator('iommu groups');
  readonly #listening: Subscription[] = [];

  constructor(
    core: DeviceCore,
    readonly hardware: IommuHardware,
    ports: IommuPorts,
    policy: IommuPolicy,
  ) {
    this.#core = core;
    this.#ports = ports;
    this.#policy = policy;
    this.blocked = this.makeDomain('blocked', 'iommu');
    this.identity = this.makeDomain('identity', 'iommu');
  }

  /** All, by number. */
  get list(): IommuGroup[] {
    return [...this.#groups.entries()].map(([, group]) => group).sort((a, b) => a.id - b.id);
  }

  get(requesterId: number): IommuGroup | undefined {
    return this.#groups.get(requesterId);
  }

  /** The group of a device, or of what it is a part of. */
  of(dev: Device): IommuGroup | undefined {
    const requesterId = messageSenderOf(dev)?.requesterId;
    return requesterId === undefined ? undefined : this.#groups.get(requesterId);
  }

  /** A device, or what it is a part of, as its group knows it. */
  memberOf(dev: Device): GroupDevice | undefined {
    const sender: object | undefined = messageSenderOf(dev);
    return this.of(dev)?.members.find((member) => member.dev === sender);
  }

  /** @throws {Errno} EOPNOTSUPP for one with mappings, when the unit has no pages of 4 KiB */
  makeDomain(kind: IommuDomainKind, owner: string): IommuDomain {
    const { hardware } = this;
    const hasTable = kind === 'unmanaged' || kind === 'dma';
    const table = hasTable ? new PageTable(hardware.addressBits, hardware.pageBytes) : undefined;
    return new IommuDomain(kind, { core: this.#core, hardware, owner, table });
  }

  /** A driver of a device is about to use the default domain. @throws {Errno} as `Iommu.useDefaultDomain` */
  use(dev: Device): void {
    const member = this.memberOf(dev);
    if (member !== undefined) this.of(dev)?.useDefaultDomain(member);
  }

  /** It does no longer. */
  unuse(dev: Device): void {
    const member = this.memberOf(dev);
    if (member !== undefined) this.of(dev)?.unuseDefaultDomain(member);
  }

  /** What a bus does before a probe and after a remove; a driver for users says that it does without. */
  get busHooks(): Pick<BusOptions, 'dmaConfigure' | 'dmaCleanup'> {
    return {
      dmaConfigure: (dev) => {
        if (dev.driver?.managesDma !== true) this.use(dev);
      },
      dmaCleanup: (dev) => this.unuse(dev),
    };
  }

  /** Follows the devices of a bus. */
  watch(bus: Bus): void {
    const listening = bus.notifier.on((event, dev) => {
      if (event === 'ADD') this.#add(dev);
      else if (event === 'REMOVED') this.#remove(dev);
    });
    this.#listening.push(listening);
  }

  close(): void {
    for (const listening of this.#listening.splice(0)) listening.dispose();
    for (const group of this.list) this.#end(group);
  }

  #add(dev: Device): void {
    const sender = messageSenderOf(dev);
    const requesterId = sender?.requesterId;
    // A part uses what the device has that it is a part of.
    if (requesterId === undefined || (sender as object) !== dev) return;
    const { pasidBits } = this.hardware;
    const control = pasidBits === 0 ? undefined : this.#ports.pasidsOf(dev);
    const maxPasids = control === undefined ? 0 : 2 ** Math.min(control.bits, pasidBits);
    const { requiresDirect = false } = this.#policy.demands?.(dev) ?? {};
    const group = this.#groups.get(requesterId) ?? this.#begin(requesterId);
    group.members.push(new GroupDevice(dev, control, maxPasids, requiresDirect));
    group.setUp(dev);
  }

  #remove(dev: Device): void {
    const group = this.of(dev);
    const index = group?.members.findIndex((member) => member.dev === dev) ?? -1;
    if (group === undefined || index < 0) return;
    group.members.splice(index, 1);
    if (group.members.length === 0) this.#end(group);
  }

  #begin(requesterId: number): IommuGroup {
    const parts = {
      core: this.#core,
      hardware: this.hardware,
      blocked: this.blocked,
      makeDefault: (dev: Device) => this.#makeDefault(dev),
    };
    const group = new IommuGroup(this.#ids.alloc(), requesterId, parts);
    this.#groups.add(requesterId, group);
    return group;
  }

  #end(group: IommuGroup): void {
    this.#groups.delete(group.requesterId);
    this.#ids.free(group.id);
    group.end();
  }

  /** @see Linux 7.2 drivers/iommu/iommu.c iommu_get_default_domain_type */
  #makeDefault(dev: Device): IommuDomain {
    const { domain: demanded, untrusted = false } = this.#policy.demands?.(dev) ?? {};
    const wanted = demanded ?? this.#policy.defaultDomain ?? 'dma';
    return wanted === 'identity' && !untrusted ? this.identity : this.makeDomain('dma', dev.name);
  }
}
