import { Errno } from '../lib/index.js';
import type { EventFd } from './eventfd.js';
import type { VfioIrqSet } from './uapi.js';

/**
 * An interrupt that is no vector, but a note to the user: that the device has an error, or that it is to be given up.
 * @see Linux 7.2 drivers/vfio/pci/vfio_pci_intrs.c vfio_pci_set_ctx_trigger_single
 */
export class SingleTrigger {
  #eventfd: EventFd | undefined = undefined;

  constructor(readonly who: string) {}

  /** Signals it. @returns false when nobody listens */
  signal(): boolean {
    this.#eventfd?.signal();
    return this.#eventfd !== undefined;
  }

  clear(): void {
    this.#eventfd = undefined;
  }

  /** @throws {Errno} ENOTTY for anything but `trigger`; EINVAL; EBADF */
  set({ index, action, start, count, eventfds, bools }: VfioIrqSet): number {
    if (action !== 'trigger')
      throw new Errno('ENOTTY', `${this.who}: interrupts of index ${index} can be triggered, and not ${action}ed`);
    const isNone = eventfds === undefined && bools === undefined;
    if (start !== 0 || count > 1 || (isNone ? this.#eventfd === undefined : count === 0)) {
      throw new Errno('EINVAL', `${this.who}: interrupts of index ${index}: ${isNone ? 'no eventfd is set' : 'there is one'}`);
    }
    if (isNone && count === 0) this.#eventfd = undefined;
    else if (isNone || bools?.[0] === true) this.signal();
    else if (eventfds !== undefined) {
      eventfds[0]?.checkOpen(this.who);
      [this.#eventfd] = eventfds;
    }
    return 0;
  }
}
