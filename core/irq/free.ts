import { joinErrors } from '../lib/errno.js';
import { type MaybePromise, isThenable } from '../lib/flow.js';
import type { IrqAction } from './action.js';
import { deactivateDesc, shutdown } from './control.js';
import type { IrqData } from './data.js';
import type { IrqDesc } from './desc.js';
import * as S from './state.js';
import { synchronize } from './synchronize.js';
import { finalizeOneshot, forgetWake } from './thread.js';

/**
 * Takes a handler away: when this is over it does not run, and will not.
 * @returns the name it was requested with; a promise while a thread half is not done
 * @throws {Errno} EINVAL from an interrupt handler (rule `free-in-handler`)
 * @see Linux 7.2 kernel/irq/manage.c __free_irq
 * @internal
 */
export function freeIrq(action: IrqAction): MaybePromise<string> {
  const { desc } = action;
  const { core } = desc;
  refuseInHandler(action);
  core.tracer?.event('irq_free', core.currentCpu, desc.virq, -1, action.name, '');
  const done = uninstall(action);
  return isThenable(done) ? Promise.resolve(done).then(() => action.name) : action.name;
}

/** @throws {Errno} EINVAL in an interrupt handler (rule `free-in-handler`) @internal */
export function refuseInHandler({ desc, dev, name }: IrqAction): void {
  const { core } = desc;
  if (!core.windows.inHandler) return;
  throw core.device.violate(
    'free-in-handler',
    dev,
    `irq ${desc.virq}: ${name} freed in an interrupt handler, which it would wait for`,
  );
}

function uninstall(action: IrqAction): MaybePromise<void> {
  const errors: unknown[] = [];
  action.desc.changing++;
  detach(action, errors);
  let quiet: MaybePromise<void> = undefined;
  try {
    quiet = synchronize(action.desc, action);
  } catch (error) {
    errors.push(error);
  }
  if (isThenable(quiet)) return finishLater(action, quiet, errors);
  finish(action, errors);
  return undefined;
}

function finishLater(action: IrqAction, quiet: PromiseLike<void>, errors: unknown[]): Promise<void> {
  return Promise.resolve(quiet).then(() => finish(action, errors));
}

/** From now on it is not called; the last one stops the interrupt. @internal */
export function detach(action: IrqAction, errors: unknown[]): void {
  const { desc } = action;
  const { data } = desc;
  guarded(errors, busLock, data);
  unlink(action);
  if (desc.action === undefined) guarded(errors, shutdown, desc);
  forgetHints(action);
  guarded(errors, busSyncUnlock, data);
}

const busLock = (data: IrqData): void => data.chip.busLock?.(data);
const busSyncUnlock = (data: IrqData): void => data.chip.busSyncUnlock?.(data);
/** @internal */
export const releaseResources = (data: IrqData): void => data.chip.releaseResources?.(data);

function unlink(action: IrqAction): void {
  const { desc } = action;
  if (desc.action === action) {
    desc.action = action.next;
    return;
  }
  for (let other = desc.action; other !== undefined; other = other.next) {
    if (other.next === action) other.next = action.next;
  }
}

function forgetHints(action: IrqAction): void {
  const { desc } = action;
  if (desc.affinityHint !== undefined) {
    desc.core.report(
      'affinity-hint-at-free',
      desc,
      `irq ${desc.virq}: ${action.name} freed with an affinity hint: clear it first`,
    );
    desc.affinityHint = undefined;
  }
  if (desc.notifier !== undefined) {
    desc.core.report(
      'affinity-notifier-at-free',
      desc,
      `irq ${desc.virq}: ${action.name} freed with an affinity notifier: clear it first`,
    );
    desc.notifier = undefined;
  }
}

function finish(action: IrqAction, errors: unknown[]): void {
  release(action, errors);
  action.desc.changing--;
  if (errors.length > 0) throw joinErrors(errors, `free of irq ${action.desc.virq}`);
}

/** No handler of the action runs any more: what it had is given back. @internal */
export function release(action: IrqAction, errors: unknown[]): void {
  const { desc, thread } = action;
  const { data } = desc;
  if (thread !== undefined) {
    thread.isStopped = true;
    forgetWake(thread);
    guarded(errors, finalizeOneshot, thread);
  }
  if (desc.action === undefined) {
    guarded(errors, busLock, data);
    guarded(errors, deactivateDesc, desc);
    guarded(errors, releaseResources, data);
    guarded(errors, busSyncUnlock, data);
    forget(desc);
  }
}

/** Runs one of several steps that all must run: what it throws joins `errors`. @internal */
export function guarded<T>(errors: unknown[], step: (on: T) => void, on: T): void {
  try {
    step(on);
  } catch (error) {
    errors.push(error);
  }
}

/** Forgets what its users wanted of an interrupt that has none. @internal */
export function forget(desc: IrqDesc): void {
  desc.state &= ~(S.ONESHOT | S.PER_CPU | S.NO_BALANCING);
  desc.settings &= ~S.IS_POLLED;
  desc.core.forgetSpurious(desc);
}
