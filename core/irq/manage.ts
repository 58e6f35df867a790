import type { Device } from '../device/index.js';
import { Errno, joinErrors } from '../lib/errno.js';
import type { MaybePromise } from '../lib/flow.js';
import { IrqAction, type IrqHandler, type IrqSpec, type IrqThreadFn } from './action.js';
import { NO_IRQ_CHIP } from './chip.js';
import { activateDesc, shutdownAndDeactivate, startup } from './control.js';
import type { IrqCore } from './core.js';
import type { IrqDesc } from './desc.js';
import { setTrigger } from './domain.js';
import { detach, forget, guarded, release, releaseResources } from './free.js';
import { maskIrq, unmaskIrq } from './mask.js';
import { forgiveSpurious } from './spurious.js';
import * as S from './state.js';
import { IRQ_NOTCONNECTED, TRIGGERS, isLevel, isTrigger } from './types.js';

/** Oneshot actions a line can have: each has a bit. */
const THREAD_BITS = 31;

/** What is said of a handler that is a hard half alone. */
const NOTHING_ELSE: IrqSpec = {};

/** The hard half of a handler that has none. @see Linux 7.2 kernel/irq/manage.c irq_default_primary_handler */
const wakeOnly: IrqHandler = () => 'wake';

/** The hard half of a handler that runs in the thread of another interrupt: never called. @see Linux 7.2 manage.c irq_nested_primary_handler */
const wakesNothing: IrqHandler = () => 'none';

/**
 * Installs a handler and lets its interrupts come.
 * @throws {Errno} ENOTCONN, EINVAL, ENOSYS, EBUSY and what activation throws, in Linux's order; nothing has changed then
 * @see Linux 7.2 kernel/irq/manage.c request_threaded_irq, __setup_irq
 * @internal
 */
export function requestIrq(core: IrqCore, dev: Device | undefined, virq: number, handler: IrqHandler | IrqSpec): IrqAction {
  const spec = typeof handler === 'function' ? NOTHING_ELSE : handler;
  const hard = typeof handler === 'function' ? handler : handler.hard;
  const who = dev?.name ?? spec.name ?? 'irq';
  if (core.windows.inHandler) core.mightSleep(`irq ${virq} requested`, dev);
  if (virq === IRQ_NOTCONNECTED) throw new Errno('ENOTCONN', `${who}: its interrupt is not connected`);
  checkSpec(who, virq, spec);
  const desc = core.descs[virq];
  if (desc === undefined) throw new Errno('EINVAL', `${who}: irq ${virq}: no such interrupt`);
  if ((desc.settings & (S.NO_REQUEST | S.PER_CPU_DEVID)) !== 0) {
    throw new Errno(
      'EINVAL',
      `${who}: irq ${virq}: cannot be requested: ${(desc.settings & S.CHAINED) === 0 ? 'it is going away' : 'other interrupts are behind it'}`,
    );
  }
  if (hard === undefined && spec.thread === undefined) {
    throw new Errno('EINVAL', `${who}: irq ${virq}: neither a hard half nor a thread half given`);
  }
  const action = makeAction(core, desc, dev, hard, spec);
  install(action);
  core.tracer?.event('irq_request', core.currentCpu, virq, -1, action.name, '');
  return action;
}

function checkSpec(who: string, virq: number, spec: IrqSpec): void {
  const { hard, thread, trigger } = spec;
  const wrong =
    (hard !== undefined && typeof hard !== 'function') || (thread !== undefined && typeof thread !== 'function')
      ? 'its hard half or its thread half is no function'
      : trigger !== undefined && !isTrigger(trigger)
        ? `${String(trigger)} is no trigger: must be ${TRIGGERS.join(', ')}`
        : badFlags(spec);
  if (wrong !== undefined) throw new Errno('EINVAL', `${who}: irq ${virq}: ${wrong}`);
}

/** What flags of a request contradict each other. */
function badFlags(spec: IrqSpec): string | undefined {
  return spec.shared === true && spec.noAutoEnable === true
    ? 'shared and noAutoEnable: others of the line would be disabled with it'
    : spec.shared !== true && spec.condSuspend === true
      ? 'condSuspend without shared: there is nobody to go by'
      : spec.noSuspend === true && spec.condSuspend === true
        ? 'noSuspend and condSuspend: choose one'
        : undefined;
}

