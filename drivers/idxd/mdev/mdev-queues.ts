import { type Device, Errno, type MaybePromise, type MdevParent, type MdevType, type MdevTypeSpec } from '../../../core/index.js';
import type { WqMode } from '../wq.js';
import type { SharedQueue } from './shared-queue.js';

/** Makes the accelerator the parent of virtual devices. */
export type RegisterParent = (types: readonly MdevTypeSpec[]) => MdevParent;

/** The queues of an accelerator that virtual devices are made of: while there are any, it is the parent of these. */
export class MdevQueues {
  readonly #types: Readonly<Record<WqMode, MdevTypeSpec>>;
  /** By number. */
  readonly #queues: SharedQueue[] = [];
  #parent: MdevParent | undefined = undefined;

  /** @param version of the device */
  constructor(version: number) {
    this.#types = {
      dedicated: { name: `dsa-1dwq-v${version}`, prettyName: 'DSA, 1 dedicated work queue' },
      shared: { name: `dsa-1swq-v${version}`, prettyName: 'DSA, 1 shared work queue' },
    };
  }

  join(queue: SharedQueue, register: RegisterParent): void {
    this.#parent ??= register([this.#types.dedicated, this.#types.shared]);
    this.#queues.push(queue);
    this.#queues.sort((a, b) => a.wq.index - b.wq.index);
  }

  /** Its devices have gone. */
  leave(queue: SharedQueue): MaybePromise<void> {
    this.#queues.splice(this.#queues.indexOf(queue), 1);
    if (this.#queues.length > 0) return;
    const parent = this.#parent;
    this.#parent = undefined;
    return parent?.unregister();
  }

  /** The queue that a device is made of. */
  of(maker: Device): SharedQueue {
    return this.#queues.find(({ wq }) => wq === maker)!;
  }

  /** The first queue with room for a device of a type. @throws {Errno} ENODEV when there is none */
  first({ spec, parent }: MdevType): SharedQueue {
    const found = this.#queues.find((queue) => queue.room > 0 && this.#types[queue.wq.mode] === spec);
    if (found !== undefined) return found;
    throw new Errno('ENODEV', `${parent.dev.name}: no queue has room for ${spec.name}: remove a device, or bind a queue to mdev`);
  }

  /** For how many devices of a type there is room. */
  available({ spec }: MdevType): number {
    let sum = 0;
    for (const queue of this.#queues) if (this.#types[queue.wq.mode] === spec) sum += queue.room;
    return sum;
  }
}
