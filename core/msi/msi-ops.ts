import { type MsiMsg, NO_MSG } from '../hal/index.js';
import {
  type AffinityResult,
  type CpuMask,
  type IrqAllocInfo,
  type IrqData,
  type IrqDomain,
  type IrqDomainOps,
  chipParent,
  composeMsg,
  setHandler,
} from '../irq/index.js';
import { Errno } from '../lib/errno.js';
import { type MsiDesc, msiDescOf } from './msi-desc.js';
import type { MsiDomain } from './msi-domain.js';

/**
 * What the level nearest to the device does for its interrupts.
 * @see Linux 7.2 kernel/irq/msi.c msi_domain_ops
 */
export const MSI_LEVEL_OPS: IrqDomainOps = {
  /** @throws {Errno} EEXIST when the number is taken; what the parents throw */
  alloc(domain: IrqDomain, virq: number, count: number, info: IrqAllocInfo): void {
    const { core } = domain;
    const own = domain.hostData as MsiDomain;
    const { hwirq } = info;
    core.tracer?.event('msi_alloc', core.currentCpu, virq, -1, own.device.name, `hwirq=${hwirq}`);
    for (let n = 0; n < count; n++) {
      if (domain.lookup(hwirq + n) !== undefined) {
        throw new Errno('EEXIST', `${own.who}: hwirq ${hwirq + n} is mapped already: a template must number its interrupts`);
      }
    }
    domain.allocParent(virq, count, info);
    for (let n = 0; n < count; n++) {
      domain.setHwirq(virq + n, hwirq + n, own.chip, info.desc);
      const irq = core.descs[virq + n]!;
      setHandler(irq, own.flow, own.flowName);
      irq.msi = info.desc;
      irq.device = own.device;
    }
  },

  free(domain: IrqDomain, virq: number, count: number): void {
    domain.freeParent(virq, count);
  },

  activate(_domain: IrqDomain, data: IrqData): void {
    writeComposed(data);
  },

  deactivate(_domain: IrqDomain, data: IrqData): void {
    // The message of several interrupts is not one of them's to clear: it stays until the capability is off.
    if (msiDescOf(data).count === 1) data.chip.writeMsiMsg?.(data, NO_MSG);
  },
};

/** @see Linux 7.2 kernel/irq/chip.c irq_chip_compose_msi_msg, irq_chip_write_msi_msg */
function writeComposed(data: IrqData): void {
  data.chip.writeMsiMsg?.(data, composeMsg(data));
}

/**
 * The chip's `writeMsiMsg` of every domain: it keeps what is written, hands it to the template's, and tells who wants to know.
 * Only the first of several messages is written; the device derives the others.
 */
export function writeAndCache(data: IrqData, msg: MsiMsg): void {
  const desc = msiDescOf(data);
  if (data.virq !== desc.virq) return;
  desc.msg = msg;
  const { domain } = desc;
  const { core } = domain.irqDomain;
  core.tracer?.event('msi_write_msg', core.currentCpu, data.virq, -1, domain.device.name, describe(desc, msg));
  domain.base.writeMsiMsg?.(data, msg);
  const { changed } = desc;
  if (changed?.active === true) core.device.guard(domain.device, `subscriber to slot ${desc.index}`, () => changed.emit(msg));
}

const describe = (desc: MsiDesc, { addressHi, addressLo, data }: MsiMsg): string =>
  `index=${desc.index} address=0x${(addressHi * 2 ** 32 + addressLo).toString(16)} data=0x${data.toString(16)}`;

/**
 * Moves an interrupt at the parent, and rewrites its message unless the parent says that it has stayed the same.
 * @see Linux 7.2 kernel/irq/msi.c msi_domain_set_affinity
 */
export function setAffinityByParent(data: IrqData, mask: CpuMask, force: boolean): AffinityResult {
  const result = chipParent.setAffinity(data, mask, force);
  if (result === 'ok' || result === 'nocopy') writeComposed(data);
  return result;
}
