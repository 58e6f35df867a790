import { isThenable } from '../lib/flow.js';
import type { IrqAction } from './action.js';
import type { IrqDesc } from './desc.js';
import { HANDLED, WAKE_THREAD, noteInterrupt } from './spurious.js';
import * as S from './state.js';

/** Of this module: what another exports is read, and checked, at each use. */
const { IN_PROGRESS, PENDING } = S;
const OK = HANDLED;

/** Runs the handlers of an interrupt; what was pending no longer is. @see Linux 7.2 kernel/irq/handle.c handle_irq_event */
export function handleEvent(desc: IrqDesc, cpu: number): void {
  desc.state = (desc.state & ~PENDING) | IN_PROGRESS;
  handlePerCpuEvent(desc, cpu);
  desc.state &= ~IN_PROGRESS;
}

/** As `handleEvent`, for what every CPU has at the same time: nothing is noted. @see Linux 7.2 handle.c handle_irq_event_percpu */
export function handlePerCpuEvent(desc: IrqDesc, cpu: number): void {
  let all = 0;
  if (desc.core.tracer === undefined) {
    for (let action = desc.action; action !== undefined; action = action.next) all |= call(action, desc.virq);
  } else {
    for (let action = desc.action; action !== undefined; action = action.next) all |= callTraced(action, cpu);
  }
  // Handled, and nothing unhandled before: the common case, kept short.
  if (all !== OK || desc.unhandled !== 0) noteInterrupt(desc, all);
}

/** @see Linux 7.2 kernel/irq/handle.c __handle_irq_event_percpu */
function call(action: IrqAction, virq: number): number {
  let result: unknown;
  try {
    result = action.handler(virq);
  } catch (error) {
    action.desc.core.handlerThrew(action, error);
    return 0;
  }
  return result === undefined || result === 'handled' ? OK : outcome(action, result);
}

function callTraced(action: IrqAction, cpu: number): number {
  const { desc, name } = action;
  desc.core.tracer?.event('irq_handler_entry', cpu, desc.virq, -1, name, '');
  const result = call(action, desc.virq);
  desc.core.tracer?.event('irq_handler_exit', cpu, desc.virq, -1, name, result === 0 ? 'ret=unhandled' : 'ret=handled');
  return result;
}

function outcome(action: IrqAction, result: unknown): number {
  if (result === 'none') return 0;
  if (result === 'wake') {
    wake(action);
    return WAKE_THREAD;
  }
  if (isThenable(result)) action.desc.core.handlerWaits(action, result);
  return HANDLED;
}

/** @see Linux 7.2 kernel/irq/handle.c __irq_wake_thread */
function wake(action: IrqAction): void {
  const { desc, thread } = action;
  if (thread === undefined) {
    if (action.hasWarned) return;
    action.hasWarned = true;
    desc.core.report(
      'wake-without-thread',
      desc,
      `irq ${desc.virq}: ${action.name} asks to wake a thread half that it does not have`,
    );
    return;
  }
  wakeThread(action);
}

/** Makes the thread half of an action run, once for all wakes until it begins. @internal */
export function wakeThread(action: IrqAction): void {
  const { desc, thread } = action;
  if (thread === undefined || thread.wanted || thread.isStopped) return;
  thread.wanted = true;
  desc.threadsOneshot |= action.threadMask;
  desc.threadsActive++;
  desc.core.windows.queueThread(thread);
}
