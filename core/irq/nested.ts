import { type Flow, type MaybePromise, run, settle } from '../lib/flow.js';
import type { IrqDesc } from './desc.js';
import { canRun } from './flow.js';
import { HANDLED, noteInterrupt } from './spurious.js';
import * as S from './state.js';
import { callThread, threadDone, traceEnd } from './thread.js';

/**
 * Makes an interrupt one that is found out in the thread half of another, such as that of an expander behind a slow bus: only
 * thread halves can be requested, and they run in that thread.
 * @see Linux 7.2 include/linux/irq.h irq_set_nested_thread
 */
export function setNestedThread(desc: IrqDesc, nested: boolean): void {
  if (nested) desc.settings |= S.NESTED_THREAD;
  else desc.settings &= ~S.NESTED_THREAD;
}

/**
 * Runs the thread halves of an interrupt here, one after the other.
 * @throws {Errno} EINVAL in an interrupt handler (rule `sleep-in-interrupt`)
 * @see Linux 7.2 kernel/irq/chip.c handle_nested_irq
 * @internal
 */
export function handleNested(desc: IrqDesc): MaybePromise<void> {
  const { core } = desc;
  core.mightSleep(`irq ${desc.virq}: its thread halves run`, desc.device);
  if (!canRun(desc)) return undefined;
  desc.countOne(core.currentCpu);
  desc.threadsActive++;
  return run(runAll(desc));
}

function* runAll(desc: IrqDesc): Flow<void> {
  let all = 0;
  for (let action = desc.action; action !== undefined; action = action.next) {
    const { thread } = action;
    if (thread === undefined) continue;
    let result: unknown;
    try {
      result = yield* settle(callThread(thread));
    } catch (error) {
      desc.core.handlerThrew(action, error);
      result = 'none';
    }
    traceEnd(action, result);
    if (result !== 'none') all = HANDLED;
  }
  noteInterrupt(desc, all);
  threadDone(desc);
}
