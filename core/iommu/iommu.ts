import type { Bus, BusOptions, Device, DeviceCore } from '../device/index.js';
import type { IommuHardware } from '../hal/index.js';
import { Errno, type Subscription } from '../lib/index.js';
import type { IommuDomain } from './domain.js';
import { IommuFaults, PageRequests } from './faults.js';
import type { AuxAttachment, GroupDevice, IommuGroup, RidAttachment } from './group.js';
import { IommuGroups, type IommuPolicy, type IommuPorts } from './groups.js';
import { NO_PASID, PasidAttachment, PasidNumbers } from './pasid.js';
import { type AddressSpace, SvaBindings, type SvaBond } from './sva.js';

/**
 * The memory that the devices of one system can reach; the class is the name under which drivers inject it.
 *
 * Every acquisition takes `dev` and is undone when its binding ends, last first. `dev` may be a part of a function, such as an auxiliary
 * device: it is the group of the function then, and the ledger of the part. On a host without an IOMMU no device has a group.
 * @see Linux 7.2 drivers/iommu/iommu.c
 */
export class Iommu {
  /** Accesses that were refused. */
  readonly faults: IommuFaults;
  readonly #core: DeviceCore;
  readonly #unit: IommuGroups | undefined;
  readonly #numbers = new PasidNumbers();
  readonly #sva: SvaBindings;
  readonly #listening: Subscription | undefined;

  constructor(core: DeviceCore, hardware: IommuHardware | undefined, ports: IommuPorts, policy: IommuPolicy = {}) {
    this.#core = core;
    const unit = hardware && new IommuGroups(core, hardware, ports, policy);
    this.#unit = unit;
    this.#sva = new SvaBindings(core, this.#numbers);
    const parts = { core, groupOf: (id: number) => unit?.get(id), later: (fn: () => void) => ports.later(fn) };
    this.faults = new IommuFaults(parts);
    this.#listening = hardware?.onFault((fault) => this.faults.add(fault));
    const requests = new PageRequests(parts);
    hardware?.setPageRequestHandler((request) => requests.add(request));
  }

  /** Whether there is one. */
  get isPresent(): boolean {
    return this.#unit !== undefined;
  }

  /** Where nothing is reached, and where addresses are physical; undefined without an IOMMU. Everybody's: not to be freed. */
  get blocked(): IommuDomain | undefined {
    return this.#unit?.blocked;
  }

  get identity(): IommuDomain | undefined {
    return this.#unit?.identity;
  }

  /** The groups, by number. */
  get groups(): IommuGroup[] {
    return this.#unit?.list ?? [];
  }

  /** The group of a device, or of what it is a part of; undefined for one that no IOMMU translates for. */
  group(dev: Device): IommuGroup | undefined {
    return this.#unit?.of(dev);
  }

  /** What accesses of a device without PASID meet; undefined when they are not translated: addresses are physical. */
  domainOf(dev: Device): IommuDomain | undefined {
    return this.group(dev)?.domain;
  }

  /** How many PASIDs a device has, 0 included: numbers are below it. 0 when it has none. */
  maxPasids(dev: Device): number {
    return this.group(dev)?.maxPasids ?? 0;
  }

