import { Errno, describeError } from '../lib/errno.js';
import { tryAffinity } from './affinity.js';
import { shutdownAndDeactivate, startup } from './control.js';
import type { IrqCore } from './core.js';
import type { CpuMask } from './cpu-mask.js';
import type { IrqDesc } from './desc.js';
import * as S from './state.js';

/**
 * Takes a CPU out: its interrupts move to others of their affinity; managed ones that have no other are shut down until it is back.
 * @throws {Errno} EINVAL when it is not online; EBUSY when it is the last; ENOSPC when the others have no room for its vectors:
 *   nothing has changed then
 * @see Linux 7.2 kernel/irq/cpuhotplug.c irq_migrate_all_off_this_cpu; arch/x86/kernel/irq.c fixup_irqs
 */
export function offlineCpu(core: IrqCore, cpu: number): void {
  const { cpus, controller, vectorDomain } = core;
  core.mightSleep(`cpu ${cpu} taken out`, undefined);
  if (!cpus.online.has(cpu)) throw new Errno('EINVAL', `cpu ${cpu}: is not online: online are ${String(cpus.online)}`);
  const left = cpus.online.minus(cpu);
  if (left.isEmpty) throw new Errno('EBUSY', `cpu ${cpu}: is the last one online`);
  vectorDomain?.checkRemovable(cpu);
  cpus.online = left;
  for (const desc of core.all()) {
    try {
      moveAway(desc, cpu);
    } catch (error) {
      core.log('err', desc, `irq ${desc.virq}: not moved away from cpu ${cpu}: ${describeError(error)}`);
    }
  }
  vectorDomain?.removeCpu(cpu);
  controller?.setOnline(cpu, false);
  if (controller?.currentCpu === cpu) controller.currentCpu = left.first;
}

/**
 * Brings a CPU back: managed interrupts that waited for it start again, unless their driver has disabled them.
 * @throws {Errno} EINVAL when there is no such CPU, or it is online
 * @see Linux 7.2 kernel/irq/cpuhotplug.c irq_affinity_online_cpu
 */
export function onlineCpu(core: IrqCore, cpu: number): void {
  const { cpus, controller, vectorDomain } = core;
  core.mightSleep(`cpu ${cpu} brought in`, undefined);
  if (!cpus.possible.has(cpu)) throw new Errno('EINVAL', `cpu ${cpu}: there is none: possible are ${String(cpus.possible)}`);
  if (cpus.online.has(cpu)) throw new Errno('EINVAL', `cpu ${cpu}: is online`);
  controller?.setOnline(cpu, true);
  vectorDomain?.addCpu(cpu);
  cpus.online = cpus.online.with(cpu);
  for (const desc of core.all()) {
    if (!desc.managedShutdown || desc.action === undefined || !desc.affinity.has(cpu)) continue;
    if ((desc.state & S.SUSPENDED) === 0) restart(desc);
  }
}

/** @see Linux 7.2 kernel/irq/chip.c irq_startup_managed */
function restart(desc: IrqDesc): void {
  desc.state &= ~S.MANAGED_SHUTDOWN;
  // Who has disabled it meanwhile, enables it.
  if (--desc.depth > 0) return;
  try {
    startup(desc, true, false);
  } catch (error) {
    desc.depth = 1;
    desc.core.log('err', desc, `irq ${desc.virq}: not started again: ${describeError(error)}`);
  }
}

/** @see Linux 7.2 kernel/irq/cpuhotplug.c migrate_one_irq */
function moveAway(desc: IrqDesc, cpu: number): void {
  const { data, core } = desc;
  if (data.chip.setAffinity === undefined) return;
  forceCompleteMove(desc);
  const pending = takePending(desc);
  if ((desc.state & S.PER_CPU) !== 0 || !desc.started || !desc.effective.has(cpu)) {
    if (pending !== undefined) {
      desc.state |= S.AFFINITY_PENDING;
      desc.pendingMask = pending;
    }
    return;
  }
  let mask = pending ?? desc.affinity;
  const { online } = core.cpus;
  if (!mask.intersects(online)) {
    if (desc.managed) {
      desc.state |= S.MANAGED_SHUTDOWN;
      shutdownAndDeactivate(desc);
      return;
    }
    mask = online;
  }
  // A chip that moves in its interrupt alone must be quiet for a move at any other time.
  const isHushed = data.chip.moveDeferred === true && !desc.masked;
  if (isHushed) data.chip.mask?.(data);
  try {
    move(desc, mask, cpu);
  } finally {
    if (isHushed) data.chip.unmask?.(data);
  }
}

function move(desc: IrqDesc, mask: CpuMask, cpu: number): void {
  const { core, affinity } = desc;
  const { online } = core.cpus;
  try {
    tryAffinity(desc, mask, false);
  } catch (error) {
    if (!Errno.is(error, 'ENOSPC') || desc.managed || online.isSubsetOf(mask)) throw error;
    tryAffinity(desc, online, false);
  }
  if (affinity.intersects(desc.effective)) return;
  const text = `affinity to CPUs ${String(affinity)} broken by taking out cpu ${cpu}: it goes to CPUs ${String(desc.effective)}`;
  core.log('warn', desc, `irq ${desc.virq}: ${text}`);
}

/** Where the interrupt was to go at its next occurrence, if a CPU of that is left. @see Linux 7.2 kernel/irq/migration.c irq_fixup_move_pending */
function takePending(desc: IrqDesc): CpuMask | undefined {
  if (!desc.affinityPending) return undefined;
  const mask = desc.pendingMask;
  desc.state &= ~S.AFFINITY_PENDING;
  desc.pendingMask = undefined;
  return mask?.intersects(desc.core.cpus.online) === true ? mask : undefined;
}

/** The first level that can. @see Linux 7.2 kernel/irq/internals.h irq_force_complete_move */
function forceCompleteMove(desc: IrqDesc): void {
  for (let level: IrqDesc['data'] | undefined = desc.data; level !== undefined; level = level.parent) {
    if (level.chip.forceCompleteMove === undefined) continue;
    level.chip.forceCompleteMove(level);
    return;
  }
}
