import { Mmio, type Window } from '../hal/index.js';
import type { PciDevice } from './device.js';

/** The registers behind a BAR; dies with its binding, or when it is disposed of. */
export class BarMmio extends Mmio implements Disposable {
  /** @internal */
  constructor(
    window: Window,
    what: string,
    readonly dev: PciDevice,
    /** Number of the BAR. */
    readonly index: number,
    onRevoked: (what: string) => void,
  ) {
    super(window, what, onRevoked);
  }

  /** Unmaps the BAR now; harmless when it is unmapped. */
  [Symbol.dispose](): void {
    const entry = this.dev.devres.find(unmapBar, (regs) => regs === this);
    if (entry !== undefined) void this.dev.devres.releaseEntry(entry);
  }
}

/** The release of a mapped BAR. @internal */
export const unmapBar = (regs: BarMmio): void => regs.dev.unmapped(regs);