  /**
   * Makes a domain that a driver fills itself. Managed: in the ledger it is `iommu domain`.
   * @throws {Errno} ENODEV without an IOMMU; EOPNOTSUPP when that has no pages of 4 KiB
   * @see Linux 7.2 drivers/iommu/iommu.c iommu_paging_domain_alloc_flags
   */
  allocDomain(dev: Device): IommuDomain {
    dev.devres.faultPoint('iommu domain');
    if (this.#unit?.of(dev) === undefined) throw noGroup(dev);
    const made = this.#unit.makeDomain('unmanaged', dev.name);
    made.entry = dev.devres.enter('iommu domain', made, (domain) => domain.free());
    return made;
  }

  /**
   * Puts a domain in place of the default one, until {@link detach} or unbind; what the default domain maps cannot be reached
   * meanwhile. Managed: in the ledger it is `iommu attachment`.
   * @throws {Errno} ENODEV without a group; EINVAL when the group has other devices; EBUSY while another domain is attached, unless
   *   that is the blocked one; EINVAL for a domain of another IOMMU or of a process, and for the blocked one where firmware needs
   *   mappings. The domain that was there stays
   * @see Linux 7.2 drivers/iommu/iommu.c iommu_attach_device
   */
  attach(domain: IommuDomain, dev: Device): void {
    const end = (ended: RidAttachment): void => {
      const { group } = ended;
      if (group.attachment !== ended) return;
      group.attachment = undefined;
      group.setCoreDomain();
    };
    dev.devres.faultPoint('iommu attachment');
    const attachment = this.#attach(domain, dev);
    attachment.entry = dev.devres.enter('iommu attachment', attachment, end);
  }

  #attach(domain: IommuDomain, dev: Device): RidAttachment {
    const group = this.#groupOf(dev);
    const count = group.members.length;
    if (count !== 1)
      throw new Errno('EINVAL', `${dev.name}: iommu group ${group.id} has ${count} devices: domains are for all of them`);
    const isFree = group.domain === group.defaultDomain || group.domain === this.#unit?.blocked;
    if (!isFree || group.aux.size > 0) {
      throw new Errno('EBUSY', `${dev.name}: has a domain attached: detach it first`);
    }
    this.#checkDomain(domain, dev);
    if (domain.kind === 'sva') throw new Errno('EINVAL', `${dev.name}: the memory of a process is for a PASID: use bindSva`);
    group.setDomain(domain);
    const attachment: RidAttachment = { domain, group, entry: undefined };
    group.attachment = attachment;
    return attachment;
  }

  /**
   * Takes a domain away again: the device has its default domain then, or nothing while a user owns it.
   * @throws {Errno} EINVAL when it is not the current one (rule `iommu-not-attached`)
   * @see Linux 7.2 drivers/iommu/iommu.c iommu_detach_device
   */
  detach(domain: IommuDomain, dev: Device): void {
    const attachment = this.group(dev)?.attachment;
    if (attachment?.domain !== domain) throw this.#notAttached(dev, 'detach of a domain that is not the current one');
    void attachment.entry?.ledger?.releaseEntry(attachment.entry);
  }

  /**
   * Makes accesses with a PASID meet a domain, beside those without and with others. Managed: in the ledger it is `domain at pasid 1`.
   * @param handle what who looks for the attachment wants to find there
   * @throws {Errno} in this order: ENODEV without a group; EOPNOTSUPP when the IOMMU or the device has no PASIDs; EINVAL for a domain of
   *   another IOMMU, for PASID 0, and from `maxPasids` on; EBUSY when something is attached there
   * @see Linux 7.2 drivers/iommu/iommu.c iommu_attach_device_pasid
   */
  attachPasid(domain: IommuDomain, dev: Device, pasid: number, handle?: object): void {
    const label = `domain at pasid ${pasid}`;
    dev.devres.faultPoint(label);
    const group = this.group(dev);
    if (group === undefined) throw noGroup(dev);
    this.#checkPasid(group, dev, domain, pasid);
    if (!(Number.isInteger(pasid) && pasid > NO_PASID && pasid < group.maxPasids)) {
      throw new Errno('EINVAL', `${dev.name}: PASID ${pasid}: must be an integer of 1 to ${group.maxPasids - 1}`);
    }
    if (group.at(pasid) !== undefined) throw new Errno('EBUSY', `${dev.name}: PASID ${pasid} has a domain: detach it first`);
    const attachment = new PasidAttachment(pasid, domain, handle, dev);
    group.setPasid(attachment);
    attachment.entry = dev.devres.enter(label, attachment, () => group.clearPasid(attachment));
  }

