import { joinErrors } from '../lib/errno.js';
import { placeAt, setupAffinity } from './affinity.js';
import type { IrqData } from './data.js';
import type { IrqDesc } from './desc.js';
import { maskIrq, unmaskIrq } from './mask.js';
import { resend } from './resend.js';
import * as S from './state.js';

/**
 * Disables: at the hardware only when its chip can, or it was asked for; else it is masked when the next one comes.
 * @see Linux 7.2 kernel/irq/chip.c irq_disable
 * @internal
 */
export function disableDesc(desc: IrqDesc, alsoMask = (desc.settings & S.DISABLE_UNLAZY) !== 0): void {
  if (desc.disabled) {
    if (alsoMask) maskIrq(desc);
    return;
  }
  desc.state |= S.DISABLED;
  const { data } = desc;
  if (data.chip.disable !== undefined) {
    data.chip.disable(data);
    desc.state |= S.MASKED;
  } else if (alsoMask) {
    maskIrq(desc);
  }
}

/** @see Linux 7.2 kernel/irq/chip.c irq_enable */
function enableHardware(desc: IrqDesc): void {
  if (!desc.disabled) {
    unmaskIrq(desc);
    return;
  }
  desc.state &= ~S.DISABLED;
  const { data } = desc;
  if (data.chip.enable !== undefined) {
    data.chip.enable(data);
    desc.state &= ~S.MASKED;
  } else {
    unmaskIrq(desc);
  }
}

/** One disable more. @see Linux 7.2 kernel/irq/manage.c __disable_irq @internal */
export function disableOnce(desc: IrqDesc): void {
  if (desc.depth++ === 0) disableDesc(desc);
}

/**
 * One disable less; the last starts it.
 * @returns false when it is enabled already: somebody enables more often than he disables
 * @see Linux 7.2 kernel/irq/manage.c __enable_irq
 * @internal
 */
export function enableDesc(desc: IrqDesc): boolean {
  if (desc.depth === 0) return false;
  if (desc.depth > 1) {
    desc.depth--;
    return true;
  }
  if ((desc.state & S.SUSPENDED) !== 0) return false;
  startup(desc, true, true);
  return true;
}

/**
 * Lets interrupts come.
 * @param resendPending raises again what came meanwhile; @param force one of its CPUs is to be online, or a rule is broken
 * @throws what the chip or a level threw: it is disabled as before then
 * @see Linux 7.2 kernel/irq/chip.c irq_startup
 * @internal
 */
export function startup(desc: IrqDesc, resendPending: boolean, force: boolean): void {
  try {
    if (startNow(desc, force) && resendPending) resend(desc, false);
  } catch (error) {
    desc.depth = 1;
    desc.state |= S.DISABLED;
    throw error;
  }
}

/** @returns false when it is to wait for a CPU */
function startNow(desc: IrqDesc, force: boolean): boolean {
  const { data, core } = desc;
  desc.depth = 0;
  if (desc.started) {
    enableHardware(desc);
  } else {
    switch (startKind(desc, force)) {
      case 'normal':
        if (data.chip.affinityPreStartup === true) setupAffinity(desc);
        startHardware(desc);
        if (data.chip.affinityPreStartup !== true) placeStarted(desc);
        break;
      case 'managed':
        placeAt(desc, desc.affinity);
        startHardware(desc);
        break;
      case 'abort':
        desc.depth = 1;
        desc.state |= S.MANAGED_SHUTDOWN;
        return false;
    }
  }
  core.tracer?.event('irq_startup', core.currentCpu, desc.virq, -1, desc.who, '');
  return true;
}

/** @throws when no CPU can have it: it is shut down again then */
function placeStarted(desc: IrqDesc): void {
  try {
    setupAffinity(desc);
  } catch (error) {
    const errors: unknown[] = [error];
    try {
      shutdown(desc);
    } catch (next) {
      errors.push(next);
    }
    throw joinErrors(errors, `start of irq ${desc.virq}`);
  }
}