function makeAction(
  core: IrqCore,
  desc: IrqDesc,
  dev: Device | undefined,
  own: IrqHandler | undefined,
  spec: IrqSpec,
): IrqAction {
  const name = spec.name ?? dev?.name ?? `irq${desc.virq}`;
  let hard = own ?? wakeOnly;
  let { thread } = spec;
  let oneshot = spec.oneshot ?? false;
  if ((desc.settings & S.NESTED_THREAD) !== 0) {
    if (thread === undefined)
      throw new Errno('EINVAL', `${name}: irq ${desc.virq}: its handler runs in the thread of another: give a thread half`);
    hard = wakesNothing;
  } else if (core.threadIrqs && own !== undefined && canBeThread(desc, spec, oneshot)) {
    [hard, thread] = asThread(own, thread);
    oneshot = true;
  }
  if (desc.data.chip.oneshotSafe === true) oneshot = false;
  return new IrqAction(desc, dev, name, hard, thread, spec, oneshot);
}

/** @see Linux 7.2 kernel/irq/manage.c irq_setup_forced_threading */
function canBeThread(desc: IrqDesc, spec: IrqSpec, oneshot: boolean): boolean {
  const isExempt = spec.noThread === true || spec.perCpu === true || oneshot || (desc.settings & S.NO_THREAD) !== 0;
  return !isExempt;
}

/** The hard half becomes the thread; where there is a thread half, it runs after it when asked to. */
function asThread(hard: IrqHandler, thread: IrqThreadFn | undefined): [IrqHandler, IrqThreadFn] {
  const both = (virq: number): MaybePromise<unknown> => {
    const result = hard(virq);
    return result === 'wake' && thread !== undefined ? thread(virq) : result;
  };
  return [wakeOnly, both];
}

function install(action: IrqAction): void {
  const { desc } = action;
  const { data } = desc;
  if (data.chip === NO_IRQ_CHIP) {
    throw new Errno('ENOSYS', `${action.name}: irq ${desc.virq}: nobody has set up its chip`);
  }
  desc.checkUsable();
  if (desc.changing > 0) {
    throw new Errno(
      'EBUSY',
      `${action.name}: irq ${desc.virq}: the request or the free of another handler is not over: await that`,
    );
  }
  desc.changing++;
  try {
    installLocked(action);
  } finally {
    desc.changing--;
  }
}

function installLocked(action: IrqAction): void {
  const { desc } = action;
  const { data } = desc;
  data.chip.busLock?.(data);
  const errors: unknown[] = [];
  let isInstalled = false;
  try {
    add(action);
    isInstalled = true;
  } catch (error) {
    errors.push(error);
  }
  try {
    data.chip.busSyncUnlock?.(data);
  } catch (error) {
    errors.push(new Errno('EIO', `${action.name}: irq ${desc.virq}: its chip could not be brought up to date`, { cause: error }));
    if (isInstalled) undo(action, errors);
  }
  if (errors.length > 0) throw joinErrors(errors, `request of irq ${desc.virq}`);
}

/** Takes away what was installed just now, and has not run yet. */
function undo(action: IrqAction, errors: unknown[]): void {
  detach(action, errors);
  release(action, errors);
}

/** Between bus lock and unlock. */
function add(action: IrqAction): void {
  const { desc } = action;
  const { data } = desc;
  const isFirst = desc.action === undefined;
  if (isFirst) data.chip.requestResources?.(data);
  try {
    if (!isFirst) checkSharing(action);
    if (action.oneshot) action.threadMask = freeThreadBit(action);
    else if (
      action.handler === wakeOnly &&
      action.thread !== undefined &&
      data.chip.oneshotSafe !== true &&
      (desc.settings & S.NESTED_THREAD) === 0
    ) {
      throw new Errno(
        'EINVAL',
        `${action.name}: irq ${desc.virq}: a thread half alone needs oneshot: the line would interrupt again before it runs`,
      );
    }
    if (isFirst) start(action);
    else forgiveSpurious(desc);
  } catch (error) {
    const errors: unknown[] = [error];
    if (isFirst) guarded(errors, releaseResources, data);
    throw joinErrors(errors, `request of irq ${desc.virq}`);
  }
  append(action);
  desc.count = 0;
  desc.unhandled = 0;
}

