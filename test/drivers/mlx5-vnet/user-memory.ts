import { AddressSpace, type DmaMemory, type Mmio, type Task } from '../../../core/index.js';
import * as NIC from '../../../hw/regs/nic.js';

const { CQE, CQE_INITIAL, CQ_ARM_INITIAL, CQ_RECORD, DATA, UAR_CQ_ARM, UAR_SQ_DOORBELLS, WQE, WQ_RECORD } = NIC;
export const PAGE = 4096;

/** The memory of a process or of a guest: pages of its own, and a task in it. */
export class UserMemory implements Disposable {
  readonly space: AddressSpace;
  readonly task: Task;
  readonly #memory: DmaMemory;
  readonly #pages: number[] = [];
  #from: number | undefined;

  /** @param from where its pages are from, when they are not allocated: memory that nobody else uses */
  constructor(memory: DmaMemory, name: string, from?: number) {
    this.#memory = memory;
    this.#from = from;
    this.space = new AddressSpace(name);
    this.task = { name, mm: this.space };
  }

  /** Pages at `address`, wherever they are. */
  map(address: number, sizeBytes: number): number {
    for (let at = 0; at < sizeBytes; at += PAGE) {
      this.space.map(address + at, this.#take(), PAGE);
    }
    return address;
  }

  #take(): number {
    if (this.#from !== undefined) return (this.#from += PAGE);
    const page = this.#memory.alloc(PAGE, { mask: 2 ** 40 - 1 });
    this.#pages.push(page);
    return page;
  }

  read(address: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.#each(address, length, (paddr, at, part) => this.#memory.read(paddr, bytes, at, part));
    return bytes;
  }
  write(address: number, bytes: Uint8Array): void {
    this.#each(address, bytes.length, (paddr, at, part) => this.#memory.write(paddr, bytes, at, part));
  }
  read32(address: number): number {
    return new DataView(this.read(address, 4).buffer).getUint32(0, true);
  }
  write32(address: number, value: number): void {
    const bytes = new DataView(new ArrayBuffer(4));
    bytes.setUint32(0, value >>> 0, true);
    this.write(address, new Uint8Array(bytes.buffer));
  }

  #each(address: number, length: number, call: (paddr: number, at: number, part: number) => void): void {
    for (let at = 0; at < length;) {
      const part = Math.min(length - at, PAGE - ((address + at) % PAGE));
      call(this.space.physicalOf(address + at)!, at, part);
      at += part;
    }
  }

  [Symbol.dispose](): void {
    for (const page of this.#pages.splice(0)) this.#memory.free(page);
  }
}

/** A completion, as its user reads it. */
export interface Completion {
  readonly opcode: number;
  readonly counter: number;
  readonly bytes: number;
  readonly syndrome: number;
}

/** A completion queue that its user reads himself. */
export class OwnCq {
  number = 0;
  consumer = 0;
  sn = 0;

  constructor(
    readonly memory: UserMemory,
    readonly ring: number,
    readonly record: number,
    readonly logSize: number,
  ) {
    for (let n = 0; n < 1 << logSize; n++) memory.write32(ring + n * CQE.sizeBytes + CQE.wqeCounter, CQE_INITIAL << 24);
    memory.write32(record + CQ_RECORD.consumer, 0);
    memory.write32(record + CQ_RECORD.arm, CQ_ARM_INITIAL);
  }

  /** Takes what is there. */
  take(): Completion[] {
    const all: Completion[] = [];
    for (;;) {
      const at = this.ring + (this.consumer & ((1 << this.logSize) - 1)) * CQE.sizeBytes;
      const own = this.memory.read32(at + CQE.wqeCounter) >>> 24;
      if (((own ^ (this.consumer >>> this.logSize)) & 1) !== 0) break;
      this.consumer++;
      all.push({
        opcode: own >>> 4,
        counter: this.memory.read32(at + CQE.wqeCounter) & 0xffff,
        bytes: this.memory.read32(at + CQE.byteCount),
        syndrome: this.memory.read(at + CQE.syndrome, 1)[0]!,
      });
    }
    this.memory.write32(this.record + CQ_RECORD.consumer, this.consumer);
    return all;
  }

  /** @param sn how many events there were */
  arm(doorbells: Mmio, sn = this.sn): void {
    doorbells.write64(UAR_CQ_ARM, (((sn & 3) << 28) | (this.consumer & 0xff_ffff)) >>> 0, this.number);
  }
}

/** A work queue that its user fills himself. */
export class OwnWq {
  number = 0;
  producer = 0;

  constructor(
    readonly memory: UserMemory,
    readonly ring: number,
    readonly record: number,
    readonly logSize: number,
  ) {
    memory.write32(record + WQ_RECORD.receive, 0);
    memory.write32(record + WQ_RECORD.send, 0);
  }

  get #slot(): number {
    return this.producer & ((1 << this.logSize) - 1);
  }

  /** Gives a buffer for a packet that comes. */
  receive(address: number, bytes: number): void {
    this.#segment(this.ring + this.#slot * DATA.sizeBytes, address, bytes);
    this.producer++;
    this.memory.write32(this.record + WQ_RECORD.receive, this.producer);
  }

  /** Gives a packet to send; {@link doorbell} says so. */
  send(address: number, bytes: number): void {
    const at = this.ring + this.#slot * WQE.unitBytes;
    this.memory.write32(at + WQE.indexOpcode, ((this.producer & 0xffff) << 8) | NIC.WQE_OPCODES.send);
    this.memory.write32(at + WQE.queueSegments, (this.number << 8) | 3);
    this.memory.write32(at + WQE.flags, NIC.WQE_CQ_UPDATE);
    this.#segment(at + WQE.data, address, bytes);
    this.producer++;
    this.memory.write32(this.record + WQ_RECORD.send, this.producer);
  }

  /** @param number of another's queue, where one tries that */
  doorbell(doorbells: Mmio, number = this.number): void {
    doorbells.write64(UAR_SQ_DOORBELLS[0], 0, number << 8);
  }

  #segment(at: number, address: number, bytes: number): void {
    this.memory.write32(at + DATA.byteCount, bytes);
    this.memory.write32(at + DATA.key, 0);
    this.memory.write32(at + DATA.addressLo, address);
    this.memory.write32(at + DATA.addressHi, address / 2 ** 32);
  }
}
