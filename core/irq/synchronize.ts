import type { MaybePromise } from '../lib/flow.js';
import type { IrqAction, IrqThread } from './action.js';
import type { IrqDesc } from './desc.js';
import { finishThread, runThread } from './thread.js';

/** Looks at hardware that says an interrupt is on its way, before it is left alone. */
const MOST_LOOKS = 1000;

/**
 * Waits until no handler of an interrupt runs: hard halves have returned, woken thread halves are done.
 *
 * Thread halves that have not begun run here and now.
 * @param leaving an action that is in the line no more
 * @returns a promise when one of them waits for something
 * @throws {Errno} EINVAL in an interrupt handler (rule `synchronize-in-handler`)
 * @see Linux 7.2 kernel/irq/manage.c synchronize_irq
 * @internal
 */
export function synchronize(desc: IrqDesc, leaving?: IrqAction): MaybePromise<void> {
  const { core } = desc;
  if (core.windows.inHandler) {
    throw core.device.violate(
      'synchronize-in-handler',
      desc.device,
      `irq ${desc.virq}: waited for in an interrupt handler, which may be the one waited for`,
    );
  }
  const { data } = desc;
  for (let looks = 0; looks < MOST_LOOKS && data.chip.getState?.(data, 'active') === true && core.clock.relax(); looks++);
  if (leaving?.thread !== undefined) begin(leaving.thread);
  for (let action = desc.action; action !== undefined; action = action.next)
    if (action.thread !== undefined) begin(action.thread);
  if (desc.threadsActive === 0) return undefined;
  return new Promise((resolve) => (desc.threadWaiters ??= []).push(resolve));
}

function begin(thread: IrqThread): void {
  const waiting = runThread(thread);
  if (waiting !== undefined) void finishThread(thread, waiting);
}
