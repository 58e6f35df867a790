import type { IrqDesc } from './desc.js';
import * as S from './state.js';

/** What came of an attempt to raise an interrupt again; `none` when there was nothing to raise. */
export type ResendResult = 'sent' | 'none' | 'EINVAL' | 'EBUSY';

/**
 * Raises an interrupt again that came while it was disabled.
 * @param inject also when nothing is pending
 * @returns `EINVAL` for a level, which is still asserted or over, and where there is no way; `EBUSY` when that is under way
 * @see Linux 7.2 kernel/irq/resend.c check_irq_resend
 * @internal
 */
export function resend(desc: IrqDesc, inject: boolean): ResendResult {
  if ((desc.state & S.LEVEL) !== 0) {
    desc.state &= ~S.PENDING;
    return 'EINVAL';
  }
  if ((desc.state & S.REPLAY) !== 0) return 'EBUSY';
  if ((desc.state & S.PENDING) === 0 && !inject) return 'none';
  desc.state &= ~S.PENDING;
  if (!retrigger(desc) && !softwareResend(desc)) return 'EINVAL';
  desc.state |= S.REPLAY;
  return 'sent';
}

/** By the hardware: the first level from the device on that can. */
function retrigger(desc: IrqDesc): boolean {
  for (let level = desc.data as typeof desc.data | undefined; level !== undefined; level = level.parent) {
    if (level.chip.retrigger !== undefined) return level.chip.retrigger(level);
  }
  return false;
}

/** @see Linux 7.2 kernel/irq/resend.c irq_sw_resend */
function softwareResend(desc: IrqDesc): boolean {
  if ((desc.state & S.ENFORCE_IRQ_CONTEXT) !== 0 || (desc.settings & S.NESTED_THREAD) !== 0) return false;
  desc.core.windows.queueResend(desc);
  return true;
}
