import { GENCTRL } from '../../hw/regs/dsa.js';
import type { Idxd } from './idxd.js';

/** Lets errors and halts interrupt: after each reset. @see Linux 6.12 drivers/dma/idxd/irq.c idxd_unmask_error_interrupts */
export function enableCauses(idxd: Idxd): void {
  idxd.regs.modify(GENCTRL, { softwareError: 1, halt: 1 });
}

/** @see Linux 6.12 drivers/dma/idxd/irq.c idxd_mask_error_interrupts */
export function disableCauses(idxd: Idxd): void {
  idxd.regs.modify(GENCTRL, { softwareError: 0, halt: 0 });
}
