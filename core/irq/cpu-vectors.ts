import { Bitmap, lowestBit } from './bitmap.js';

/** The account that the matrix keeps of one CPU. @see Linux 7.2 kernel/irq/matrix.c struct cpumap */
export interface CpuVectors {
  /** What can still be allocated here; 0 until the CPU was online once. */
  readonly available: number;
  /** Vectors in use, managed ones included. */
  readonly allocated: number;
  /** Vectors set aside for managed interrupts. */
  readonly managed: number;
  /** How many of those are in use. */
  readonly managedAllocated: number;
  readonly online: boolean;
  /** The vectors in use, ascending. */
  readonly allocatedVectors: number[];
  /** The vectors set aside for managed interrupts, ascending. */
  readonly managedVectors: number[];
}

/** The matrix's own view of it. @internal */
export class CpuAccount implements CpuVectors {
  available = 0;
  allocated = 0;
  managed = 0;
  managedAllocated = 0;
  online = false;
  initialized = false;
  readonly inUse: Bitmap;
  readonly setAside: Bitmap;

  constructor(bits: number) {
    this.inUse = new Bitmap(bits);
    this.setAside = new Bitmap(bits);
  }

  get allocatedVectors(): number[] {
    return this.inUse.list();
  }

  get managedVectors(): number[] {
    return this.setAside.list();
  }

  /** The lowest bit of `usable` that is neither in use nor set aside, -1 when there is none. */
  lowestFree(usable: Bitmap): number {
    const { inUse, setAside } = this;
    for (let i = 0; i < usable.words; i++) {
      const free = usable.word(i) & ~(inUse.word(i) | setAside.word(i));
      if (free !== 0) return i * 32 + lowestBit(free);
    }
    return -1;
  }

  /** The lowest bit that is set aside and not in use, -1 when there is none. */
  lowestUnusedManaged(): number {
    const { inUse, setAside } = this;
    for (let i = 0; i < setAside.words; i++) {
      const unused = setAside.word(i) & ~inUse.word(i);
      if (unused !== 0) return i * 32 + lowestBit(unused);
    }
    return -1;
  }
}
