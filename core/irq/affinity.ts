import { Errno, describeError } from '../lib/errno.js';
import type { AffinityResult } from './chip.js';
import type { CpuMask } from './cpu-mask.js';
import type { IrqDesc } from './desc.js';
import * as S from './state.js';

/**
 * Has the chip move an interrupt.
 * @param force to the CPUs as they are, online or not
 * @throws {Errno} EINVAL when the chip cannot, or no CPU of the mask is online; what the chip threw: the old target stays
 * @see Linux 7.2 kernel/irq/manage.c irq_do_set_affinity
 */
function doSetAffinity(desc: IrqDesc, mask: CpuMask, force: boolean): AffinityResult {
  const { data, core } = desc;
  if (data.chip.setAffinity === undefined) {
    throw new Errno('EINVAL', `${desc.who}: irq ${desc.virq}: chip ${data.chip.name} cannot move it`);
  }
  const { online, isolated } = core.cpus;
  let target = mask;
  if (desc.managed && mask.intersects(isolated)) {
    // Work is kept from isolated CPUs while another of the mask can do it.
    const housekeeping = mask.without(isolated);
    if (housekeeping.intersects(online)) target = housekeeping;
  }
  target = target.and(online);
  if (force ? mask.isEmpty : target.isEmpty) {
    throw new Errno(
      'EINVAL',
      `${desc.who}: irq ${desc.virq}: none of CPUs ${String(mask) || '(none)'} is online: online are ${String(online)}`,
    );
  }
  core.tracer?.event('irq_set_affinity', core.currentCpu, desc.virq, -1, desc.who, `cpus=${String(target)}`);
  const result = data.chip.setAffinity(data, force ? mask : target, force);
  if (result === 'ok' || result === 'done') desc.affinity = mask;
  return result;
}

/** As {@link doSetAffinity}; what cannot be now happens at the next interrupt. @see Linux 7.2 manage.c irq_try_set_affinity @internal */
export function tryAffinity(desc: IrqDesc, mask: CpuMask, force: boolean): void {
  if (doSetAffinity(desc, mask, force) !== 'busy') return;
  if (force)
    throw new Errno('EBUSY', `${desc.who}: irq ${desc.virq}: its last move is not over: its old vector waits for clean-up`);
  desc.state |= S.AFFINITY_PENDING;
  desc.pendingMask = mask;
}

/**
 * Sets where an interrupt may be delivered.
 * @param wanted of a managed one, those it is managed for count
 * @throws {Errno} EINVAL when it cannot be moved or no CPU of the mask is online; ENOSPC when they have no vector left
 * @see Linux 7.2 kernel/irq/manage.c irq_set_affinity_locked
 * @internal
 */
export function setAffinity(desc: IrqDesc, wanted: CpuMask, force: boolean): void {
  const { data } = desc;
  if (data.chip.setAffinity === undefined) {
    throw new Errno('EINVAL', `${desc.who}: irq ${desc.virq}: chip ${data.chip.name} cannot move it`);
  }
  // Elsewhere no vector is set aside for it, and no CPU would start it again.
  const mask = desc.managedMask === undefined ? wanted : wanted.and(desc.managedMask);
  if (mask.isEmpty) {
    const why = wanted.isEmpty
      ? 'no CPU to move it to'
      : `is managed for CPUs ${String(desc.managedMask)} alone, not ${String(wanted)}`;
    throw new Errno('EINVAL', `${desc.who}: irq ${desc.virq}: ${why}`);
  }
  if ((desc.state & (S.ACTIVATED | S.AFFINITY_ON_ACTIVATE)) === S.AFFINITY_ON_ACTIVATE) {
    desc.affinity = mask;
    desc.effective = mask;
    desc.state |= S.AFFINITY_SET;
    return;
  }
  if (data.chip.moveDeferred !== true && (desc.state & S.AFFINITY_PENDING) === 0) {
    tryAffinity(desc, mask, force);
  } else {
    desc.state |= S.AFFINITY_PENDING;
    desc.pendingMask = mask;
  }
  desc.state |= S.AFFINITY_SET;
  notifySoon(desc);
}

/** Tells the notifier, once for all moves until it is told. */
function notifySoon(desc: IrqDesc): void {
  if (desc.notifier === undefined || desc.isNotifying) return;
  desc.isNotifying = true;
  desc.core.windows.queueNotifier(desc);
}

/** Whether it is anybody's choice where it is delivered. @see Linux 7.2 kernel/irq/manage.c irq_can_set_affinity @internal */
export function canMove({ data, state }: IrqDesc): boolean {
  return data.chip.setAffinity !== undefined && (state & (S.PER_CPU | S.NO_BALANCING)) === 0;
}

/**
 * Chooses where an interrupt that starts is delivered.
 * @see Linux 7.2 kernel/irq/manage.c irq_setup_affinity
 * @internal
 */
export function setupAffinity(desc: IrqDesc): void {
  const { core } = desc;
  if (!canMove(desc)) return;
  const { online } = core.cpus;
  let wanted = core.cpus.defaultAffinity;
  if ((desc.state & (S.MANAGED | S.AFFINITY_SET)) !== 0) {
    if (desc.affinity.intersects(online)) wanted = desc.affinity;
    else desc.state &= ~S.AFFINITY_SET;
  }
  let mask = wanted.and(online);
  if (mask.isEmpty) mask = online;
  if (desc.node >= 0) {
    const near = mask.and(core.cpus.ofNode(desc.node));
    if (!near.isEmpty) mask = near;
  }
  placeAt(desc, mask);
}

/**
 * Has an interrupt that starts delivered there; if that cannot be, it starts where it is.
 * @throws why it cannot be, when the CPU where it is has gone: nobody would ever hear of it
 * @internal
 */
export function placeAt(desc: IrqDesc, mask: CpuMask): void {
  try {
    doSetAffinity(desc, mask, false);
  } catch (error) {
    if (!desc.effective.intersects(desc.core.cpus.online)) throw error;
    desc.core.log('warn', desc, `irq ${desc.virq}: affinity not set: ${describeError(error)}`);
  }
}

/**
 * Makes the move that waited for an interrupt; in its acknowledge.
 * @see Linux 7.2 kernel/irq/migration.c irq_move_masked_irq
 * @internal
 */
export function movePending(desc: IrqDesc): void {
  if ((desc.state & S.AFFINITY_PENDING) === 0 || desc.disabled) return;
  const { data } = desc;
  const wasMasked = desc.masked;
  if (!wasMasked) data.chip.mask?.(data);
  moveMasked(desc);
  if (!wasMasked) data.chip.unmask?.(data);
}

function moveMasked(desc: IrqDesc): void {
  const mask = desc.pendingMask;
  desc.state &= ~S.AFFINITY_PENDING;
  if (mask === undefined || desc.data.chip.setAffinity === undefined) return;
  if (mask.intersects(desc.core.cpus.online)) {
    try {
      if (doSetAffinity(desc, mask, false) === 'busy') {
        desc.state |= S.AFFINITY_PENDING;
        return;
      }
    } catch (error) {
      desc.core.log('warn', desc, `irq ${desc.virq}: not moved to CPUs ${String(mask)}: ${describeError(error)}`);
    }
  }
  desc.pendingMask = undefined;
}
