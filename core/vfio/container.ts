import type { DeviceCore } from '../device/index.js';
import type { DmaMemory, IommuHardware } from '../hal/index.js';
import { type AddressSpace, type Iommu, IommuDomain, PROT, PageTable } from '../iommu/index.js';
import { Errno, hex } from '../lib/index.js';
import type { VfioGroup } from './group.js';
import { type Mapping, Mappings, checkAccess } from './mappings.js';
import { Pins } from './pins.js';
import type { VfioDevice } from './vfio-device.js';

const PAGE = 4096;
/** Addresses of messages, which lead to no memory. @see Intel VT-d Architecture Specification 4.1, 3.14 */
const MESSAGES = { start: 0xfee0_0000, end: 0xfeef_ffff } as const;
/** Times that drivers are told of an unmap and keep their pins. @see Linux 7.2 drivers/vfio/vfio_iommu_type1.c vfio_dma_do_unmap */
const FUTILE = 10;

/** What a container stands on. @internal */
export interface ContainerParts {
  readonly core: DeviceCore;
  readonly hardware: IommuHardware | undefined;
  readonly iommu: Iommu;
  readonly host: DmaMemory;
  /** Whether the messages of devices are isolated, or need not be. */
  readonly isSafe: boolean;
  readonly entryLimit: number;
}

/** What a user maps for his devices. @see Linux 7.2 include/uapi/linux/vfio.h struct vfio_iommu_type1_dma_map */
export interface VfioDmaMap {
  /** What devices are to say. */
  readonly iova: number;
  /** Where that is in the memory of the user. */
  readonly vaddr: number;
  readonly sizeBytes: number;
  /** Devices can read it; default false. */
  readonly read?: boolean;
  /** Devices can write it; default false. */
  readonly write?: boolean;
}

/** What is unmapped: a range, or all. @see Linux 7.2 include/uapi/linux/vfio.h struct vfio_iommu_type1_dma_unmap */
export interface VfioDmaUnmap {
  readonly iova: number;
  readonly sizeBytes: number;
  /** All of it; `iova` and `sizeBytes` are 0 then. */
  readonly all?: boolean;
}

/** The kind of IOMMU interface that there is: type 1, version 2. */
export type VfioIommuType = 'type1v2';

/**
 * What the devices of one user can reach: he puts groups into it, gives it a type, and maps his memory. The same mappings are for all of
 * its devices.
 * @see Linux 7.2 drivers/vfio/container.c, drivers/vfio/vfio_iommu_type1.c
 */
export class VfioContainer implements AsyncDisposable {
  readonly #parts: ContainerParts;
  readonly #closed: (container: VfioContainer) => void;
  readonly #groups = new Set<VfioGroup>();
  /** Devices that are open. */
  readonly #devices = new Set<VfioDevice>();
  #mappings = new Mappings();
  #type: VfioIommuType | undefined = undefined;
  /** What hardware sees; made for the first device that has some. */
  #domain: IommuDomain | undefined = undefined;
  #isClosed = false;

  /** @internal */
  constructor(
    /** Of the user. */
    readonly memory: AddressSpace,
    parts: ContainerParts,
    closed: (container: VfioContainer) => void,
  ) {
    this.#parts = parts;
    this.#closed = closed;
  }

  /** What SET_IOMMU made of it; undefined before, and when its last group has gone. */
  get type(): VfioIommuType | undefined {
    return this.#type;
  }

  /** How many mappings it has. */
  get mappingCount(): number {
    return this.#mappings.count;
  }

  /** What hardware sees of it, where there is any. */
  get domain(): IommuDomain | undefined {
    return this.#domain;
  }

  /** CHECK_EXTENSION. */
  supports(type: string): boolean {
    return type === 'type1v2';
  }

