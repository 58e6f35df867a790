import { Errno } from '../lib/errno.js';
import type { MaybePromise } from '../lib/flow.js';
import type { IrqHardwareState } from './chip.js';
import { disableOnce, enableDesc } from './control.js';
import type { IrqData } from './data.js';
import type { IrqDesc } from './desc.js';
import { resend } from './resend.js';
import * as S from './state.js';
import { synchronize } from './synchronize.js';
import type { VcpuInfo } from './types.js';

/** Runs `fn` between the chip's bus lock and unlock. @internal */
export function locked(desc: IrqDesc, fn: () => void): void {
  const { data, core } = desc;
  if (data.chip.busLock !== undefined) core.mightSleep(`irq ${desc.virq}: the bus of its chip locked`, desc.device);
  desc.checkUsable();
  data.chip.busLock?.(data);
  try {
    fn();
  } finally {
    data.chip.busSyncUnlock?.(data);
  }
}

/**
 * Takes back one disable.
 * @throws {Errno} EINVAL when it is enabled (rule `unbalanced-enable`)
 * @see Linux 7.2 kernel/irq/manage.c enable_irq
 * @internal
 */
export function enableIrq(desc: IrqDesc): void {
  locked(desc, () => {
    if (enableDesc(desc)) return;
    throw desc.core.device.violate('unbalanced-enable', desc.device, `irq ${desc.virq}: enabled more often than disabled`);
  });
}

/** @param wait until no handler runs @see Linux 7.2 kernel/irq/manage.c disable_irq, disable_irq_nosync @internal */
export function disableIrq(desc: IrqDesc, wait: boolean): MaybePromise<void> {
  if (wait && desc.core.windows.inHandler) {
    throw desc.core.device.violate(
      'synchronize-in-handler',
      desc.device,
      `irq ${desc.virq}: disabled in an interrupt handler, which it would wait for: use disableNosync`,
    );
  }
  locked(desc, () => disableOnce(desc));
  return wait ? synchronize(desc) : undefined;
}

/** @throws {Errno} ENXIO when the chip cannot @see Linux 7.2 kernel/irq/manage.c irq_set_irq_wake @internal */
export function setWake(desc: IrqDesc, on: boolean): void {
  const { data } = desc;
  const set = (): void => {
    if (data.chip.skipSetWake === true) return;
    if (data.chip.setWake === undefined)
      throw new Errno('ENXIO', `${desc.who}: irq ${desc.virq}: chip ${data.chip.name} cannot wake the system`);
    data.chip.setWake(data, on);
  };
  locked(desc, () => {
    if (on) {
      if (desc.wakeDepth === 0) set();
      desc.wakeDepth++;
      desc.state |= S.WAKEUP;
      return;
    }
    if (desc.wakeDepth === 0) {
      throw desc.core.device.violate('unbalanced-wake', desc.device, `irq ${desc.virq}: wake taken back more often than given`);
    }
    if (desc.wakeDepth === 1) {
      set();
      desc.state &= ~S.WAKEUP;
    }
    desc.wakeDepth--;
  });
}

/** The outermost level that can do something. */
function levelWith(desc: IrqDesc, what: 'getState' | 'setState' | 'setVcpuAffinity'): IrqData | undefined {
  for (let level: IrqData | undefined = desc.data; level !== undefined; level = level.parent) {
    if (level.chip[what] !== undefined) return level;
  }
  return undefined;
}

/**
 * Posts an interrupt to a guest, or takes it back.
 * @throws {Errno} ENOSYS when no level of it can
 * @see Linux 7.2 kernel/irq/manage.c irq_set_vcpu_affinity
 * @internal
 */
export function setVcpuAffinity(desc: IrqDesc, info: VcpuInfo | undefined): void {
  const level = levelWith(desc, 'setVcpuAffinity');
  if (level === undefined) {
    throw new Errno(
      'ENOSYS',
      `${desc.who}: irq ${desc.virq}: no level of it can be posted to a guest: the platform has no posted interrupts`,
    );
  }
  level.chip.setVcpuAffinity!(level, info);
  if (info === undefined) desc.state &= ~S.FORWARDED_TO_VCPU;
  else desc.state |= S.FORWARDED_TO_VCPU;
}

/** @throws {Errno} EINVAL when no level tells @see Linux 7.2 kernel/irq/manage.c irq_get_irqchip_state @internal */
export function getHardwareState(desc: IrqDesc, which: IrqHardwareState): boolean {
  const level = levelWith(desc, 'getState');
  const value = level?.chip.getState!(level, which);
  if (value === undefined)
    throw new Errno('EINVAL', `${desc.who}: irq ${desc.virq}: its hardware does not tell whether it is ${which}`);
  return value;
}

/** @throws {Errno} EINVAL when no level can @see Linux 7.2 kernel/irq/manage.c irq_set_irqchip_state @internal */
export function setHardwareState(desc: IrqDesc, which: IrqHardwareState, on: boolean): void {
  const level = levelWith(desc, 'setState');
  if (level === undefined) throw new Errno('EINVAL', `${desc.who}: irq ${desc.virq}: its hardware cannot be made ${which}`);
  locked(desc, () => level.chip.setState!(level, which, on));
}

/**
 * Raises an interrupt by software, as its device would.
 * @throws {Errno} EINVAL when there is no way, or it is not active; EBUSY when that is under way
 * @see Linux 7.2 kernel/irq/resend.c irq_inject_interrupt
 * @internal
 */
export function injectIrq(desc: IrqDesc): void {
  const level = levelWith(desc, 'setState');
  locked(desc, () => {
    if (level !== undefined && madePending(level)) return;
    if (!desc.activated) throw new Errno('EINVAL', `${desc.who}: irq ${desc.virq}: is not active: request it first`);
    const result = resend(desc, true);
    if (result === 'EINVAL' || result === 'EBUSY')
      throw new Errno(result, `${desc.who}: irq ${desc.virq}: cannot be raised by software now`);
  });
}

/** Whether the hardware could be told that it is pending. */
function madePending(level: IrqData): boolean {
  try {
    level.chip.setState!(level, 'pending', true);
    return true;
  } catch (error) {
    if (!Errno.is(error)) throw error;
    return false;
  }
}
