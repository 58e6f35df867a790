import type { Device, DeviceCore } from '../device/index.js';
import type { DevresEntry } from '../devres/index.js';
import type { IommuHardware } from '../hal/index.js';
import { IndexMap } from '../lib/index-map.js';
import { NumberTable } from '../lib/number-table.js';
import { Errno, defer, describeError } from '../lib/index.js';
import type { IommuDomain } from './domain.js';
import type { PasidAttachment, PasidControl } from './pasid.js';

/** A device of a group. */
export class GroupDevice {
  /** Its driver has asked for PASIDs. */
  isEnabled = false;
  /** Drivers of it that use the default domain. */
  defaultUses = 0;
  /** Who needs its PASIDs on. */
  #users = 0;

  constructor(
    readonly dev: Device,
    /** Undefined when it has no PASIDs. */
    readonly control: PasidControl | undefined,
    /** How many PASIDs it and the unit know; 0 when it has none. */
    readonly maxPasids: number,
    /** Firmware needs mappings of it that no blocked domain has. */
    readonly requiresDirect: boolean,
  ) {}

  usePasids(): void {
    if (this.#users === 0) this.control?.enable();
    this.#users++;
  }

  unusePasids(): void {
    if (--this.#users === 0) this.control?.disable();
  }
}

/** A domain that a driver attached for accesses without PASID. */
export interface RidAttachment {
  readonly domain: IommuDomain;
  readonly group: IommuGroup;
  entry: DevresEntry | undefined;
}

/** A domain that was attached by the calls that find a number themselves, as often as there are entries. */
export interface AuxAttachment {
  readonly group: IommuGroup;
  readonly attachment: PasidAttachment;
  readonly entries: DevresEntry[];
}

/** What all groups of a unit share. @internal */
export interface GroupParts {
  readonly core: DeviceCore;
  readonly hardware: IommuHardware;
  readonly blocked: IommuDomain;
  /** Makes the domain that a device has by default. */
  makeDefault(dev: Device): IommuDomain;
}

/**
 * The devices that the unit cannot tell apart, for they have one requester id: they share a domain, and one domain per PASID. The
 * parts of a function are no devices of it, but they use what it has.
 * @see Linux 7.2 drivers/iommu/iommu.c struct iommu_group
 */
export class IommuGroup {
  readonly members: GroupDevice[] = [];
  /** What its devices have when nobody attaches anything; undefined while that could not be set up. */
  defaultDomain: IommuDomain | undefined = undefined;
  /** What accesses without PASID meet. */
  domain: IommuDomain | undefined = undefined;
  /** Who has it for a user: its drivers do without. */
  owner: object | undefined = undefined;
  /** Drivers that use the default domain, or the owner's claims. */
  ownerCount = 0;
  /** @internal */
  attachment: RidAttachment | undefined = undefined;
  /** @internal */
  readonly aux = new Map<IommuDomain, AuxAttachment>();
  readonly #pasids = new NumberTable<PasidAttachment>();
  /** Those that the hardware was told of. */
  readonly #told = new IndexMap(2 ** 20);
  readonly #parts: GroupParts;

  /** @internal */
  constructor(
    readonly id: number,
    readonly requesterId: number,
    parts: GroupParts,
  ) {
    this.#parts = parts;
  }

  /** Its devices, in the order they came. */
  get devices(): Device[] {
    return this.members.map((member) => member.dev);
  }

  /** How many PASIDs have a domain. */
  get pasidCount(): number {
    return this.#pasids.size;
  }

  /** PASIDs and their domains, by number. */
  get pasids(): PasidAttachment[] {
    return [...this.#pasids.entries()].map(([, attachment]) => attachment).sort((a, b) => a.pasid - b.pasid);
  }

  /** What is attached at a PASID. */
  at(pasid: number): PasidAttachment | undefined {
    return this.#pasids.get(pasid);
  }

  /** What accesses with a PASID meet, or those without. */
  domainAt(pasid: number | undefined): IommuDomain | undefined {
    return pasid === undefined ? this.domain : this.#pasids.get(pasid)?.domain;
  }

  /** PASIDs that all its devices know which know any: numbers are below it. 0 when there are none. */
  get maxPasids(): number {
    let max = 0;
    for (const { maxPasids: n } of this.members) if (n > 0 && (max === 0 || n < max)) max = n;
    return max;
  }

  /** Gives it its default domain; what fails is logged, and tried again by the next probe. @internal */
  setUp(dev: Device): boolean {
    if (this.defaultDomain !== undefined) return true;
    const domain = this.#parts.makeDefault(dev);
    try {
      this.setDomain(domain);
    } catch (error) {
      this.#parts.core.logFor('err', dev.name, `no default domain: ${describeError(error)}`, 'iommu_default');
      return false;
    }
    this.defaultDomain = domain;
    return true;
  }

  /**
   * Puts a domain in place of the one that is there, which stays when this throws.
   * @throws {Errno} EINVAL for the blocked one, when firmware needs direct mappings; what the hardware threw
   * @see Linux 7.2 drivers/iommu/iommu.c __iommu_device_set_domain
   * @internal
   */
  setDomain(domain: IommuDomain): void {
    const { hardware, blocked } = this.#parts;
    if (domain === blocked) this.#checkBlocking();
    hardware.setContext(this.requesterId, domain.context);
    domain.users++;
    if (this.domain !== undefined) this.domain.users--;
    this.domain = domain;
  }

  /** Back to what it has without an attachment: nothing for a user, else the default domain. @internal */
  setCoreDomain(): void {
    const domain = this.owner === undefined ? this.defaultDomain : this.#parts.blocked;
    if (domain !== undefined && domain !== this.domain) this.setDomain(domain);
  }

  /** Attaches a domain at a PASID that is free. Nothing has changed when this throws. @internal */
  setPasid(attachment: PasidAttachment): void {
    const { hardware } = this.#parts;
    const { pasid, domain } = attachment;
    const enabled: GroupDevice[] = [];
    try {
      for (const member of this.members) {
        if (member.maxPasids === 0) continue;
        member.usePasids();
        enabled.push(member);
      }
      hardware.setPasidContext(this.requesterId, pasid, domain.context);
    } catch (error) {
      for (const member of enabled.reverse()) member.unusePasids();
      throw error;
    }
    this.#told.take(pasid);
    domain.users++;
    this.#pasids.add(pasid, attachment);
  }

  /** @internal */
  replacePasid(attachment: PasidAttachment, domain: IommuDomain): void {
    this.#parts.hardware.setPasidContext(this.requesterId, attachment.pasid, domain.context);
    domain.users++;
    attachment.domain.users--;
    attachment.domain = domain;
  }

  /** Takes the domain away: from now on accesses with this PASID are refused. @internal */
  clearPasid(attachment: PasidAttachment): void {
    const { pasid, domain } = attachment;
    if (this.#pasids.get(pasid) !== attachment) return;
    this.#pasids.delete(pasid);
    domain.users--;
    this.#parts.hardware.setPasidContext(this.requesterId, pasid, 'blocked');
    for (const member of this.members) if (member.maxPasids > 0) member.unusePasids();
  }

  /** The last device has gone: hardware has never heard of it. @internal */
  end(): void {
    const { hardware } = this.#parts;
    for (const attachment of this.pasids) this.clearPasid(attachment);
    for (let pasid = this.#told.findTaken(); pasid >= 0; pasid = this.#told.findTaken(pasid + 1)) {
      hardware.setPasidContext(this.requesterId, pasid, undefined);
    }
    hardware.setContext(this.requesterId, undefined);
    if (this.domain !== undefined) this.domain.users--;
    this.domain = undefined;
    // The identity domain is everybody's.
    if (this.defaultDomain?.kind === 'dma') this.defaultDomain.free();
    // What parts of the device give back later finds nothing to go back to.
    this.defaultDomain = this.attachment = undefined;
  }

  /**
   * A driver is about to use the default domain; before every probe but that of a driver for users.
   * @throws {Errno} EPROBE_DEFER while there is none; EBUSY while a user has the group
   * @see Linux 7.2 drivers/iommu/iommu.c iommu_device_use_default_domain
   * @internal
   */
  useDefaultDomain(member: GroupDevice): void {
    const { dev } = member;
    if (!this.setUp(dev)) throw defer('no default iommu domain yet');
    if (this.ownerCount > 0 && (this.domain !== this.defaultDomain || this.owner !== undefined || this.pasidCount > 0)) {
      const by = this.owner === undefined ? 'another driver has domains of its own there' : 'a user has it';
      throw new Errno('EBUSY', `${dev.name}: iommu group ${this.id} is taken: ${by}`);
    }
    this.ownerCount++;
    member.defaultUses++;
  }

  /** After remove. What was attached for others than the device should be gone; its own goes with its ledger. @internal */
  unuseDefaultDomain(member: GroupDevice): void {
    if (member.defaultUses === 0) return;
    const { dev } = member;
    member.defaultUses--;
    this.ownerCount--;
    if (this.pasidCount === 0) return;
    const left = this.pasids.filter(({ owner }) => owner !== dev).map(({ pasid }) => pasid);
    if (left.length === 0) return;
    const { core } = this.#parts;
    core.report('pasid-left-attached', dev, `unbound while domains are attached at its PASIDs ${left.join(', ')}`);
  }

  /**
   * Takes the group for a user: its devices reach nothing until a domain is attached, and no driver is bound to them but those for
   * users. For who holds all of it; a driver uses `Iommu.claimOwner`.
   * @throws {Errno} EINVAL without an owner (rule `dma-owner`), or when firmware needs direct mappings; EPERM while a driver or another
   *   owner has it; EBUSY while domains are attached
   * @see Linux 7.2 drivers/iommu/iommu.c iommu_group_claim_dma_owner
   */
  claimOwner(owner: object): void {
    this.#checkOwner(owner);
    if (this.ownerCount > 0) throw this.#taken();
    this.#take(owner);
  }

  /** As {@link claimOwner}, or one more claim of the same owner. @internal */
  addOwner(owner: object): void {
    this.#checkOwner(owner);
    if (this.ownerCount === 0) this.#take(owner);
    else if (this.owner === owner) this.ownerCount++;
    else throw this.#taken();
  }

  /**
   * Gives the group back to drivers.
   * @throws {Errno} EINVAL when nobody has it, or domains are attached to PASIDs (rule `dma-owner`)
   * @see Linux 7.2 drivers/iommu/iommu.c iommu_group_release_dma_owner
   */
  releaseOwner(): void {
    if (this.owner === undefined || this.pasidCount > 0) {
      const what = this.owner === undefined ? 'nobody owns' : 'PASIDs have domains in';
      throw this.#parts.core.violate('dma-owner', this.members[0]?.dev, `release of a group that ${what}`);
    }
    this.ownerCount = 0;
    this.owner = undefined;
    this.setCoreDomain();
  }

  /** Gives up one claim. @internal */
  dropOwner(): void {
    if (this.ownerCount > 1) this.ownerCount--;
    else this.releaseOwner();
  }

  #take(owner: object): void {
    if (this.domain !== this.defaultDomain || this.pasidCount > 0) {
      throw new Errno('EBUSY', `iommu group ${this.id}: has domains attached: detach them first`);
    }
    this.setDomain(this.#parts.blocked);
    this.owner = owner;
    this.ownerCount = 1;
  }

  #checkOwner(owner: unknown): void {
    if (typeof owner === 'object' && owner !== null) return;
    throw this.#parts.core.violate('dma-owner', this.members[0]?.dev, 'a claim of its iommu group by nobody');
  }

  #taken(): Errno {
    const by = this.owner === undefined ? `${this.ownerCount} drivers use it` : 'another owner has it';
    return new Errno('EPERM', `iommu group ${this.id}: is taken: ${by}`);
  }

  #checkBlocking(): void {
    const member = this.members.find(({ requiresDirect }) => requiresDirect);
    if (member === undefined) return;
    const { name } = member.dev;
    throw new Errno('EINVAL', `${name}: firmware needs its memory mapped: its group cannot be blocked or given to a user`);
  }
}
