import { PCI } from '../hal/index.js';
import { type IrqAffinity, type IrqAffinityDesc, calcAffinityVectors, createAffinityMasks } from '../irq/index.js';
import { Errno } from '../lib/index.js';
import type { MsiDomain, MsiTemplate } from '../msi/index.js';
import type { PciIrqDevice } from './irq-device.js';
import type { PciMsixOptions, PciVectorOptions } from './irq-vectors.js';
import { Shortage } from './msi-setup.js';
import { MSI_TEMPLATE, PciMsi } from './msi.js';
import { MSIX_TEMPLATE, PciMsix } from './msix.js';

/**
 * Both kinds of messages of a function: which of them can be enabled, with how many vectors, and on what domain.
 * @see Linux 7.2 drivers/pci/msi/msi.c __pci_enable_msix_range, __pci_enable_msi_range
 */
export class PciMessages {
  readonly msi: PciMsi | undefined;
  readonly msix: PciMsix | undefined;
  readonly #dev: PciIrqDevice;

  constructor(dev: PciIrqDevice) {
    this.#dev = dev;
    const msi = dev.findCapability(PCI.CAP_MSI);
    const msix = dev.findCapability(PCI.CAP_MSIX);
    this.msi = msi === undefined ? undefined : new PciMsi(dev, msi);
    this.msix = msix === undefined ? undefined : new PciMsix(dev, msix);
  }

  /** The domain of the kind that is enabled. */
  get domain(): MsiDomain | undefined {
    return this.msix?.domain ?? this.msi?.domain;
  }

  /** @throws {Errno} EINVAL when the device has no such capability */
  need<K extends 'msi' | 'msix'>(kind: K): NonNullable<PciMessages[K]> {
    const capability = this[kind];
    if (capability === undefined)
      throw new Errno('EINVAL', `${this.#dev.name}: has no ${kind === 'msi' ? 'MSI' : 'MSI-X'} capability`);
    return capability;
  }

  /** See `PciDevice.enableMsix`. @returns how many vectors there are */
  enableMsix({ min = 1, max = min, affinity, virtual = false, entries }: PciMsixOptions): number {
    checkCounts(this.#dev.name, min, max);
    if (max < min) throw new Errno('ERANGE', `${this.#dev.name}: ${min} to ${max} MSI-X vectors: max is below min`);
    if (this.msi?.domain !== undefined) throw new Errno('EINVAL', `${this.#dev.name}: MSI is enabled: free it before MSI-X`);
    if (this.msix?.domain !== undefined) throw this.#dev.violate('vectors-enabled-twice', 'MSI-X enabled while it is');
    if (!this.#dev.supportsMsi('pci-msix')) throw new Errno('ENOTSUPP', `${this.#dev.name}: the platform has no MSI-X`);
    this.#checkAllowed(max);
    const msix = this.need('msix');
    if (entries !== undefined) this.#checkEntries(entries, max);
    const size = virtual ? Math.max(max, msix.size) : msix.size;
    const most = Math.min(max, size);
    if (most < min) throw new Errno('ENOSPC', `${this.#dev.name}: has ${msix.size} MSI-X vectors, ${min} are needed`);
    const domain = this.#defaultDomain(MSIX_TEMPLATE, msix, size);
    return this.#asMany(min, most, affinity, (count, masks) => {
      const indices = entries?.slice(0, count) ?? Array.from({ length: count }, (_, n) => n);
      msix.enable(domain, { indices, masks });
    });
  }

