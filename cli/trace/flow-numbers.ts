import type { IrqTraceEvent } from '../../core/irq/index.js';

/**
 * Numbers the ways of messages: the device's post of an interrupt, its handlers and its thread halves share a number, which is an
 * arrow in the trace. Posts that come before a handler are one interrupt, as they are for the CPU.
 */
export class FlowNumbers {
  /** By interrupt number. */
  readonly #flows = new Map<number, { readonly number: number; isHandled: boolean }>();
  #count: number;

  /** @param after the number before the first */
  constructor(after = 0) {
    this.#count = after;
  }

  /** The last number given. */
  get last(): number {
    return this.#count;
  }

  /** To be called for one event after the other. @returns 0 for an event on no way */
  of({ name, virq }: IrqTraceEvent): number {
    if (virq === 0) return 0;
    let current = this.#flows.get(virq);
    switch (name) {
      case 'msi_post':
        if (current === undefined || current.isHandled) {
          current = { number: ++this.#count, isHandled: false };
          this.#flows.set(virq, current);
        }
        return current.number;
      case 'irq_handler_entry':
        if (current !== undefined) current.isHandled = true;
        return current?.number ?? 0;
      case 'irq_thread_begin':
        return current?.number ?? 0;
      case 'irq_free':
        this.#flows.delete(virq);
        return 0;
      default:
        return 0;
    }
  }
}
