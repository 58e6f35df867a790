import type { IrqData, IrqDesc } from '../irq/index.js';
import { NO_IRQ_CHIP } from '../irq/index.js';
import { activateDesc, deactivateDesc, shutdown } from '../irq/control.js';
import { guarded } from '../irq/free.js';
import * as S from '../irq/state.js';
import { joinErrors } from '../lib/errno.js';
import type { MsiDesc } from './msi-desc.js';
import type { MsiDomain } from './msi-domain.js';

/** Runs `fn` as management does: behind the chip's bus lock, where there is one. */
function bracketed(data: IrqData, fn: () => void): void {
  data.chip.busLock?.(data);
  try {
    fn();
  } finally {
    data.chip.busSyncUnlock?.(data);
  }
}

/**
 * Whether a placeholder will do until the interrupt is requested: it is then written again, which only a device that masks can
 * take. PCI's MSI and MSI-X alone; an interrupt of any other domain keeps its vector from the request until it is freed.
 * @see Linux 7.2 kernel/irq/msi.c msi_check_reservation_mode
 */
function canReserve({ busToken, flags }: MsiDomain, desc: MsiDesc): boolean {
  if (busToken !== 'pci-device-msix' && busToken !== 'pci-device-msi') return false;
  return desc.canMask && flags.has('must-reactivate') && !flags.has('no-mask');
}

/**
 * What becomes of an interrupt right after it was allocated.
 * @throws what activation throws, for a domain that activates early
 * @see Linux 7.2 kernel/irq/msi.c msi_init_virq
 */
export function initIrq(desc: MsiDesc, irq: IrqDesc): void {
  const { domain } = desc;
  const isEarly = domain.flags.has('activate-early');
  const reserve = canReserve(domain, desc);
  if (!reserve) {
    irq.state &= ~S.CAN_RESERVE;
    if (isEarly && irq.managed && !irq.affinity.intersects(irq.core.cpus.online)) {
      // It waits for one of its CPUs.
      irq.state |= S.MANAGED_SHUTDOWN;
      return;
    }
  }
  if (!isEarly) return;
  bracketed(irq.data, () => activateDesc(irq, reserve));
  // The request is to activate it for good.
  if (reserve) irq.state &= ~S.ACTIVATED;
}

/** Of an interrupt that was activated and not requested. */
export function deactivateUnused(irq: IrqDesc): void {
  bracketed(irq.data, () => deactivateDesc(irq));
}

/** Of an interrupt that is requested, and whose slot goes all the same: nothing may come any more. */
export function shutdownForced(irq: IrqDesc): void {
  const { data } = irq;
  const errors: unknown[] = [];
  const stop = (): void => {
    guarded(errors, shutdown, irq);
    guarded(errors, deactivateDesc, irq);
  };
  guarded(errors, () => bracketed(data, stop), undefined);
  // Whoever frees it later reaches no slot that is somebody else's by then.
  data.chip = NO_IRQ_CHIP;
  if (errors.length > 0) throw joinErrors(errors, `shutdown of irq ${irq.virq}`);
}

/** Writes the message and the mask of a slot again. */
export function restoreDesc(desc: MsiDesc): void {
  const { domain, msg, virq, count } = desc;
  domain.ops.invalidate?.(desc);
  for (let n = 0; n < count; n++) {
    const irq = domain.irqDomain.core.descs[virq + n]!;
    const { data } = irq;
    const { chip } = data;
    bracketed(data, () => {
      chip.mask?.(data);
      if (msg !== undefined) chip.writeMsiMsg?.(data, msg);
      if (!irq.masked) chip.unmask?.(data);
    });
  }
}
