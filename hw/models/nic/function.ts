import { FIRST_SF_UAR, FIRST_UAR, BAR_BYTES, EVENT_TYPES, PAGE_BYTES } from '../../regs/nic.js';
import type { DmaPort } from '../../endpoint/index.js';
import { CommandQueue } from './command-queue.js';
import type { CompletionQueue } from './completion-queue.js';
import type { EventQueue } from './event-queue.js';
import { FUNCTION_STATES } from './function-state.js';
import { Health } from './health.js';
import type { Nic } from './nic.js';
import { NumberSpace } from './number-space.js';
import { type FirmwarePages, LOG_MAX, MAX_EQS, SF_WINDOW_BYTES } from './options.js';
import { PageStore } from './page-store.js';
import type { ReceiveQueue } from './receive-queue.js';
import type { SendQueue } from './send-queue.js';
import type { Rqt, Tir } from './tir.js';
import type { Vport } from './vport.js';

const NO_EQ = 0xff;

/** The number of the physical function. */
const PF = 0;

/**
 * A function: the physical one, number 0, or a sub-function. Each has its own command interface, its own objects with their own
 * numbers, and its own pages of registers; memory and interrupts are those of the physical one.
 */
export class NicFunction {
  readonly device: Nic;
  /** 0, or as `SF_BASE_ID` says; also the number of its port. */
  readonly id: number;
  readonly health: Health;
  readonly commands: CommandQueue;
  readonly pages: PageStore;
  /** Pages that its firmware wants. */
  readonly wants: FirmwarePages;
  /** `FUNCTION_STATES`. */
  state: number = FUNCTION_STATES.disabled;
  /** When its firmware has started. */
  readyAtUs = 0;
  /** `ISSI.current`. */
  issi = 0;
  /** What the driver calls itself. */
  driverVersion = '';
  /** Event queues that the manager allows; 0: as many as there can be. */
  maxEqs = 0;
  /** RDMA over Ethernet: whether the manager lets the function have it, and whether the function wants it. */
  mayRoce = true;
  hasRoce = true;
  /** Binary logarithm of the unicast addresses that its port may have. */
  logMacs: number = LOG_MAX.macs;
  /** Doorbells for what belongs to other pages, or to nobody. */
  uarViolations = 0;

  readonly eqs: (EventQueue | undefined)[] = [];
  readonly cqs: (CompletionQueue | undefined)[] = [];
  readonly sqs: (SendQueue | undefined)[] = [];
  readonly rqs: (ReceiveQueue | undefined)[] = [];
  readonly tirs: (Tir | undefined)[] = [];
  readonly rqts: (Rqt | undefined)[] = [];
  vport: Vport | undefined = undefined;

  readonly eqNumbers = new NumberSpace(0, MAX_EQS - 1);
  readonly cqNumbers = new NumberSpace(1, 2 ** LOG_MAX.cq - 1);
  readonly sqNumbers = new NumberSpace(1, 2 ** LOG_MAX.sq - 1);
  readonly rqNumbers = new NumberSpace(1, 2 ** LOG_MAX.rq - 1);
  readonly tirNumbers = new NumberSpace(1, 2 ** LOG_MAX.tir - 1);
  readonly rqtNumbers = new NumberSpace(1, 2 ** LOG_MAX.tir - 1);
  readonly pdNumbers = new NumberSpace(1, 0xffff);
  readonly uarNumbers: NumberSpace;
  /** By type: the event queue that takes it. */
  readonly #subscribers = new Uint8Array(EVENT_TYPES).fill(NO_EQ);

  constructor(device: Nic, id: number) {
    this.device = device;
    this.id = id;
    this.health = new Health(device);
    this.pages = new PageStore(this);
    this.commands = new CommandQueue(this);
    this.wants = this.isManager ? device.settings.pages : device.settings.sfPages;
    this.uarNumbers = this.isManager
      ? new NumberSpace(FIRST_UAR, BAR_BYTES / PAGE_BYTES - 1)
      : new NumberSpace(FIRST_SF_UAR, SF_WINDOW_BYTES / PAGE_BYTES - 1);
  }

  /** The physical function: it decides about the others, and about the switch. */
  get isManager(): boolean {
    return this.id === PF;
  }

  /** Its way to memory: that of the physical function, and of a queue's PASID where one is named. */
  get dma(): DmaPort {
    return this.device.dma;
  }

  /** Whether it may be used at all: a sub-function, by grace of the manager. */
  get isActive(): boolean {
    return this.isManager || this.device.vhca.isUsable(this.id);
  }

  /** Whether the firmware has started. */
  get isReady(): boolean {
    return this.device.clock.now() >= this.readyAtUs;
  }

  /** An event of the function itself, for the queue that has asked for its type; without one it is lost. */
  event(type: number, subType = 0, fill?: (eqe: DataView) => void): void {
    this.eqs[this.#subscribers[type]!]?.post(type, subType, fill);
  }

  /** Whether some event queue takes this type. */
  subscribes(type: number): boolean {
    return this.#subscribers[type] !== NO_EQ;
  }

  /** The types of a queue are its own from now on; those of others stay with them. */
  subscribe(eq: EventQueue): void {
    for (let type = 1; type < EVENT_TYPES; type++) {
      const isWanted = (eq.setup.events[type >>> 5]! >>> (type & 31)) & 1;
      if (isWanted === 1 && this.#subscribers[type] === NO_EQ) this.#subscribers[type] = eq.number;
    }
  }

  removeEq(eq: EventQueue): void {
    eq.destroy();
    for (let type = 0; type < EVENT_TYPES; type++) {
      if (this.#subscribers[type] === eq.number) this.#subscribers[type] = NO_EQ;
    }
    this.eqs[eq.number] = undefined;
    this.eqNumbers.free(eq.number);
  }

  /** All its objects are gone; the command interface goes on. */
  teardown(): void {
    this.device.engine.stop(this);
    for (const eq of this.eqs) if (eq !== undefined) this.removeEq(eq);
    for (const table of [this.eqs, this.cqs, this.sqs, this.rqs, this.tirs, this.rqts]) table.length = 0;
    for (const numbers of [this.cqNumbers, this.sqNumbers, this.rqNumbers, this.tirNumbers, this.rqtNumbers]) numbers.reset();
    this.pdNumbers.reset();
    this.uarNumbers.reset();
    this.state = Math.min(this.state, FUNCTION_STATES.enabled);
  }

  /** As before it was enabled: its memory is forgotten. */
  disable(): void {
    this.teardown();
    this.pages.reset();
    this.state = FUNCTION_STATES.disabled;
    this.issi = 0;
    this.driverVersion = '';
    this.hasRoce = this.mayRoce;
    this.logMacs = LOG_MAX.macs;
  }

  /** What the manager has set with SET_HCA_CAP is as at the start. */
  resetSettings(): void {
    this.maxEqs = 0;
    this.mayRoce = true;
    this.hasRoce = true;
  }

  /** As when it was switched on: the firmware starts, and takes `us` for it. */
  reset(us: number): void {
    this.disable();
    this.commands.reset();
    this.health.reset();
    this.uarViolations = 0;
    this.readyAtUs = this.device.clock.now() + us;
  }
}