  /** See `PciDevice.enableMsi`. @returns how many messages there are */
  enableMsi({ min = 1, max = min, affinity }: PciVectorOptions): number {
    checkCounts(this.#dev.name, min, max);
    this.#checkAllowed(min);
    if (this.msix?.domain !== undefined) throw new Errno('EINVAL', `${this.#dev.name}: MSI-X is enabled: free it before MSI`);
    if (max < min) throw new Errno('ERANGE', `${this.#dev.name}: ${min} to ${max} MSI messages: max is below min`);
    if (this.msi?.domain !== undefined) throw this.#dev.violate('vectors-enabled-twice', 'MSI enabled while it is');
    if (!this.#dev.supportsMsi()) throw new Errno('ENOTSUPP', `${this.#dev.name}: the platform has no MSI`);
    const msi = this.need('msi');
    if (msi.size < min) throw new Errno('ENOSPC', `${this.#dev.name}: can send ${msi.size} MSI messages, ${min} are needed`);
    const domain = this.#defaultDomain(MSI_TEMPLATE, msi, msi.size);
    return this.#asMany(min, Math.min(max, msi.size), affinity, (count, masks) => msi.enable(domain, count, masks));
  }

  /** Tries `max`, then what would do. @returns how many there are */
  #asMany(
    min: number,
    max: number,
    affinity: IrqAffinity | true | undefined,
    attempt: (count: number, masks: readonly IrqAffinityDesc[] | undefined) => void,
  ): number {
    const spread = affinity === true ? {} : affinity;
    const tooFew = (count: number, cause?: unknown): Errno =>
      new Errno('ENOSPC', `${this.#dev.name}: ${count} interrupt vectors can be had, ${min} are needed`, { cause });
    for (let count = max; ;) {
      if (spread !== undefined) count = calcAffinityVectors(min, count, spread, this.#dev.interrupts.irqs.core.cpus);
      if (count < min) throw tooFew(count);
      try {
        attempt(count, spread && spreadMasks(this.#dev, count, spread));
        return count;
      } catch (error) {
        if (!(error instanceof Shortage)) throw error;
        if (error.count < min) throw tooFew(error.count, error.cause);
        ({ count } = error);
      }
    }
  }

  /** Once made, it stays until the other kind is enabled, or another size. @see Linux 7.2 irqdomain.c pci_setup_msix_device_domain */
  #defaultDomain(template: MsiTemplate, data: PciMsi | PciMsix, size: number): MsiDomain {
    const { msi } = this.#dev.interrupts;
    const there = msi.domain(this.#dev, 'default');
    if (there?.busToken === template.busToken && there.size === size) return there;
    there?.remove();
    try {
      return msi.createDomain(this.#dev, { id: 'default', template, size, data, label: 'msi domain' });
    } catch (error) {
      if (!Errno.is(error, 'EOPNOTSUPP')) throw error;
      throw new Errno('ENODEV', error.text, { cause: error });
    }
  }

  /** @see Linux 7.2 drivers/pci/msi/msi.c pci_msi_supported */
  #checkAllowed(count: number): void {
    const dev = this.#dev;
    let why: string | undefined;
    if (!(Number.isInteger(count) && count >= 1)) why = `${count} messages cannot be`;
    else if (dev.noMsi || dev.node.hasNoMsi) why = 'messages are switched off for it or for its bus';
    else if (dev.isMarkedGone) why = 'is gone';
    else if (dev.powerState !== 0) why = `is in D${dev.powerState}: put it into D0 first`;
    if (why !== undefined) throw new Errno('EINVAL', `${this.#dev.name}: ${why}`);
  }

  /** @see Linux 7.2 drivers/pci/msi/msi.c pci_msix_validate_entries */
  #checkEntries(entries: readonly number[], count: number): void {
    if (!Array.isArray(entries))
      throw new Errno('EINVAL', `${this.#dev.name}: ${String(entries)} are no MSI-X entries: give an array`);
    const used = entries.slice(0, count);
    const hasGap = this.#dev.supportsMsi('msix-contiguous') && used.some((entry, n) => entry !== n);
    if (used.length < count || new Set(used).size < count || hasGap) {
      const rule = hasGap ? 'the platform wants them in a row from 0 up' : `there must be ${count} different ones`;
      throw new Errno('EINVAL', `${this.#dev.name}: MSI-X entries ${entries.join(', ')}: ${rule}`);
    }
  }
}

/** Whether these can be counts at all. @throws {Errno} EINVAL */
export function checkCounts(who: string, min: number, max: number): void {
  if (Number.isInteger(min) && Number.isInteger(max)) return;
  throw new Errno('EINVAL', `${who}: ${String(min)} to ${String(max)} vectors: must be integers`);
}

/** Where each of a function's vectors goes; undefined when nothing is spread. Sets that cannot be are reported (rule `affinity-sets`). */
export function spreadMasks(dev: PciIrqDevice, count: number, affinity: IrqAffinity): IrqAffinityDesc[] | undefined {
  const violate = (text: string): void => dev.core?.report('affinity-sets', dev, text);
  return createAffinityMasks(count, affinity, dev.interrupts.irqs.core.cpus, violate);
}
