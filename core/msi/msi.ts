import type { Device } from '../device/index.js';
import { type IrqCore, type IrqDomain, type MsiDomainDraft, handleEdge } from '../irq/index.js';
import { Errno, joinErrors } from '../lib/errno.js';
import { DeviceMsi } from './device-msi.js';
import { MsiDomain } from './msi-domain.js';
import { setAffinityByParent, writeAndCache } from './msi-ops.js';
import { type MsiTemplate, checkSize, checkTemplate, isIms } from './template.js';

/** Who takes the messages of a device. */
export interface MsiParent {
  /** Undefined, or without `msiParent`, when the device's messages lead nowhere. */
  readonly domain: IrqDomain | undefined;
  /** Who its messages say they are from; undefined when that is not known, and not checked. */
  readonly requesterId: number | undefined;
}

/** What a domain of a device is to be. */
export interface MsiDomainSpec {
  /** `default` for MSI and MSI-X, `secondary` for IMS, or any name: one domain each. */
  readonly id: string;
  readonly template: MsiTemplate;
  /** How many indices, 1 to 65,536; 0 when software alone limits them. */
  readonly size: number;
  /** The template's own: `MsiDomain.data`. */
  readonly data?: unknown;
  /** Of the domain, in the ledger. */
  readonly label: string;
  /** Of each slot, in the ledger; absent when slots are not in there, and who made the domain frees them. */
  readonly slotLabel?: string;
}

/** The release of a domain, in the ledger. */
const endDomain = (domain: MsiDomain): void => domain.end();

/**
 * The message interrupts of all devices of a system, for those who write buses; drivers use `Ims`, or what their bus offers.
 * @see Linux 7.2 kernel/irq/msi.c
 */
export class Msi {
  readonly core: IrqCore;
  readonly #parentOf: (dev: Device) => MsiParent;
  readonly #devices = new WeakMap<Device, DeviceMsi>();

  constructor(core: IrqCore, parentOf: (dev: Device) => MsiParent) {
    this.core = core;
    this.#parentOf = parentOf;
  }

  /**
   * Makes a domain of a device, until unbind.
   * @throws {Errno} EOPNOTSUPP when the device's parent domain, which alone decides, cannot serve it; EBUSY when the id is taken
   *   (rule `msi-domain-taken`); EINVAL for a template that cannot be; ERANGE for a size; what the parent's or the template's
   *   `prepare` threw. Nothing is left then
   * @see Linux 7.2 kernel/irq/msi.c msi_create_device_irq_domain
   */
  createDomain<Cookie = unknown>(dev: Device, spec: MsiDomainSpec): MsiDomain<Cookie> {
    const { id, template, label } = spec;
    const who = `${dev.name}: ${id} domain`;
    const { domain: parent, requesterId } = this.#parentOf(dev);
    if (parent?.msiParent === undefined) {
      throw new Errno('EOPNOTSUPP', `${dev.name}: nothing on this platform takes its messages: use its interrupt line, or poll`);
    }
    checkTemplate(who, id, template);
    if (typeof id !== 'string' || id === '') throw new Errno('EINVAL', `${dev.name}: '${id}' is no id of a domain`);
    const msi = this.#deviceMsi(dev);
    msi.lock('creating a domain');
    try {
      if (msi.domains.has(id)) {
        this.core.device.report('msi-domain-taken', dev, `${id} domain created while there is one`);
        throw new Errno('EBUSY', `${who}: there is one already: remove it first, or give this one an id of its own`);
      }
      const size = checkSize(who, spec.size);
      dev.devres.faultPoint(label);
      const domain = this.#create<Cookie>(msi, spec, size, parent, requesterId);
      domain.entry = dev.devres.enter(label, domain, endDomain);
      return domain;
    } finally {
      msi.unlock();
    }
  }

  #create<Cookie>(
    msi: DeviceMsi,
    { id, template, data, slotLabel }: MsiDomainSpec,
    size: number,
    parent: IrqDomain,
    requesterId: number | undefined,
  ): MsiDomain<Cookie> {
    const { device } = msi;
    const { ops = {} } = template;
    const draft = draftFor(device, template, parent);
    const parts = { id, size, data, draft, ops, base: template.chip, parent, requesterId, slotLabel };
    const domain = new MsiDomain<Cookie>(msi, parts);
    try {
      const above = parent.msiParent!;
      if (above.prepare === undefined) ops.prepare?.(domain);
      else above.prepare(domain.irqDomain, device);
      msi.enter(domain);
      return domain;
    } catch (error) {
      domain.irqDomain.remove();
      throw error;
    }
  }

  /** The domain of a device with this id. */
  domain(dev: Device, id: string): MsiDomain | undefined {
    return this.#devices.get(dev)?.domains.get(id);
  }

  /** The domains of a device, in the order they came. */
  domains(dev: Device): MsiDomain[] {
    return [...(this.#devices.get(dev)?.domains.values() ?? [])];
  }

  /** The interrupt at an index of a domain of a device; 0 when there is none. See {@link MsiDomain.lookup}. */
  lookup(dev: Device, id: string, index: number): number {
    return this.domain(dev, id)?.lookup(index) ?? 0;
  }

  /** Writes all messages of a device again, those of each of its domains: after a reset. @throws as {@link MsiDomain.restore} */
  restoreAll(dev: Device): void {
    const errors: unknown[] = [];
    for (const domain of this.domains(dev)) {
      try {
        domain.restore();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw joinErrors(errors, `restoring the messages of ${dev.name}`);
  }

  #deviceMsi(dev: Device): DeviceMsi {
    let msi = this.#devices.get(dev);
    if (msi === undefined) {
      msi = new DeviceMsi(this.core, dev);
      this.#devices.set(dev, msi);
    }
    return msi;
  }
}

/** A copy of the template, completed by the parent. @throws {Errno} EOPNOTSUPP with what the parent lacks */
function draftFor(device: Device, template: MsiTemplate, parent: IrqDomain): MsiDomainDraft {
  const ops = parent.msiParent!;
  const { busToken, flow = handleEdge, flowName = 'edge' } = template;
  const chip = { ...template.chip, name: `${ops.prefix}${template.chip.name}-${device.name}`, writeMsiMsg: writeAndCache };
  const draft: MsiDomainDraft = { device, busToken, flags: new Set(template.flags), chip, flow, flowName };
  const refusal = ops.initDeviceDomain(draft, parent, parent);
  if (refusal !== undefined) throw new Errno('EOPNOTSUPP', `${device.name}: ${refusal}`);
  if (isIms(busToken) && chip.busLock !== undefined && !ops.constantMessage) {
    const why = `domain ${parent.name} moves interrupts by rewriting their messages, outside the bus lock that this store needs`;
    throw new Errno('EOPNOTSUPP', `${device.name}: ${why}: use MSI-X`);
  }
  if (draft.chip.setAffinity === undefined && !draft.flags.has('no-affinity')) {
    draft.chip = { ...draft.chip, setAffinity: setAffinityByParent };
  }
  return draft;
}
