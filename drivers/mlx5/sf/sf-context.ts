import type { Mmio } from '../../../core/index.js';
import type { Mlx5SfContext } from '../api.js';
import type { Mlx5Core } from '../mlx5-core.js';

/** What the driver of a sub-function needs beyond what others may know. */
export class SfContext implements Mlx5SfContext {
  /** Set by its driver: the function does not answer any more, and nothing of it is worth waiting for. */
  onAbandoned: (() => void) | undefined = undefined;

  constructor(
    readonly parent: Mlx5Core,
    /** The windows of all sub-functions, as the parent has mapped them. */
    readonly windows: Mmio,
    readonly index: number,
    readonly functionId: number,
    readonly sfnum: number,
  ) {}

  /** Where its window begins. */
  get offset(): number {
    return this.index * this.sizeBytes;
  }

  get sizeBytes(): number {
    return 2 ** (this.parent.caps.logMinSfSize + 12);
  }
}