function startHardware(desc: IrqDesc): void {
  const { data } = desc;
  if (data.chip.startup === undefined) {
    enableHardware(desc);
  } else {
    data.chip.startup(data);
    desc.state &= ~(S.DISABLED | S.MASKED);
  }
  desc.state |= S.STARTED;
}

/** @see Linux 7.2 kernel/irq/chip.c __irq_startup_managed */
function startKind(desc: IrqDesc, force: boolean): 'normal' | 'managed' | 'abort' {
  if (!desc.managed) return 'normal';
  desc.state &= ~S.MANAGED_SHUTDOWN;
  if (!desc.affinity.intersects(desc.core.cpus.online)) {
    // Its CPUs are offline: it starts when one of them comes. Forced, one of them must be there.
    if (force)
      desc.core.report(
        'managed-irq-without-cpu',
        desc,
        `irq ${desc.virq}: started for CPUs ${String(desc.affinity)}, of which none is online`,
      );
    return 'abort';
  }
  activateDesc(desc, false);
  return 'managed';
}

/**
 * Lets no interrupt come any more.
 * @see Linux 7.2 kernel/irq/chip.c irq_shutdown
 * @internal
 */
export function shutdown(desc: IrqDesc): void {
  if (!desc.started) return;
  const { data, core } = desc;
  core.windows.cancelResend(desc);
  desc.depth++;
  // What was to be raised again does not come; a start raises what is pending then.
  desc.state &= ~(S.STARTED | S.REPLAY);
  core.tracer?.event('irq_shutdown', core.currentCpu, desc.virq, -1, desc.who, '');
  if (data.chip.shutdown === undefined) {
    disableDesc(desc, true);
  } else {
    desc.state |= S.DISABLED;
    data.chip.shutdown(data);
    desc.state |= S.MASKED;
  }
}

/** As `shutdown`, and gives back what activation took. @see Linux 7.2 kernel/irq/chip.c irq_shutdown_and_deactivate @internal */
export function shutdownAndDeactivate(desc: IrqDesc): void {
  shutdown(desc);
  deactivateDesc(desc);
}

/**
 * Makes the levels ready to deliver, from the CPU outwards; once.
 * @param reserve a placeholder will do, until it is requested
 * @throws what a level throws: those before it are inactive again then
 * @see Linux 7.2 kernel/irq/irqdomain.c irq_domain_activate_irq
 * @internal
 */
export function activateDesc(desc: IrqDesc, reserve: boolean): void {
  if (desc.activated) return;
  activateLevel(desc.data, reserve);
  desc.state |= S.ACTIVATED;
  desc.core.tracer?.event('irq_activate', desc.core.currentCpu, desc.virq, -1, desc.who, reserve ? 'reserve' : '');
}

function activateLevel(data: IrqData, reserve: boolean): void {
  const { parent, domain } = data;
  if (parent !== undefined) activateLevel(parent, reserve);
  try {
    domain?.ops.activate?.(domain, data, reserve);
  } catch (error) {
    const errors: unknown[] = [error];
    if (parent !== undefined) deactivateLevels(parent, errors);
    throw joinErrors(errors, `activation of irq ${data.virq}`);
  }
}

/**
 * From the device inwards; once.
 * @throws what levels threw, when all are inactive
 * @see Linux 7.2 kernel/irq/irqdomain.c irq_domain_deactivate_irq
 * @internal
 */
export function deactivateDesc(desc: IrqDesc): void {
  if (!desc.activated) return;
  const errors: unknown[] = [];
  deactivateLevels(desc.data, errors);
  desc.state &= ~S.ACTIVATED;
  desc.core.tracer?.event('irq_deactivate', desc.core.currentCpu, desc.virq, -1, desc.who, '');
  if (errors.length > 0) throw joinErrors(errors, `deactivation of irq ${desc.virq}`);
}

function deactivateLevels(from: IrqData, errors: unknown[]): void {
  for (let data: IrqData | undefined = from; data !== undefined; data = data.parent) {
    try {
      data.domain?.ops.deactivate?.(data.domain, data);
    } catch (error) {
      errors.push(error);
    }
  }
}
