import { EQE, SYNDROMES } from '../../regs/nic.js';
import { EQ_STATES, EQ_STATUS } from '../../regs/nic-contexts.js';
import type { NicFunction } from './function.js';
import { QueueMessage } from './queue-message.js';
import type { Ring } from './ring.js';

const INDEX_MASK = 0xff_ffff;
/** Bytes before the word that has the owner. */
const BODY_BYTES = EQE.owner - 3;

/** How an event queue is made. */
export interface EventQueueSetup {
  readonly uar: number;
  readonly logSize: number;
  readonly ring: Ring;
  /** As CREATE_EQ had it. */
  readonly logPage: number;
  /** Entry of the MSI-X table. */
  readonly vector: number;
  /** Address of its message in memory; `NO_ADDRESS`: it has `vector`. */
  readonly message: number;
  /** A bit for each type of event: eight words. */
  readonly events: Uint32Array;
  readonly isAlwaysArmed: boolean;
}

/**
 * An event queue. Between two arms it sends one interrupt.
 *
 * ```
 *              event: interrupt                     masked message
 *   armed ------------------------> fired          ---------------> held, until it is kicked
 *     ^    arm, nothing has come      |
 *     +-------------------------------+
 *          arm, something has come: interrupt at once
 * ```
 */
export class EventQueue {
  readonly fn: NicFunction;
  readonly number: number;
  readonly setup: EventQueueSetup;
  /** 24 bits each. */
  producer = 0;
  consumer = 0;
  /** `EQ_STATES`. */
  state: number;
  /** `EQ_STATUS`; with any other than `ok` it takes no events any more. */
  status: number = EQ_STATUS.ok;
  /** Interrupts that are to be lost: a door for tests. */
  drops = 0;
  /** Completion queues that report here: with any, it cannot be destroyed. */
  cqs = 0;
  readonly #size: number;
  readonly #message: QueueMessage;
  #isGone = false;

  constructor(fn: NicFunction, number: number, setup: EventQueueSetup) {
    this.fn = fn;
    this.number = number;
    this.setup = setup;
    this.state = setup.isAlwaysArmed ? EQ_STATES.alwaysArmed : EQ_STATES.fired;
    this.#size = 2 ** setup.logSize;
    this.#message = new QueueMessage(fn, setup.vector, setup.message);
  }

  /** It takes and sends nothing any more. */
  destroy(): void {
    this.#isGone = true;
    this.#message.destroy();
  }

  /** An event of a type. @param fill writes its data, little-endian; keep it, where events are many */
  post(type: number, subType = 0, fill?: (eqe: DataView) => void): void {
    const { eqe, eqeView } = this.fn.device;
    eqe.fill(0);
    eqe[EQE.type] = type;
    eqe[EQE.subType] = subType;
    fill?.(eqeView);
    this.postRaw();
  }

  /** That something is in a completion queue. */
  postCompletion(cqn: number): void {
    const { eqe } = this.fn.device;
    eqe.fill(0);
    eqe[EQE.cqn] = cqn;
    eqe[EQE.cqn + 1] = cqn >>> 8;
    eqe[EQE.cqn + 2] = cqn >>> 16;
    this.postRaw();
  }

  /** The event that the device has in `eqe`: its owner is written last. */
  postRaw(): void {
    if (this.#isGone || this.status !== EQ_STATUS.ok) return;
    const { device } = this.fn;
    const { setup, producer } = this;
    if (((producer - this.consumer) & INDEX_MASK) >= this.#size) {
      this.#fail(EQ_STATUS.overrun, SYNDROMES.eqOverrun);
      return;
    }
    const address = setup.ring.address((producer & (this.#size - 1)) * EQE.sizeBytes);
    const owner = (producer >>> setup.logSize) & 1;
    const signature = device.eqe[EQE.signature]!;
    // What these writes bring with them finds the entry taken.
    this.producer = (producer + 1) & INDEX_MASK;
    const hasBody = device.dma.write(address, device.eqe, 0, BODY_BYTES);
    if (this.#isGone) return;
    const isWritten = hasBody && device.dma.write32(address + BODY_BYTES, (owner << 24) | (signature << 16));
    if (this.#isGone) return;
    if (!isWritten) {
      this.#fail(EQ_STATUS.writeFailed, SYNDROMES.eqError);
    } else if (this.state === EQ_STATES.armed) {
      this.state = EQ_STATES.fired;
      this.#fire();
    } else if (this.state === EQ_STATES.alwaysArmed) {
      this.#fire();
    }
  }

  /** Software tells how far it is. @param consumer 24 bits */
  update(consumer: number): void {
    this.consumer = consumer & INDEX_MASK;
  }

  /** As {@link update}, and the next event is to send an interrupt: at once when it is there. */
  arm(consumer: number): void {
    this.consumer = consumer & INDEX_MASK;
    if (this.state === EQ_STATES.alwaysArmed) return;
    this.state = EQ_STATES.armed;
    if (this.producer === this.consumer) return;
    this.state = EQ_STATES.fired;
    this.#fire();
  }

  /** The message was changed or unmasked. */
  kick(): void {
    if (this.#message.release() && this.producer !== this.consumer) this.#fire();
  }

  #fail(status: number, syndrome: number): void {
    this.status = status;
    this.fn.health.report(syndrome, this.number);
  }

  /** Sends its message, which may bring anything with it: the last thing that a call does. */
  #fire(): void {
    if (this.drops > 0) this.drops--;
    else this.#message.send();
  }
}
