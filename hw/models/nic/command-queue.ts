import type { ClockTimer } from '../../../core/hal/index.js';
import { NO_ADDRESS } from '../../endpoint/index.js';
import { EQE, EVENTS } from '../../regs/nic.js';
import { CMD, CMD_OWNED_BY_HARDWARE, CMD_SLOTS_MAX, CMD_TYPE_PCI, DELIVERY, HEADER, STATUS } from '../../regs/nic-commands.js';
import { fromBigEndian, getWord, setWord, toBigEndian } from '../../regs/nic-words.js';
import { execute } from './commands/index.js';
import type { InjectedFault } from './faults.js';
import type { NicFunction } from './function.js';

const PAGE_MASK = 0xffff_f000;
const WORDS = CMD.sizeBytes / 4;
const INLINE_WORDS = CMD.inlineBytes / 4;
const STATUS_AT = CMD.sizeBytes - 1;
/** The interface works in this mode; the others stop it. */
const MODE_FULL = 0;

/** A place of the command queue, and the command that is in it. */
class Slot {
  readonly bytes = new Uint8Array(CMD.sizeBytes);
  readonly descriptor = new Uint32Array(WORDS);
  readonly timer: ClockTimer;
  address = 0;
  isBusy = false;
  /** There was an event queue for it when it came. */
  hasEvent = false;
  fault: InjectedFault | undefined = undefined;

  constructor(queue: CommandQueue, n: number) {
    this.timer = queue.fn.device.clock.timer(() => queue.finish(n));
  }
}

/** The command interface of a function. */
export class CommandQueue {
  readonly fn: NicFunction;
  /** Words of `CMDQ_ADDR_HI` and `CMDQ_ADDR_LO`, as they were written. */
  addressHi = 0;
  addressLo = 0;
  /** 9:8 of `CMDQ_ADDR_LO`. */
  mode = MODE_FULL;
  readonly #slots: (Slot | undefined)[] = [];
  /** The slots that an event tells of. */
  #done = 0;
  readonly #fillEvent = (eqe: DataView): void => eqe.setUint32(EQE.slots, this.#done, true);
  /** When the commands that have come will have been done, but for those of the last slot. */
  #busyUntilUs = 0;
  /** Changes with every reset: what was begun before is not gone on with. */
  epoch = 0;

  constructor(fn: NicFunction) {
    this.fn = fn;
  }

  /** Commands that are being done are forgotten. */
  reset(): void {
    this.#forget();
    this.addressHi = this.addressLo = 0;
    this.mode = MODE_FULL;
  }

  /** Another queue begins: commands of the one before are forgotten. */
  writeAddressLo(word: number): void {
    this.#forget();
    this.addressLo = (word & PAGE_MASK) >>> 0;
    this.mode = (word >>> 8) & 3;
  }

  #forget(): void {
    this.epoch++;
    for (const slot of this.#slots) slot?.timer.cancel();
    this.#slots.length = 0;
    this.#busyUntilUs = 0;
  }

  /** Software has handed over descriptors: a bit for each slot. */
  doorbell(vector: number): void {
    const { fn } = this;
    if (!fn.isActive || !fn.isReady || fn.health.isStalled || this.mode !== MODE_FULL) {
      fn.device.context.log.guestError(`function ${fn.id}: command while its interface is not working`);
      return;
    }
    const count = 2 ** fn.device.settings.logSlots;
    const epoch = this.epoch;
    for (let n = 0; n < Math.min(count, CMD_SLOTS_MAX) && epoch === this.epoch; n++) {
      if ((vector & (1 << n)) !== 0) this.#accept(n, n === count - 1);
    }
  }

  #accept(n: number, isLast: boolean): void {
    const { fn } = this;
    const { device } = fn;
    const slot = (this.#slots[n] ??= new Slot(this, n));
    if (slot.isBusy) {
      device.context.log.guestError(`function ${fn.id}: slot ${n} of the commands is not software's`);
      return;
    }
    slot.isBusy = true;
    const base = device.dma.address(this.addressLo, this.addressHi);
    slot.address = base + n * 2 ** device.settings.logStride;
    const epoch = this.epoch;
    const isRead = base !== NO_ADDRESS && device.dma.read(slot.address, slot.bytes, 0, CMD.sizeBytes);
    if (epoch !== this.epoch) return;
    fromBigEndian(slot.bytes, 0, slot.descriptor, 0, WORDS);
    if (!isRead || (getWord(slot.descriptor, CMD.status) & CMD_OWNED_BY_HARDWARE) === 0) {
      slot.isBusy = false;
      device.context.log.guestError(`function ${fn.id}: slot ${n} of the commands has none`);
      return;
    }
    const opcode = getWord(slot.descriptor, HEADER.opcode, CMD.in);
    slot.hasEvent = fn.subscribes(EVENTS.command);
    slot.fault = device.faults.take(fn.id, opcode);
    if (slot.fault?.drop === true) return;
    const now = device.clock.now();
    const done = (isLast ? now : Math.max(now, this.#busyUntilUs)) + device.settings.commandUs;
    if (!isLast) this.#busyUntilUs = done;
    slot.timer.start(done - now + (slot.fault?.delayUs ?? 0));
  }

  /** Executes the command of a slot, and answers. @internal */
  finish(n: number): void {
    const { fn } = this;
    const slot = this.#slots[n];
    if (slot === undefined || fn.health.isStalled) return;
    const epoch = this.epoch;
    const { mailboxes, dma } = fn.device;
    const delivery = this.#execute(slot);
    if (epoch !== this.epoch) return;
    if (delivery === DELIVERY.ok) {
      mailboxes.writeOutput(this);
      if (epoch !== this.epoch) return;
      toBigEndian(mailboxes.output, 0, slot.bytes, CMD.out, INLINE_WORDS);
      dma.write(slot.address + CMD.out, slot.bytes, CMD.out, CMD.inlineBytes);
      if (epoch !== this.epoch) return;
    }
    // Software may use the slot again while it hears of this.
    slot.isBusy = false;
    const { hasEvent } = slot;
    slot.bytes[STATUS_AT] = delivery << 1;
    dma.write(slot.address + STATUS_AT, slot.bytes, STATUS_AT, 1);
    if (!hasEvent) return;
    this.#done = 2 ** n;
    fn.event(EVENTS.command, 0, this.#fillEvent);
  }

  /** @returns one of `DELIVERY` */
  #execute({ descriptor, fault }: Slot): number {
    if (fault !== undefined && fault.delivery !== DELIVERY.ok) return fault.delivery;
    if (getWord(descriptor, CMD.type) !== CMD_TYPE_PCI) return DELIVERY.type;
    if (getWord(descriptor, CMD.token) === 0) return DELIVERY.token;
    const { mailboxes } = this.fn.device;
    const epoch = this.epoch;
    const delivery = mailboxes.open(this, descriptor);
    if (delivery !== DELIVERY.ok || epoch !== this.epoch) return delivery;
    const { input, output } = mailboxes;
    const isFaulty = fault !== undefined && fault.status !== STATUS.ok;
    const status = isFaulty ? fault.status : execute(this.fn, input, output);
    if (status !== STATUS.ok) {
      output.fill(0);
      setWord(output, HEADER.syndrome, (getWord(input, HEADER.opcode) << 8) | status);
    }
    setWord(output, HEADER.status, status);
    return DELIVERY.ok;
  }
}
