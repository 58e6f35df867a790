import { type ClockEvent, type ClockTimer, type VirtualClock, isInterruptAddress } from '../../core/hal/index.js';
import { Random, type Signal } from '../../core/lib/index.js';
import type { ModelClock, ModelLog } from '../endpoint/index.js';
import { type DmaFabric, DmaPath, type Requester } from './dma-path.js';
import type { SimInterrupts } from './interrupts.js';

/** What all devices of a machine share. */
export interface Fabric extends DmaFabric {
  readonly clock: VirtualClock;
  readonly seed: number;
  readonly interrupts: SimInterrupts;
  /** A device's line changed: name, whether the device asserts it. */
  readonly lines: Signal<[string, boolean]>;
}

/**
 * One device's connections to its machine: memory, clock, log and the way of its interrupts. Once `cut`, nothing it does
 * reaches anything and its clock events do not run.
 */
export class Connection implements ModelClock, ModelLog {
  readonly random: Random;
  readonly dma: DmaPath;
  readonly #fabric: Fabric;
  readonly #requester: Requester;
  readonly #interrupts: SimInterrupts;
  readonly #posts: SimInterrupts['posts'];
  #alive = true;
  /** It asserts its line. */
  #isAsserting = false;

  constructor(
    readonly name: string,
    fabric: Fabric,
    requester: Requester,
  ) {
    this.#fabric = fabric;
    this.#requester = requester;
    this.#interrupts = fabric.interrupts;
    this.#posts = fabric.interrupts.posts;
    this.dma = new DmaPath(name, fabric, requester);
    this.random = new Random(mix(fabric.seed, name));
  }

  /** The device is gone. */
  cut(): void {
    this.#alive = false;
    this.dma.cut();
  }

  /** Runs the model; what it throws is recorded. */
  guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.failed(error);
    }
  }

  failed(error: unknown): void {
    this.#fabric.journal.modelError(this.name, error);
  }

  now(): number {
    return this.#fabric.clock.now();
  }

  after(us: number, fn: () => void): ClockEvent {
    return this.#fabric.clock.after(us, () => {
      if (this.#alive) this.guard(fn);
    });
  }

  timer(fn: () => void): ClockTimer {
    return this.#fabric.clock.timer(() => {
      if (this.#alive) this.guard(fn);
    });
  }

  info(text: string): void {
    this.#fabric.journal.log.write('info', this.name, text);
  }

  guestError(text: string): void {
    this.#fabric.journal.guestError(this.name, text);
  }

  /** Sends an interrupt message: a memory write, which interrupt hardware takes when it is addressed to it. */
  message(addressLo: number, addressHi: number, data: number): boolean {
    const { dma } = this;
    if (!isInterruptAddress(addressLo, addressHi)) return dma.write32(dma.address(addressLo, addressHi), data);
    const interrupts = this.#interrupts;
    const { requesterId } = dma;
    if (requesterId < 0) {
      dma.refuse('message', addressLo >>> 0, 4);
      return false;
    }
    if (!interrupts.takesMessages) {
      this.#fabric.journal.dmaFault(this.name, 'message', addressLo >>> 0, 4, 'unmapped');
      return false;
    }
    if (this.#posts.active) this.#posts.emit(this.name, requesterId, addressLo >>> 0, data >>> 0);
    // Signed words are small integers to the engine, which keeps them off the heap.
    interrupts.message(requesterId, addressLo | 0, data | 0);
    return true;
  }

  /** The device asserts its line, or does no longer. */
  intx(asserted: boolean): void {
    const isAsserting = asserted && this.#alive;
    if (isAsserting === this.#isAsserting) return;
    this.#isAsserting = isAsserting;
    this.#fabric.lines.emit(this.name, isAsserting);
    if (this.#requester.line !== undefined) this.#interrupts.lines.drive(this.#requester.line, isAsserting);
  }
}

/** A seed of its own for each device, so that one more device does not change the others' sequences (FNV-1a). */
function mix(seed: number, name: string): number {
  let hash = 0x811c_9dc5 ^ seed;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x0100_0193);
  return hash;
}
