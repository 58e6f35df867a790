import type { Device } from '../device/index.js';
import { Errno } from '../lib/errno.js';
import { type MaybePromise, isThenable } from '../lib/flow.js';
import type { IrqHandler, IrqSpec } from './action.js';
import { canMove, setAffinity } from './affinity.js';
import { setChainedHandler } from './chained.js';
import type { IrqHardwareState } from './chip.js';
import type { IrqCore } from './core.js';
import { type CpuMask, type CpuSet, toMask } from './cpu-mask.js';
import type { IrqDesc } from './desc.js';
import { offlineCpu, onlineCpu } from './cpu-hotplug.js';
import type { IrqDomain } from './domain.js';
import type { FlowHandler } from './flow.js';
import { freeIrq } from './free.js';
import { IrqHandle } from './handle.js';
import { requestIrq, setType } from './manage.js';
import { disableIrq, enableIrq, getHardwareState, injectIrq, locked, setHardwareState, setVcpuAffinity } from './operations.js';
import { handleNested } from './nested.js';
import { synchronize } from './synchronize.js';
import { TRIGGERS, type TriggerType, type VcpuInfo, isTrigger } from './types.js';

/** The release of a request, in the ledger. */
const release = (handle: IrqHandle): MaybePromise<void> => {
  handle.checkFree();
  const done = freeIrq(handle.end());
  return isThenable(done) ? Promise.resolve(done).then(() => {}) : undefined;
};

/**
 * Interrupts for drivers: request one, and be called when it comes. A service: `@inject(Irqs) private readonly irqs: Irqs`.
 *
 * Hard handlers run in interrupt context, in windows between synchronous sections; they must not sleep, wait, acquire or free.
 * Thread halves run right after them in task context, and may wait.
 * @see Linux 7.2 kernel/irq/manage.c
 */
export class Irqs {
  constructor(
    /** Descriptors, domains and vectors, for those who write interrupt controllers. */
    readonly core: IrqCore,
  ) {}

  /**
   * Requests an interrupt until unbind, and lets it come. In the ledger it is `irq 32`.
   * @param handler the hard half, or what else is to be said
   * @throws {Errno} ENODEV when the device is gone; ENOTCONN when it is connected to nothing; EINVAL when it does not exist or
   *   `handler` cannot be; ENOSYS when nobody has set it up; EBUSY when it is taken on other terms; ENOSPC when no CPU has a vector
   *   left; EIO when its chip failed
   * @example `this.irqs.request(dev, slot.virq, () => timer.expired());`
   */
  request(dev: Device, virq: number, handler: IrqHandler | IrqSpec): IrqHandle {
    if (dev.dead) throw new Errno('ENODEV', `${dev.name}: irq ${virq} requested after the device was removed`);
    if (typeof handler !== 'function' && (typeof handler !== 'object' || handler === null)) {
      throw new Errno(
        'EINVAL',
        `${dev.name}: irq ${virq}: ${String(handler)} is no handler: give a function, or an object with one`,
      );
    }
    const { devres } = dev;
    const label = `irq ${virq}`;
    devres.faultPoint(label);
    const handle = new IrqHandle(dev, requestIrq(this.core, dev, virq, handler));
    handle.entry = devres.enter(label, handle, release);
    return handle;
  }

  /** An interrupt by number. @throws {Errno} EINVAL when there is none */
  desc(virq: number): IrqDesc {
    const desc = this.core.descs[virq];
    if (desc === undefined) throw new Errno('EINVAL', `irq ${virq}: no such interrupt`);
    return desc;
  }

  /** All interrupts in the order of their numbers. */
  list(): IrqDesc[] {
    return [...this.core.all()];
  }

  /** See {@link IrqHandle.enable}. */
  enable(virq: number): void {
    enableIrq(this.desc(virq));
  }

  /** See {@link IrqHandle.disable}. */
  disable(virq: number): MaybePromise<void> {
    return disableIrq(this.desc(virq), true);
  }

  /** See {@link IrqHandle.disableNosync}. */
  disableNosync(virq: number): void {
    void disableIrq(this.desc(virq), false);
  }

  /** See {@link IrqHandle.synchronize}. */
  synchronize(virq: number): MaybePromise<void> {
    return synchronize(this.desc(virq));
  }

  /** See {@link IrqHandle.setAffinity}. @param force also to CPUs that are not online */
  setAffinity(virq: number, cpus: CpuSet, force = false): void {
    setAffinity(this.desc(virq), toMask(cpus), force);
  }

  /**
   * As users set it, in `smp_affinity`.
   * @throws {Errno} EPERM when it is managed or cannot move; EINVAL when no CPU of the set is online
   * @see Linux 7.2 kernel/irq/proc.c write_irq_affinity
   */
  writeAffinity(virq: number, cpus: CpuSet): void {
    const desc = this.desc(virq);
    const mask = toMask(cpus);
    if (desc.managed) throw new Errno('EPERM', `${desc.who}: irq ${virq}: is managed: the core alone moves it`);
    if (!canMove(desc)) throw new Errno('EPERM', `${desc.who}: irq ${virq}: cannot be moved`);
    if (!mask.intersects(this.core.cpus.online)) {
      throw new Errno(
        'EINVAL',
        `${desc.who}: irq ${virq}: none of CPUs ${String(mask) || '(none)'} is online: online are ${String(this.core.cpus.online)}`,
      );
    }
    setAffinity(desc, mask, false);
  }