  /**
   * Puts another domain at a PASID, without a moment in between; the one that was there stays when this throws.
   * @param handle as of {@link attachPasid}; with the domain that is attached, the handle alone changes
   * @throws {Errno} ENODEV, EOPNOTSUPP, EINVAL as {@link attachPasid}; EINVAL when nothing is attached there, and for the same domain
   *   and handle again (rule `pasid-replaced-by-itself`)
   * @see Linux 7.2 drivers/iommu/iommu.c iommu_replace_device_pasid
   */
  replacePasid(domain: IommuDomain, dev: Device, pasid: number, handle: object): void {
    const group = this.#groupOf(dev);
    this.#checkPasid(group, dev, domain, pasid);
    const attachment = group.at(pasid);
    if (Object(handle) !== handle || attachment === undefined) {
      throw new Errno('EINVAL', `${dev.name}: PASID ${pasid}: ${attachment === undefined ? 'nothing is attached' : 'no handle'}`);
    }
    if (attachment.domain === domain && attachment.handle === handle) {
      throw this.#core.violate('pasid-replaced-by-itself', dev, `PASID ${pasid}: replaced by what is there`);
    }
    if (attachment.domain !== domain) group.replacePasid(attachment, domain);
    attachment.handle = handle;
  }

  /**
   * Takes the domain at a PASID away: accesses are refused from now on. Let the device finish what it does there before.
   * @throws {Errno} EINVAL when the domain is not attached there (rule `iommu-not-attached`)
   * @see Linux 7.2 drivers/iommu/iommu.c iommu_detach_device_pasid
   */
  detachPasid(domain: IommuDomain, dev: Device, pasid: number): void {
    const attachment = this.group(dev)?.at(pasid);
    const entry = attachment?.domain === domain ? attachment.entry : undefined;
    if (entry === undefined)
      throw this.#notAttached(dev, `PASID ${pasid}: detach of a domain that attachPasid did not attach there`);
    void entry.ledger?.releaseEntry(entry);
  }

