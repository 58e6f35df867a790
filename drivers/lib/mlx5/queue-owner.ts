import type { Device, Dma, MaybePromise } from '../../../core/index.js';

/** A completion queue, as event queues know it. */
export interface CqTarget {
  completed(): void;
  failed(syndrome: number): void;
}

/** A page of registers by which queues are told of work. */
export interface UarPage {
  readonly index: number;
  write64(offset: number, lo: number, hi: number): void;
}

/** Runs commands of a function. */
export interface CommandOwner {
  /** @see Mlx5Child.exec of drivers/mlx5/api.ts */
  exec(opcode: number, input: Uint32Array, output?: Uint32Array): Promise<Uint32Array>;
}

/** The function that queues are of: what drivers of its parts get as `Mlx5Child`. */
export interface QueueOwner extends CommandOwner {
  /** Whose memory it is: all parts of the function reach it by the same addresses. */
  readonly dev: Device;
  readonly dma: Dma;
  readonly uar: UarPage;
  hasEq(eqn: number): boolean;
  addCq(eqn: number, cqn: number, cq: CqTarget): void;
  removeCq(eqn: number, cqn: number): MaybePromise<void>;
}
