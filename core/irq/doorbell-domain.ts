import type { DoorbellMessages, InterruptController } from '../hal/index.js';
import { Errno } from '../lib/errno.js';
import { type IrqChip, NO_IRQ_CHIP } from './chip.js';
import type { IrqCore } from './core.js';
import { IrqDomain } from './domain.js';
import { completeDraft } from './msi-draft.js';
import { MSI_GENERIC_FLAGS, type MsiFlag, type MsiParentOps } from './msi-parent.js';
import * as S from './state.js';

/**
 * The domain at the CPU of a host that watches words of memory instead of running a machine: an interrupt is a doorbell there,
 * whose number is its vector. Messages never change, so every kind of device domain can stand on it.
 */
export function createDoorbellDomain(core: IrqCore, controller: InterruptController, doorbells: DoorbellMessages): IrqDomain {
  const chip: IrqChip = {
    name: 'DOORBELL',
    ack: () => controller.eoi(0),
    retrigger(data) {
      controller.send(0, data.hwirq);
      return true;
    },
    setAffinity({ desc }, mask) {
      if (mask.has(0)) return 'done';
      throw new Errno('EINVAL', `${desc.who}: irq ${desc.virq}: cannot go to CPUs ${String(mask)}: doorbells ring on CPU 0`);
    },
    composeMsiMsg: (data) => doorbells.message(data.hwirq),
  };

  function free(domain: IrqDomain, virq: number, count: number): void {
    for (let n = virq; n < virq + count; n++) {
      const data = domain.data(n);
      if (data.chip !== chip) continue;
      core.setVector(0, data.hwirq, undefined);
      doorbells.free(data.hwirq);
      domain.setHwirq(n, 0, NO_IRQ_CHIP);
    }
  }

  return new IrqDomain(core, {
    name: 'DOORBELL',
    ops: {
      alloc(domain, virq, count) {
        for (let n = virq; n < virq + count; n++) {
          const { desc } = domain.data(n);
          const doorbell = doorbells.alloc();
          if (doorbell < 0) {
            free(domain, virq, n - virq);
            throw new Errno(
              'ENOSPC',
              `${desc.who}: all ${controller.vectors} doorbells are in use: free interrupts, or let several users share one`,
            );
          }
          domain.setHwirq(n, doorbell, chip);
          core.setVector(0, doorbell, desc);
          desc.state |= S.SINGLE_TARGET | S.ENFORCE_IRQ_CONTEXT;
          desc.effective = core.cpus.possible;
        }
      },
      free,
    },
    msiParent: DOORBELL_MSI_PARENT,
  });
}

const SUPPORTED: ReadonlySet<MsiFlag> = new Set<MsiFlag>([...MSI_GENERIC_FLAGS, 'pci-msix', 'pci-msix-alloc-dyn', 'ims']);

const DOORBELL_MSI_PARENT: MsiParentOps = {
  supported: SUPPORTED,
  prefix: 'DB-',
  constantMessage: true,
  initDeviceDomain(draft) {
    completeDraft(draft, SUPPORTED);
    return undefined;
  },
};
