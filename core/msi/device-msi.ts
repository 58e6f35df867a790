import type { Device } from '../device/index.js';
import type { IrqCore } from '../irq/index.js';
import { Errno } from '../lib/errno.js';
import { messageSenderOf } from './message-sender.js';
import type { MsiDomain } from './msi-domain.js';

/**
 * The message interrupts of one device: its domains by id, and what Linux has a mutex for.
 * @see Linux 7.2 kernel/irq/msi.c struct msi_device_data
 */
export class DeviceMsi {
  readonly domains = new Map<string, MsiDomain>();
  /** What is being done, while something is. */
  #doing: string | undefined = undefined;

  constructor(
    readonly core: IrqCore,
    readonly device: Device,
  ) {}

  /** A domain begins: its device may send. */
  enter(domain: MsiDomain): void {
    messageSenderOf(this.device)?.messagesBegin();
    this.domains.set(domain.id, domain);
  }

  /** A domain has ended. */
  leave(domain: MsiDomain): void {
    this.domains.delete(domain.id);
    messageSenderOf(this.device)?.messagesEnd();
  }

  /**
   * Begins something that no interrupt handler may do, and that does not happen within another.
   * @throws {Errno} EINVAL in an interrupt handler (rule `sleep-in-interrupt`); EDEADLK from a callback of a store
   * @see Linux 7.2 kernel/irq/msi.c msi_lock_descs
   */
  lock(what: string): void {
    const { core, device } = this;
    core.mightSleep(what, device);
    this.refuseLocked(what);
    this.#doing = what;
    core.tracer?.event('msi_lock', core.currentCpu, 0, -1, device.name, what);
  }

  /** @throws {Errno} EDEADLK from a callback of a store */
  refuseLocked(what: string): void {
    if (this.#doing === undefined) return;
    throw new Errno('EDEADLK', `${this.device.name}: ${what} while ${this.#doing}: a callback of a message store cannot do that`);
  }

  /** What must not fail: as behind `lock`, or within what has it, whose binding ends in a callback of a store. */
  force<T>(what: string, fn: (on: T) => void, on: T): void {
    if (this.#doing !== undefined) {
      fn(on);
      return;
    }
    this.lock(what);
    try {
      fn(on);
    } finally {
      this.unlock();
    }
  }

  unlock(): void {
    const { core, device } = this;
    this.#doing = undefined;
    core.tracer?.event('msi_unlock', core.currentCpu, 0, -1, device.name, '');
  }
}
