import type { IrqDesc } from './desc.js';
import { disableDesc, enableDesc } from './control.js';
import * as S from './state.js';

/** Results of a line's handlers, or-ed. @see Linux 7.2 include/linux/irqreturn.h @internal */
export const HANDLED = 1;
/** @internal */
export const WAKE_THREAD = 2;

/** Interrupts after which unhandled ones are judged, and how many of those are too many. */
const JUDGED_AFTER = 100_000;
const TOO_MANY = 99_900;
/** Unhandled interrupts further apart than this begin a new count: HZ / 10. */
const APART_US = 100_000;
/** Set while the last interrupt only woke threads: whether they handle something is seen at the next. */
const DEFERRED = 0x8000_0000 | 0;

/**
 * Counts what nobody handles, and disables a line that does nothing else.
 * @see Linux 7.2 kernel/irq/spurious.c note_interrupt
 * @internal
 */
export function noteInterrupt(desc: IrqDesc, result: number): void {
  if ((desc.state & S.POLL_IN_PROGRESS) !== 0 || (desc.settings & (S.IS_POLLED | S.NO_DEBUG)) !== 0) return;
  let isNone = result === 0;
  if (result === WAKE_THREAD) {
    const handled = judgedByThreads(desc);
    if (handled === undefined) return;
    isNone = !handled;
  } else if (result === (WAKE_THREAD | HANDLED)) {
    desc.threadsHandledLast &= ~DEFERRED;
  }
  if (isNone) {
    const now = desc.core.clock.now();
    // The first of a run, or one long after the last.
    if (desc.unhandled === 0 || now - desc.lastUnhandledUs > APART_US) desc.unhandled = 1;
    else desc.unhandled++;
    desc.lastUnhandledUs = now;
  }
  if (desc.unhandled === 0) return;
  if (++desc.count < JUDGED_AFTER) return;
  desc.count = 0;
  if (desc.unhandled > TOO_MANY) giveUp(desc);
  desc.unhandled = 0;
}

/** Whether thread halves have handled something since the last interrupt; undefined when that is to be seen at the next. */
function judgedByThreads(desc: IrqDesc): boolean | undefined {
  if ((desc.threadsHandledLast & DEFERRED) === 0) {
    desc.threadsHandledLast |= DEFERRED;
    return undefined;
  }
  const handled = (desc.threadsHandled & ~DEFERRED) | DEFERRED;
  if (handled === desc.threadsHandledLast) return false;
  desc.threadsHandledLast = handled;
  return true;
}

function giveUp(desc: IrqDesc): void {
  const names = desc.actions.map((action) => action.name).join(', ');
  desc.core.report(
    'irq-nobody-cared',
    desc,
    `irq ${desc.virq}: nobody cared: more than ${TOO_MANY} of ${JUDGED_AFTER} unhandled by ${names}: disabled`,
  );
  desc.state |= S.SPURIOUS_DISABLED;
  desc.depth++;
  // Handlers of a shared line are polled: one of them may find its cause.
  if (desc.action?.spec.shared === true && (desc.state & S.PER_CPU) === 0) desc.core.pollSpurious(desc);
  try {
    disableDesc(desc);
  } catch (error) {
    desc.core.flowFailed(desc, error);
  }
}

/** A line that was disabled for its unhandled interrupts gets another chance: it has a new user. @internal */
export function forgiveSpurious(desc: IrqDesc): void {
  if ((desc.state & S.SPURIOUS_DISABLED) === 0) return;
  enableDesc(desc);
  desc.state &= ~S.SPURIOUS_DISABLED;
  desc.core.forgetSpurious(desc);
}