function start(action: IrqAction): void {
  const { desc, spec } = action;
  if (spec.trigger !== undefined && spec.trigger !== 'none') setType(desc, spec.trigger);
  // A managed one is activated when it starts: only then is it known whether it has a CPU.
  if (!desc.managed) activateDesc(desc, false);
  desc.state &= ~(S.SPURIOUS_DISABLED | S.ONESHOT | S.WAITING | S.IN_PROGRESS);
  desc.core.forgetSpurious(desc);
  if (spec.perCpu === true) desc.state |= S.PER_CPU;
  if (action.oneshot) desc.state |= S.ONESHOT;
  if (spec.noBalancing === true) desc.state |= S.NO_BALANCING;
  if (spec.irqPoll === true) desc.settings |= S.IS_POLLED;
  if (spec.noAutoEnable === true || (desc.settings & S.NO_AUTOEN) !== 0) {
    desc.depth = 1;
    return;
  }
  // A handler must be there before its first interrupt; interrupts come in windows only, so the order does not show.
  try {
    startup(desc, true, false);
  } catch (error) {
    const errors: unknown[] = [error];
    guarded(errors, shutdownAndDeactivate, desc);
    desc.depth = 1;
    forget(desc);
    throw joinErrors(errors, `start of irq ${desc.virq}`);
  }
}

function append(action: IrqAction): void {
  const { desc } = action;
  let last = desc.action;
  if (last === undefined) {
    desc.action = action;
    return;
  }
  while (last.next !== undefined) last = last.next;
  last.next = action;
}

/** All users of a line want the same of it. @throws {Errno} EBUSY */
function checkSharing(action: IrqAction): void {
  const { desc, spec } = action;
  const old = desc.action!;
  const isSet = spec.trigger !== undefined && spec.trigger !== 'none' && desc.trigger !== 'none';
  if (!isSet || spec.trigger === desc.trigger) {
    if (spec.condOneshot === true && (desc.state & S.ONESHOT) !== 0) action.oneshot = true;
    const same = action.oneshot === old.oneshot && (spec.perCpu ?? false) === (old.spec.perCpu ?? false);
    if (spec.shared === true && old.spec.shared === true && same) {
      // The first to name a trigger does so for all.
      if (desc.trigger === 'none' && spec.trigger !== undefined) setTrigger(desc, spec.trigger, isLevel(spec.trigger));
      return;
    }
  }
  const why =
    spec.shared !== true || old.spec.shared !== true ? 'both must be shared' : 'trigger, oneshot and perCpu must be the same';
  const text = `irq ${desc.virq} is taken by ${old.name}: ${why}`;
  if (spec.probeShared !== true) desc.core.log('err', desc, `${action.name}: ${text}`);
  throw new Errno('EBUSY', `${action.name}: ${text}`);
}

function freeThreadBit(action: IrqAction): number {
  let taken = 0;
  for (let other = action.desc.action; other !== undefined; other = other.next) taken |= other.threadMask;
  for (let n = 0; n < THREAD_BITS; n++) if ((taken & (1 << n)) === 0) return 1 << n;
  throw new Errno('EBUSY', `${action.name}: irq ${action.desc.virq}: has ${THREAD_BITS} oneshot users already`);
}

/** Sets the trigger. @throws {Errno} what the chip throws @see Linux 7.2 kernel/irq/manage.c __irq_set_trigger @internal */
export function setType(desc: IrqDesc, type: NonNullable<IrqSpec['trigger']>): void {
  const { data } = desc;
  // Hardware that sends messages has none.
  if (data.chip.setType === undefined) return;
  const mustMask = data.chip.setTypeMasked === true && !desc.masked;
  if (mustMask) maskIrq(desc);
  try {
    data.chip.setType(data, type);
    setTrigger(desc, type, isLevel(type));
  } finally {
    if (mustMask && !desc.disabled) unmaskIrq(desc);
  }
}
