import { Errno, type Subscription } from '../lib/index.js';
import type { EventFd } from './eventfd.js';
import type { VfioIrqSet } from './uapi.js';

/**
 * The line interrupt of an emulated device: it is masked when it has come, until its user unmasks it. What comes while it is masked is
 * signalled then.
 * @see Linux 7.2 drivers/vfio/pci/vfio_pci_intrs.c vfio_pci_set_intx_trigger, vfio_pci_set_intx_mask, vfio_pci_set_intx_unmask
 */
export class LineTrigger {
  #isEnabled = false;
  #isMasked = false;
  #isPending = false;
  #eventfd: EventFd | undefined = undefined;
  /** A signal of whose eventfd unmasks it. */
  #unmasking: Subscription | undefined = undefined;

  constructor(readonly who: string) {}

  /** Whether the user has enabled it. */
  get isEnabled(): boolean {
    return this.#isEnabled;
  }

  /** The device asserts it. */
  signal(): void {
    if (!this.#isEnabled) return;
    if (this.#isMasked) {
      this.#isPending = true;
      return;
    }
    this.#isMasked = true;
    this.#eventfd?.signal();
  }

  /** Gives it up. */
  disable(): void {
    this.#isEnabled = this.#isMasked = this.#isPending = false;
    this.#eventfd = undefined;
    this.#stopUnmasking();
  }

  /**
   * @param isBusy whether interrupts of another sort are enabled
   * @throws {Errno} EINVAL; ENOTTY for a mask by eventfd; EBADF; EBUSY for a second eventfd that unmasks
   */
  set(set: VfioIrqSet, isBusy: boolean): number {
    const { action, start, count, eventfds, bools } = set;
    const isNone = eventfds === undefined && bools === undefined;
    if (action === 'trigger' && this.#isEnabled && isNone && count === 0) {
      this.disable();
      return 0;
    }
    if (isBusy || start !== 0 || count !== 1) throw this.#error('EINVAL', 'there is one, and it is of the kind that is enabled');
    // A line is enabled by its eventfd alone.
    const canEnable = action === 'trigger' && eventfds !== undefined;
    if (!this.#isEnabled && !canEnable) throw this.#error('EINVAL', 'is not enabled');
    if (eventfds !== undefined) this.#setEventfd(action, eventfds[0]);
    else if (isNone || bools?.[0] === true) this.#do(action);
    return 0;
  }

  #do(action: VfioIrqSet['action']): void {
    if (action === 'trigger') this.#eventfd?.signal();
    else if (action === 'mask') this.#isMasked = true;
    else this.#unmask();
  }

  #setEventfd(action: VfioIrqSet['action'], eventfd: EventFd | undefined): void {
    if (action === 'mask') throw this.#error('ENOTTY', 'is not masked by an eventfd');
    eventfd?.checkOpen(this.who);
    if (action === 'trigger') {
      this.#isEnabled = true;
      this.#eventfd = eventfd;
      return;
    }
    if (eventfd === undefined) {
      this.#stopUnmasking();
      return;
    }
    if (this.#unmasking !== undefined) throw this.#error('EBUSY', 'another eventfd unmasks it');
    const signalled = (): void => {
      if (eventfd.isClosed) this.#stopUnmasking();
      else if (eventfd.count > 0) {
        eventfd.read();
        this.#unmask();
      }
    };
    this.#unmasking = eventfd.listen(signalled);
    signalled();
  }

  #unmask(): void {
    if (!this.#isMasked) return;
    this.#isMasked = false;
    if (!this.#isPending) return;
    this.#isPending = false;
    this.signal();
  }

  #stopUnmasking(): void {
    this.#unmasking?.dispose();
    this.#unmasking = undefined;
  }

  #error(code: 'EBUSY' | 'EINVAL' | 'ENOTTY', what: string): Errno {
    return new Errno(code, `${this.who}: its line interrupt: ${what}`);
  }
}
