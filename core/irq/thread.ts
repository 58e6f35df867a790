import { isThenable } from '../lib/flow.js';
import type { IrqAction, IrqThread } from './action.js';
import type { IrqDesc } from './desc.js';
import { unmaskIrq } from './mask.js';
import * as S from './state.js';

/**
 * Runs a thread half once for what woke it.
 * @returns what it waits for
 * @see Linux 7.2 kernel/irq/manage.c irq_thread
 * @internal
 */
export function runThread(thread: IrqThread): PromiseLike<unknown> | undefined {
  // It goes on when it is back from waiting.
  if (thread.isRunning || !thread.wanted || thread.isStopped) return undefined;
  thread.wanted = false;
  thread.isRunning = true;
  const result = callThread(thread);
  if (isThenable(result)) return result;
  ended(thread, result);
  return undefined;
}

/** Calls a thread half. @returns what it returned; `none` when it threw @internal */
export function callThread({ action, fn }: IrqThread): unknown {
  const { desc } = action;
  const { core } = desc;
  const { sections } = core.device;
  core.tracer?.event('irq_thread_begin', core.currentCpu, desc.virq, -1, action.name, '');
  sections.enter();
  try {
    return fn(desc.virq);
  } catch (error) {
    core.handlerThrew(action, error);
    return 'none';
  } finally {
    sections.leaveQuietly();
  }
}

/** Waits for a thread half, and runs it again while it was woken meanwhile. @internal */
export async function finishThread(thread: IrqThread, first: PromiseLike<unknown>): Promise<void> {
  let wait: PromiseLike<unknown> | undefined = first;
  while (wait !== undefined) {
    let result: unknown;
    try {
      result = await wait;
    } catch (error) {
      thread.action.desc.core.handlerThrew(thread.action, error);
      result = 'none';
    }
    ended(thread, result);
    wait = runThread(thread);
  }
}

function ended(thread: IrqThread, result: unknown): void {
  thread.isRunning = false;
  const { action } = thread;
  const { desc } = action;
  const { core } = desc;
  if (result !== 'none') desc.threadsHandled = (desc.threadsHandled + 1) & 0x7fff_ffff;
  traceEnd(action, result);
  try {
    finalizeOneshot(thread);
  } catch (error) {
    core.flowFailed(desc, error);
  }
  threadDone(desc);
}

/** @internal */
export function traceEnd({ desc, name }: IrqAction, result: unknown): void {
  const { core } = desc;
  core.tracer?.event('irq_thread_end', core.currentCpu, desc.virq, -1, name, result === 'none' ? 'ret=unhandled' : 'ret=handled');
}

/** A thread half that was woken does not run for it. @internal */
export function forgetWake(thread: IrqThread): void {
  if (!thread.wanted) return;
  thread.wanted = false;
  threadDone(thread.action.desc);
}

/** A thread that was woken is done, or will not run. @internal */
export function threadDone(desc: IrqDesc): void {
  if (--desc.threadsActive > 0 || desc.threadWaiters === undefined) return;
  const waiters = desc.threadWaiters;
  desc.threadWaiters = undefined;
  for (const wake of waiters) wake();
}

/**
 * The line may interrupt again when no thread half has anything left to do.
 * @see Linux 7.2 kernel/irq/manage.c irq_finalize_oneshot
 * @internal
 */
export function finalizeOneshot(thread: IrqThread): void {
  const { action } = thread;
  const { desc } = action;
  if ((desc.state & S.ONESHOT) === 0 || action.threadMask === 0) return;
  const { data } = desc;
  data.chip.busLock?.(data);
  try {
    if (thread.wanted) return;
    desc.threadsOneshot &= ~action.threadMask;
    if (desc.threadsOneshot !== 0 || (desc.state & (S.DISABLED | S.MASKED)) !== S.MASKED) return;
    if (data.chip.eoiThreaded === true) data.chip.eoi?.(data);
    unmaskIrq(desc);
  } finally {
    data.chip.busSyncUnlock?.(data);
  }
}