  /**
   * SET_IOMMU.
   * @throws {Errno} EINVAL without a group, and when it has a type; ENODEV for a type that there is not; EPERM when messages of a device are
   *   not isolated; what the hardware threw
   */
  setIommu(type: VfioIommuType): void {
    this.checkOpen();
    if (this.#groups.size === 0) throw new Errno('EINVAL', `${this.#who}: has no group: set it as the container of one`);
    if (this.#type !== undefined) throw new Errno('EINVAL', `${this.#who}: has type ${this.#type} already`);
    if (!this.supports(type)) throw new Errno('ENODEV', `${this.#who}: there is no type ${type as string}: use type1v2`);
    const done: VfioGroup[] = [];
    try {
      for (const group of this.#groups) {
        this.#attach(group);
        done.push(group);
      }
    } catch (error) {
      for (const group of done.reverse()) this.#detach(group);
      this.#reset();
      throw error;
    }
    this.#type = type;
  }

  /**
   * IOMMU_MAP_DMA: devices reach `vaddr` as `iova` from now on. Its pages are those that are there now.
   * @throws {Errno} EBADF when it is closed; EINVAL without a type; then, in this order: EINVAL for size 0; EOVERFLOW where addresses wrap;
   *   EINVAL without read and write, and for what is no multiple of a page; EEXIST over what is mapped; ENOSPC beyond the limit; EINVAL where
   *   no memory can be; EFAULT where the user has no memory that can be accessed so
   * @see Linux 7.2 drivers/vfio/vfio_iommu_type1.c vfio_dma_do_map
   */
  map(map: VfioDmaMap): void {
    this.#checkType();
    const { iova, vaddr, sizeBytes, read = false, write = false } = map;
    const what = `${this.#who}: 0x${hex(sizeBytes)} bytes at iova 0x${hex(iova)}`;
    if (sizeBytes === 0) throw new Errno('EINVAL', `${what}: nothing to map`);
    if (wraps(iova, sizeBytes) || wraps(vaddr, sizeBytes)) throw new Errno('EOVERFLOW', `${what}: wraps`);
    if (!read && !write) throw new Errno('EINVAL', `${what}: neither read nor write`);
    if (![iova, vaddr, sizeBytes].every(isWhole)) throw new Errno('EINVAL', `${what}, vaddr 0x${hex(vaddr)}: no whole pages`);
    const mapping: Mapping = { iova, vaddr, sizeBytes, read, write };
    if (this.#mappings.in(iova, sizeBytes).length > 0) throw new Errno('EEXIST', `${what}: some of it is mapped already`);
    const { entryLimit, hardware } = this.#parts;
    if (this.#mappings.count >= entryLimit) throw new Errno('ENOSPC', `${what}: has ${entryLimit} mappings already`);
    const end = iova + sizeBytes - 1;
    const limit = hardware === undefined ? Number.MAX_SAFE_INTEGER : 2 ** Math.min(hardware.addressBits, 53) - 1;
    if (end > limit || (iova <= MESSAGES.end && end >= MESSAGES.start)) {
      throw new Errno(
        'EINVAL',
        `${what}: outside of what devices can reach, to 0x${hex(limit)} without the addresses of messages`,
      );
    }
    this.#checkMemory(mapping);
    if (this.#domain !== undefined) this.#mapIn(this.#domain, mapping);
    this.#mappings.add(mapping);
  }

  /**
   * IOMMU_UNMAP_DMA: devices reach it no longer when it returns. Drivers that hold pages of it let them go.
   * @returns how many bytes; 0 when nothing of the range is mapped
   * @throws {Errno} EBADF when it is closed; EINVAL without a type; then, in this order: EINVAL for an `iova` that is no multiple of a page, for
   *   `all` with a range, and for a size that is 0 or no multiple; EOVERFLOW where it wraps; EINVAL for a range that cuts a mapping, and
   *   when a driver keeps pages (rule `vfio-pages-left-pinned`)
   * @see Linux 7.2 drivers/vfio/vfio_iommu_type1.c vfio_dma_do_unmap
   */
  unmap({ iova, sizeBytes, all = false }: VfioDmaUnmap): number {
    this.#checkType();
    const what = `${this.#who}: unmap of 0x${hex(sizeBytes)} bytes at iova 0x${hex(iova)}`;
    if (!isWhole(iova)) throw new Errno('EINVAL', `${what}: no whole pages`);
    if (all) {
      if (iova !== 0 || sizeBytes !== 0) throw new Errno('EINVAL', `${what}: all of it has neither address nor size`);
      return this.#unmapEach(this.#mappings.in(0, 2 ** 64));
    }
    if (sizeBytes === 0 || !isWhole(sizeBytes)) throw new Errno('EINVAL', `${what}: no whole pages`);
    if (wraps(iova, sizeBytes)) throw new Errno('EOVERFLOW', `${what}: wraps`);
    const found = this.#mappings.in(iova, sizeBytes);
    const [first, last] = [found[0], found.at(-1)];
    if (first === undefined || last === undefined) return 0;
    if (first.iova < iova || last.iova + last.sizeBytes > iova + sizeBytes) {
      throw new Errno('EINVAL', `${what}: cuts a mapping: unmap all of it`);
    }
    return this.#unmapEach(found);
  }

  /** Closes it. Groups that are in it keep it alive. Harmless when it is closed. */
  close(): void {
    this.#isClosed = true;
    this.#endWhenIdle();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  /** @throws {Errno} EBADF @internal */
  checkOpen(): void {
    if (this.#isClosed) throw new Errno('EBADF', `${this.#who}: the descriptor is closed`);
  }

  // Groups and devices

  /** @see Linux 7.2 drivers/vfio/container.c vfio_container_attach_group @internal */
  addGroup(group: VfioGroup): void {
    group.iommuGroup?.claimOwner(group);
    try {
      if (this.#type !== undefined) this.#attach(group);
    } catch (error) {
      group.iommuGroup?.releaseOwner();
      throw error;
    }
    this.#groups.add(group);
    group.container = this;
  }

  /** @see Linux 7.2 drivers/vfio/container.c vfio_group_detach_container @internal */
  removeGroup(group: VfioGroup): void {
    if (!this.#groups.delete(group)) return;
    if (this.#type !== undefined) this.#detach(group);
    group.iommuGroup?.releaseOwner();
    group.container = undefined;
    if (this.#groups.size > 0) return;
    this.#reset();
    this.#endWhenIdle();
  }

  /** For a device that was opened by itself. @throws {Errno} EBUSY when its group has another container @internal */
  attachDirectly(group: VfioGroup): void {
    this.checkOpen();
    if (group.container === this) return;
    if (group.container !== undefined) throw new Errno('EBUSY', `vfio group ${group.name}: has another container`);
    this.addGroup(group);
    if (this.#type !== undefined) return;
    try {
      this.setIommu('type1v2');
    } catch (error) {
      this.removeGroup(group);
      throw error;
    }
  }

  /** The first user has come. @returns the PASID that its hardware is to send, where it sends one @internal */
  deviceOpened(device: VfioDevice): number | undefined {
    const { iommu } = this.#parts;
    let pasid: number | undefined;
    if (device.usesPasid) {
      const domain = this.#hardwareDomain(device.name);
      iommu.auxAttach(domain, device.dev);
      pasid = iommu.auxGetPasid(domain, device.dev);
    }
    this.#devices.add(device);
    return pasid;
  }

  /** The last user has gone. @internal */
  deviceClosed(device: VfioDevice): void {
    this.#devices.delete(device);
    device.pins = undefined;
    if (device.pasid === undefined || this.#domain === undefined) return;
    // A device that did not wait for its user any longer has let it go.
    const { dev } = device;
    if (dev.devres.entries().some(({ label }) => label === 'aux domain')) this.#parts.iommu.auxDetach(this.#domain, dev);
  }

  /** @internal */
  pinsOf(device: VfioDevice): Pins {
    return new Pins(device.name, this.#mappings, this.memory);
  }

  /** See `VfioDevice.readDma`. @internal */
  copy(iova: number, buffer: Uint8Array, isWrite: boolean): void {
    const { host } = this.#parts;
    for (let done = 0; done < buffer.length;) {
      const at = iova + done;
      const mapping = this.#mappings.find(at);
      if (mapping === undefined) throw new Errno('EINVAL', `${this.#who}: iova 0x${hex(at)} is not mapped`);
      checkAccess(mapping, isWrite);
      const paddr = this.memory.physicalOf(mapping.vaddr + (at - mapping.iova), isWrite);
      if (paddr === undefined)
        throw new Errno('EFAULT', `${this.#who}: iova 0x${hex(at)}: its user has no memory there any more`);
      const length = Math.min(buffer.length - done, PAGE - (at % PAGE));
      if (isWrite) host.write(paddr, buffer, done, length);
      else host.read(paddr, buffer, done, length);
      done += length;
    }
  }

  get #who(): string {
    return `vfio container of ${this.memory.name}`;
  }

  #checkType(): void {
    this.checkOpen();
    if (this.#type === undefined) throw new Errno('EINVAL', `${this.#who}: has no type: set one`);
  }

  /** @see Linux 7.2 drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_attach_group */
  #attach({ iommuGroup, name }: VfioGroup): void {
    if (iommuGroup === undefined) return;
    if (!this.#parts.isSafe) {
      const text = 'nothing isolates the messages of its devices: allow unsafe interrupts if they can be trusted';
      throw new Errno('EPERM', `vfio group ${name}: ${text}`);
    }
    iommuGroup.setDomain(this.#hardwareDomain(`vfio group ${name}`));
  }

  #detach({ iommuGroup }: VfioGroup): void {
    iommuGroup?.setCoreDomain();
  }

  /** @throws {Errno} ENODEV without an IOMMU */
  #hardwareDomain(who: string): IommuDomain {
    if (this.#domain !== undefined) return this.#domain;
    const { core, hardware } = this.#parts;
    if (hardware === undefined) throw new Errno('ENODEV', `${who}: no IOMMU translates for it`);
    const table = new PageTable(hardware.addressBits, hardware.pageBytes);
    const domain = new IommuDomain('unmanaged', { core, hardware, owner: this.#who, table });
    for (const mapping of this.#mappings) this.#mapIn(domain, mapping);
    this.#domain = domain;
    return domain;
  }

  /** Maps what lies together in memory at once. */
  #mapIn(domain: IommuDomain, { iova, vaddr, sizeBytes, read, write }: Mapping): void {
    const prot = (read ? PROT.READ : 0) | (write ? PROT.WRITE : 0);
    for (let done = 0; done < sizeBytes;) {
      const paddr = this.memory.physicalOf(vaddr + done)!;
      let length = PAGE;
      while (done + length < sizeBytes && this.memory.physicalOf(vaddr + done + length) === paddr + length) length += PAGE;
      domain.map(iova + done, paddr, length, prot);
      done += length;
    }
  }

  #checkMemory({ vaddr, sizeBytes, write }: Mapping): void {
    for (let page = vaddr; page < vaddr + sizeBytes; page += PAGE) {
      if (this.memory.physicalOf(page, write) !== undefined) continue;
      throw new Errno('EFAULT', `${this.#who}: vaddr 0x${hex(page)}: no memory that can be ${write ? 'written' : 'read'}`);
    }
  }

  #unmapEach(found: readonly Mapping[]): number {
    let done = 0;
    for (const mapping of found) done += this.#unmapOne(mapping);
    return done;
  }

  #unmapOne(mapping: Mapping): number {
    const { iova, sizeBytes } = mapping;
    const { core } = this.#parts;
    for (let round = 0; ; round++) {
      const holders = [...this.#devices].filter(({ pins }) => pins?.has(iova, sizeBytes) === true);
      if (holders.length === 0) break;
      if (round === FUTILE) {
        const text = `keeps pages of 0x${hex(sizeBytes)} bytes at iova 0x${hex(iova)}, which its user unmaps`;
        throw core.violate('vfio-pages-left-pinned', holders[0]!.dev, text);
      }
      for (const { dev, ops } of holders) core.guard(dev, 'dmaUnmap', () => ops.dmaUnmap?.(iova, sizeBytes));
    }
    this.#domain?.unmap(iova, sizeBytes);
    this.#mappings.delete(mapping);
    return sizeBytes;
  }

  /** Its last group has gone: it is as new. */
  #reset(): void {
    this.#type = undefined;
    this.#mappings = new Mappings();
    this.#domain?.free();
    this.#domain = undefined;
  }

  #endWhenIdle(): void {
    if (this.#isClosed && this.#groups.size === 0) this.#closed(this);
  }
}

const isWhole = (value: number): boolean => Number.isInteger(value) && value >= 0 && value % PAGE === 0;

/** Whether a range goes beyond what 64 bits can say. */
const wraps = (start: number, sizeBytes: number): boolean => start + sizeBytes > 2 ** 64;
