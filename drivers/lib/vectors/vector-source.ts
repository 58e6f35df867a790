import type { CpuMask, MsiDomain, PciDevice } from '../../../core/index.js';
import type { MessageCookie, MessageMemory } from './message-memory.js';

/** What a device is told of a vector: the entry of its MSI-X table, or where in memory the message is. */
export type VectorTarget =
  | { readonly kind: 'msix'; readonly index: number }
  | { readonly kind: 'memory'; readonly address: number };

/** What is asked of a source. */
export interface SlotRequest {
  /** Of vectors that have a place: 0 up. A source whose vectors have fixed places takes that one. */
  readonly index?: number | undefined;
  /** Where it may be delivered; default anywhere. */
  readonly affinity?: CpuMask | undefined;
  /** Where the message is to be, for a source whose messages are in memory; default memory of its own. */
  readonly memory?: MessageCookie['memory'] | undefined;
}

/** An interrupt that a source has given: nobody else's until `free`. */
export interface SourceSlot {
  /** In its source: a software handle. */
  readonly index: number;
  /** The number to request. */
  readonly virq: number;
  readonly target: VectorTarget;
  /** Calls it whenever the device has to look at the message again; only messages in memory need that. */
  onChanged?(kick: () => void): Disposable;
  /** Gives it back. Nobody has requested it any more. */
  free(): void;
}

/** Where the vectors of a device come from. What they are is nobody's business but of who tells the device. */
export interface VectorSource {
  readonly name: string;
  /** How many there can be; `Infinity` where memory alone limits them. */
  readonly capacity: number;
  /** How many more can be had. */
  readonly available: number;
  /** Vectors 0 up to this, without it, are there from the start: who asks for their numbers gets them, whatever the order; default 0. */
  readonly fixed?: number;
  /**
   * @returns undefined when all are taken
   * @throws {Errno} ENOSPC when the system has no interrupt left; ENOMEM
   */
  alloc(request: SlotRequest): SourceSlot | undefined;
}

/**
 * The MSI-X table of a device. Its first vector is there from the start; others are allocated one by one where the platform can, else all
 * of them at the start.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/pci_irq.c mlx5_irq_alloc
 */
export class MsixSource implements VectorSource {
  readonly name = 'msix';
  readonly isDynamic: boolean;
  readonly fixed: number;
  readonly #dev: PciDevice;

  /**
   * Enables MSI-X, until unbind.
   * @param most vectors to have at the start where they cannot be had one by one
   * @throws {Errno} as `PciDevice.enableMsix`
   */
  constructor(dev: PciDevice, most: number) {
    this.#dev = dev;
    this.isDynamic = dev.msixCanAllocDyn;
    this.fixed = dev.enableMsix({ min: 1, max: this.isDynamic ? 1 : most }).count;
  }

  get capacity(): number {
    return this.isDynamic ? this.#dev.msixVectorCount : this.fixed;
  }

  get available(): number {
    return this.isDynamic ? this.#dev.msixVectorsFree : 0;
  }

  alloc({ index = this.fixed, affinity }: SlotRequest): SourceSlot | undefined {
    const dev = this.#dev;
    if (index < this.fixed) {
      return { index, virq: dev.irqVector(index), target: { kind: 'msix', index }, free: () => {} };
    }
    if (this.available === 0) return undefined;
    const map = dev.msixAllocAt(undefined, affinity);
    return { index: map.index, virq: map.virq, target: { kind: 'msix', index: map.index }, free: () => dev.msixFree(map) };
  }
}

/** Messages in memory that the device reads (IMS). */
export class MessageSource implements VectorSource {
  readonly name = 'ims';
  readonly #domain: MsiDomain<MessageCookie>;
  readonly #store: MessageMemory;

  /** @param domain made of the store: `ims.createDomain(dev, store)` */
  constructor(domain: MsiDomain<MessageCookie>, store: MessageMemory) {
    this.#domain = domain;
    this.#store = store;
  }

  get capacity(): number {
    return this.#store.slots === 0 ? Infinity : this.#store.slots;
  }

  get available(): number {
    return this.capacity - this.#domain.count;
  }

  alloc({ affinity, memory }: SlotRequest): SourceSlot | undefined {
    if (this.available <= 0) return undefined;
    const cookie: MessageCookie = { memory, kicks: new Set() };
    const map = this.#domain.alloc({ cookie, affinity });
    return {
      index: map.index,
      virq: map.virq,
      target: { kind: 'memory', address: this.#store.addressOf(map.index) },
      onChanged: (kick) => {
        cookie.kicks.add(kick);
        return { [Symbol.dispose]: () => void cookie.kicks.delete(kick) };
      },
      free: () => this.#domain.free(map),
    };
  }
}
