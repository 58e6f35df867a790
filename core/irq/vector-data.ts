import type { CpuMask } from './cpu-mask.js';
import type { IrqDesc } from './desc.js';
import * as S from './state.js';

/**
 * What the vector domain knows of one interrupt.
 * @see Linux 7.2 arch/x86/kernel/apic/vector.c struct apic_chip_data
 */
export class VectorData {
  /** What it is delivered as, on `cpu`; 0 while it has no vector. */
  vector = 0;
  cpu = 0;
  /** What it was delivered as before its last move, until that is cleaned up; 0 for nothing. */
  prevVector = 0;
  prevCpu = 0;
  /** A vector is set aside for it on each of these CPUs; undefined when it is not managed. */
  managed: CpuMask | undefined = undefined;
  /** It gives its vector back when it is deactivated, for a promise. */
  canReserve = false;
  /** It has such a promise now. */
  hasReserved = false;
  /** What messages say: where it is delivered, or the placeholder. */
  targetVector = 0;
  targetCpu = 0;

  constructor(readonly desc: IrqDesc) {}

  /** It has moved, and its first interrupt at the new place has not come. Kept in the state, which is looked at anyway then. */
  get moveInProgress(): boolean {
    return (this.desc.state & S.MOVE_IN_PROGRESS) !== 0;
  }
  set moveInProgress(on: boolean) {
    if (on) this.desc.state |= S.MOVE_IN_PROGRESS;
    else this.desc.state &= ~S.MOVE_IN_PROGRESS;
  }

  get isManaged(): boolean {
    return this.managed !== undefined;
  }
}
