import type { ClockEvent } from '../hal/index.js';
import type { IrqDesc } from './desc.js';
import { handleEvent } from './event.js';
import * as S from './state.js';

/** How often a line that was disabled is polled. */
const POLL_US = 100_000;

/**
 * Looks after the shared lines that were disabled: their handlers run without interrupt, at a slow rate.
 * @see Linux 7.2 kernel/irq/spurious.c poll_spurious_irqs, try_one_irq
 * @internal
 */
export class SpuriousPoll {
  readonly #lines = new Set<IrqDesc>();
  #timer: ClockEvent | undefined = undefined;

  add(desc: IrqDesc): void {
    this.#lines.add(desc);
    this.#arm(desc);
  }

  delete(desc: IrqDesc): void {
    if (this.#lines.size === 0 || !this.#lines.delete(desc) || this.#lines.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(desc: IrqDesc): void {
    this.#timer ??= desc.core.clock.after(POLL_US, () => this.#poll(desc));
  }

  #poll(any: IrqDesc): void {
    this.#timer = undefined;
    for (const desc of this.#lines) {
      if ((desc.state & S.SPURIOUS_DISABLED) === 0) this.#lines.delete(desc);
      else any.core.windows.inInterrupt(() => tryOne(desc));
    }
    const [next] = this.#lines;
    if (next !== undefined) this.#arm(next);
  }
}

/** Lets the handlers look. */
function tryOne(desc: IrqDesc): void {
  if ((desc.state & S.IN_PROGRESS) !== 0) return;
  desc.state |= S.POLL_IN_PROGRESS;
  handleEvent(desc, desc.core.currentCpu);
  desc.state &= ~S.POLL_IN_PROGRESS;
}