  /**
   * Takes a number for a PASID that all devices of the system agree on; a driver that has numbers from elsewhere does without. Managed: in
   * the ledger it is `pasid 1`.
   * @returns 1 to `maxPasids(dev)` - 1
   * @throws {Errno} ENODEV without a group; ENOSPC when none is free, or the device has none
   * @see Linux 7.2 drivers/iommu/iommu.c iommu_alloc_global_pasid
   */
  allocPasid(dev: Device): number {
    const numbers = this.#numbers;
    const pasid = numbers.next(dev.name, this.#groupOf(dev).maxPasids);
    const label = `pasid ${pasid}`;
    dev.devres.faultPoint(label);
    numbers.take(pasid);
    const end = (): void => {
      if (this.group(dev)?.at(pasid) !== undefined) throw this.#core.violate('pasid-in-use', dev, inUse(pasid));
      numbers.free(pasid);
    };
    numbers.enter(pasid, dev.devres.enter(label, pasid, end));
    return pasid;
  }

  /**
   * Gives a number back before unbind. No access with it may be under way.
   * @throws {Errno} EINVAL while a domain is attached there (rule `pasid-in-use`), and for one that `allocPasid` did not give (rule
   *   `iommu-not-attached`)
   */
  freePasid(dev: Device, pasid: number): void {
    const entry = this.#numbers.entryOf(pasid);
    if (entry === undefined) throw this.#notAttached(dev, `PASID ${pasid} freed, which is not in use`);
    if (this.group(dev)?.at(pasid) !== undefined) throw this.#core.violate('pasid-in-use', dev, inUse(pasid));
    void entry.ledger?.releaseEntry(entry);
  }

  /**
   * Lets the device send PASIDs from now on, whether a domain is attached or not; with one attached it can in any case. Managed: in the
   * ledger it is `pasids`.
   * @throws {Errno} ENODEV when the IOMMU or the device has none; EBUSY when that was done
   * @see Linux 5.17 drivers/iommu/iommu.c iommu_dev_enable_feature
   */
  enablePasid(dev: Device): void {
    const get = (): GroupDevice => {
      const member = this.#unit?.memberOf(dev);
      if (member === undefined || member.maxPasids === 0) throw new Errno('ENODEV', noPasids(dev));
      if (member.isEnabled) throw new Errno('EBUSY', `${dev.name}: its PASIDs are enabled already`);
      member.usePasids();
      member.isEnabled = true;
      return member;
    };
    dev.devres.acquire('pasids', get, (member) => {
      member.isEnabled = false;
      member.unusePasids();
    });
  }

  /**
   * Attaches a domain at a PASID that it finds itself; the same domain again is counted. What the device has without PASID stays as it is.
   * Managed: in the ledger it is `aux domain`.
   * @throws {Errno} ENODEV without a group or PASIDs; ENOSPC when no number is free; EINVAL for a domain of another IOMMU
   * @see Linux 5.17 drivers/iommu/iommu.c iommu_aux_attach_device
   */
  auxAttach(domain: IommuDomain, dev: Device): void {
    dev.devres.faultPoint('aux domain');
    const aux = this.#auxOf(domain, dev);
    const entry = dev.devres.enter('aux domain', aux, () => {
      aux.entries.splice(aux.entries.indexOf(entry), 1);
      if (aux.entries.length > 0) return;
      aux.group.aux.delete(aux.attachment.domain);
      aux.group.clearPasid(aux.attachment);
      this.#numbers.free(aux.attachment.pasid);
    });
    aux.entries.push(entry);
  }

  /** What `auxAttach` counts: the attachment that is there, or a new one. */
  #auxOf(domain: IommuDomain, dev: Device): AuxAttachment {
    const group = this.#groupOf(dev);
    const { maxPasids } = group;
    if (maxPasids === 0) throw new Errno('ENODEV', noPasids(dev));
    this.#checkDomain(domain, dev);
    const known = group.aux.get(domain);
    if (known !== undefined) return known;
    const attachment = new PasidAttachment(this.#numbers.next(dev.name, maxPasids), domain, undefined, dev);
    group.setPasid(attachment);
    this.#numbers.take(attachment.pasid);
    const aux: AuxAttachment = { group, attachment, entries: [] };
    group.aux.set(domain, aux);
    return aux;
  }

  /** The number that {@link auxAttach} found. @throws {Errno} ENODEV when the domain is not attached so */
  auxGetPasid(domain: IommuDomain, dev: Device): number {
    const aux = this.group(dev)?.aux.get(domain);
    if (aux === undefined) throw new Errno('ENODEV', `${dev.name}: the domain is not attached by auxAttach`);
    return aux.attachment.pasid;
  }

  /** Undoes one {@link auxAttach}; the last one detaches and frees the number. @throws {Errno} EINVAL without one (rule `iommu-not-attached`) */
  auxDetach(domain: IommuDomain, dev: Device): void {
    const entries = this.group(dev)?.aux.get(domain)?.entries ?? [];
    const entry = entries.findLast(({ ledger }) => ledger === dev.devres) ?? entries.at(-1);
    if (entry === undefined) throw this.#notAttached(dev, 'auxDetach of a domain that auxAttach did not attach');
    void entry.ledger?.releaseEntry(entry);
  }

  /**
   * Lets a device work in an address space: what is mapped there it reaches under the same addresses, with the bond's PASID. Binding the
   * same again is counted. Managed: in the ledger it is `sva pasid 1`; when the last bond of a device ends, its accesses are refused.
   * @throws {Errno} ENODEV without a group; EOPNOTSUPP without PASIDs; EOVERFLOW when the number that the address space has by now is too
   *   large for the device; ENOSPC when there is none; EBUSY when something else is attached there
   * @see Linux 7.2 drivers/iommu/iommu-sva.c iommu_sva_bind_device
   */
  bindSva(dev: Device, space: AddressSpace): SvaBond {
    const group = this.#groupOf(dev);
    const hardware = this.#unit?.hardware;
    if (group.maxPasids === 0 || hardware === undefined) throw new Errno('EOPNOTSUPP', noPasids(dev));
    return this.#sva.bind(hardware, group, dev, space);
  }

  /**
   * A driver is about to use the default domain: before its probe, once for each probe.
   * @throws {Errno} EPROBE_DEFER while there is none; EBUSY while a user has the group, or another driver has domains there
   * @see Linux 7.2 drivers/iommu/iommu.c iommu_device_use_default_domain
   */
  useDefaultDomain(dev: Device): void {
    this.#unit?.use(dev);
  }

  /** It does no longer: after its remove. @see Linux 7.2 drivers/iommu/iommu.c iommu_device_unuse_default_domain */
  unuseDefaultDomain(dev: Device): void {
    this.#unit?.unuse(dev);
  }

  /**
   * Takes the group of a device for a user: it reaches nothing until a domain is attached. The same owner may claim each device of it.
   * Managed: in the ledger it is `dma owner`. For a driver that says `managesDma`.
   * @throws {Errno} EINVAL without an owner (rule `dma-owner`), or when firmware needs direct mappings; ENODEV without a group; EPERM while
   *   drivers or another owner have it; EBUSY while domains are attached
   * @see Linux 7.2 drivers/iommu/iommu.c iommu_device_claim_dma_owner
   */
  claimOwner(dev: Device, owner: object): void {
    const claim = (): IommuGroup => {
      if (typeof owner !== 'object') throw this.#core.violate('dma-owner', dev, 'a claim of its iommu group by nobody');
      const group = this.#groupOf(dev);
      group.addOwner(owner);
      return group;
    };
    dev.devres.acquire('dma owner', claim, endOwner);
  }

  /** Gives up the newest claim of a device. @throws {Errno} EINVAL without one, and while PASIDs have domains (rule `dma-owner`) */
  releaseOwner(dev: Device): void {
    const entry = dev.devres.find(endOwner);
    if (entry === undefined) throw this.#core.violate('dma-owner', dev, 'release of a group that it has not claimed');
    if (this.group(dev)?.pasidCount !== 0)
      throw this.#core.violate('dma-owner', dev, 'release of a group with domains at its PASIDs');
    void dev.devres.releaseEntry(entry);
  }

  /** What a bus does before probe and after remove: drivers but those for users use the default domain. @internal */
  get busHooks(): Pick<BusOptions, 'dmaConfigure' | 'dmaCleanup'> {
    return this.#unit?.busHooks ?? {};
  }

  /** Follows the devices of a bus: each gets its group when it is added. @internal */
  watch(bus: Bus): void {
    this.#unit?.watch(bus);
  }

  /** The unit is as it was found: every device reaches memory as it is. @internal */
  close(): void {
    this.#listening?.dispose();
    this.#unit?.hardware.setPageRequestHandler(undefined);
    this.#unit?.close();
  }

  /** @throws {Errno} ENODEV without one */
  #groupOf(dev: Device): IommuGroup {
    const group = this.group(dev);
    if (group === undefined) throw noGroup(dev);
    return group;
  }

  #checkPasid(group: IommuGroup, dev: Device, domain: IommuDomain, pasid: number): void {
    if (group.maxPasids === 0) throw new Errno('EOPNOTSUPP', noPasids(dev));
    this.#checkDomain(domain, dev);
    if (pasid === NO_PASID) throw new Errno('EINVAL', `${dev.name}: PASID 0 stands for accesses without one: use attach`);
  }

  #checkDomain(domain: IommuDomain, dev: Device): void {
    if (this.#unit !== undefined && !domain.isOf(this.#unit.hardware)) {
      throw new Errno('EINVAL', `${dev.name}: the domain was made for another IOMMU`);
    }
    domain.checkAlive('attach');
  }

  #notAttached(dev: Device, what: string): Errno {
    return this.#core.violate('iommu-not-attached', dev, what);
  }
}

/** The release of a claim. */
const endOwner = (group: IommuGroup): void => group.dropOwner();

const inUse = (pasid: number): string => `PASID ${pasid} freed while a domain is attached there: detach it first`;

const noPasids = (dev: Device): string => `${dev.name}: it, or its IOMMU, has no PASIDs`;

const noGroup = (dev: Device): Errno => new Errno('ENODEV', `${dev.name}: no IOMMU translates for it`);
