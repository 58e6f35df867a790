import type { Device } from '../../core/index.js';
import type { Mlx5Child, Mlx5Vector } from '../mlx5/api.js';

/**
 * The vectors that the user of a mediated device has taken, one for each queue that he wants one for. A queue that works has the vector
 * that it began with: until it has stopped, that is nobody else's.
 */
export class QueueVectors {
  readonly #core: Mlx5Child;
  readonly #dev: Device;
  readonly #held: (Mlx5Vector | undefined)[] = [];
  /** Those that their user has no more. */
  readonly #given = new Set<number>();
  /** What queues have that work, or are being made. */
  #used: readonly (Mlx5Vector | undefined)[] = [];

  /** @param dev in whose ledger they are */
  constructor(core: Mlx5Child, dev: Device) {
    this.#core = core;
    this.#dev = dev;
  }

  /** @returns its interrupt, for its user to request @throws {Errno} ENOSPC when there is none */
  take(index: number): number {
    const vector = (this.#held[index] ??= this.#core.requestDedicated(this.#dev, { name: `${this.#dev.name}-vq-${index}` }));
    this.#given.delete(index);
    return vector.virq;
  }

  give(index: number): void {
    if (this.#used[index] === undefined) this.#end(index);
    else this.#given.add(index);
  }

  /** What a queue begins with. */
  readonly of = (index: number): Mlx5Vector | undefined => this.#used[index];

  /** Queues are made: they have those that their user has now. */
  use(): void {
    this.#used = [...this.#held];
  }

  /** No queue works any more. */
  settle(): void {
    this.#used = [];
    for (const index of this.#given) this.#end(index);
    this.#given.clear();
  }

  #end(index: number): void {
    this.#held[index]?.[Symbol.dispose]();
    this.#held[index] = undefined;
  }
}