  /** Where it may be delivered. */
  affinity(virq: number): CpuMask {
    return this.desc(virq).affinity;
  }

  /** Sets the trigger; `none` leaves it. @throws {Errno} EINVAL when there is no such trigger, or the hardware lacks it */
  setTrigger(virq: number, type: TriggerType): void {
    const desc = this.desc(virq);
    if (!isTrigger(type)) {
      throw new Errno('EINVAL', `${desc.who}: irq ${virq}: ${String(type)} is no trigger: must be ${TRIGGERS.join(', ')}`);
    }
    if (type !== 'none') locked(desc, () => setType(desc, type));
  }

  /**
   * Posts an interrupt to a guest, whatever device it is of; undefined takes it back.
   * @throws {Errno} EINVAL when there is no such interrupt; ENOSYS when no level of it can
   */
  setVcpuAffinity(virq: number, info: VcpuInfo | undefined): void {
    setVcpuAffinity(this.desc(virq), info);
  }

  /** What the hardware says of it. @throws {Errno} EINVAL when it does not tell */
  hardwareState(virq: number, which: IrqHardwareState): boolean {
    return getHardwareState(this.desc(virq), which);
  }

  /** Sets that. @throws {Errno} EINVAL when it cannot be set */
  setHardwareState(virq: number, which: IrqHardwareState, on: boolean): void {
    setHardwareState(this.desc(virq), which, on);
  }

  /** Raises it by software, as its device would. @throws {Errno} EINVAL when there is no way or it is not active; EBUSY */
  inject(virq: number): void {
    injectIrq(this.desc(virq));
  }

  /**
   * For who demultiplexes: an interrupt of a domain has come. Only inside a handler.
   * @throws {Errno} EINVAL when the domain has no such number; EPERM outside interrupt context for one that is raised by hardware
   * @see Linux 7.2 kernel/irq/irqdesc.c generic_handle_domain_irq
   */
  handleDomainIrq(domain: IrqDomain, hwirq: number): void {
    const desc = domain.lookup(hwirq);
    if (desc === undefined) throw new Errno('EINVAL', `domain ${domain.name}: no interrupt ${hwirq}`);
    this.handle(desc.virq);
  }

  /** As {@link handleDomainIrq}, by number. @see Linux 7.2 kernel/irq/irqdesc.c generic_handle_irq */
  handle(virq: number): void {
    const desc = this.desc(virq);
    const { windows } = this.core;
    if (desc.enforcesIrqContext && !windows.inHandler) {
      this.core.report('irq-outside-context', desc, `irq ${virq}: handled outside interrupt context: raise it with inject`);
      throw new Errno('EPERM', `${desc.who}: irq ${virq}: handled outside interrupt context`);
    }
    windows.handle(desc);
  }

  /** Takes a CPU out; see {@link offlineCpu}. @throws {Errno} EINVAL, EBUSY, ENOSPC */
  offline(cpu: number): void {
    offlineCpu(this.core, cpu);
  }

  /** Brings a CPU back; see {@link onlineCpu}. @throws {Errno} EINVAL */
  online(cpu: number): void {
    onlineCpu(this.core, cpu);
  }

  /**
   * For a controller that finds its interrupts out in a thread half: the thread halves of one run here, one after the other.
   * @returns a promise when one of them waits for something
   * @throws {Errno} EINVAL when there is no such interrupt, and in an interrupt handler
   * @see Linux 7.2 kernel/irq/chip.c handle_nested_irq
   */
  handleNested(virq: number): MaybePromise<void> {
    return handleNested(this.desc(virq));
  }

  /**
   * For a controller behind another: an interrupt of that is its input. It starts at once and nobody can request it; `flow` calls
   * `enterChained`, `handleDomainIrq` for each interrupt that has come, and `leaveChained`. Without `flow` that ends.
   * @param data kept in `desc.handlerData` for `flow`
   * @throws {Errno} EINVAL when there is no such interrupt; EBUSY when it is in use; ENOSYS when nobody has set it up
   * @see Linux 7.2 kernel/irq/chip.c irq_set_chained_handler_and_data
   */
  setChainedHandler(virq: number, flow: FlowHandler | undefined, data?: unknown): void {
    setChainedHandler(this.desc(virq), flow, data);
  }

  /**
   * Calls `fn`, which must not throw, in task context, soon: when the interrupts that are pending have been handled. For what handlers
   * leave to be done, and many of them to one.
   * @see Linux 7.2 kernel/softirq.c raise_softirq
   */
  later(fn: () => void): void {
    this.core.windows.queueCall(fn);
  }

  /** Delivers what is pending, if no handler and no core entry runs now. */
  drain(): void {
    this.core.windows.drain();
  }
}
