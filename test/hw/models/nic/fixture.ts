import { PCI, VirtualClock, type Window } from '../../../../core/hal/index.js';
import { Random } from '../../../../core/lib/index.js';
import { Endpoint, type Model, type PciModelContext, type ResetKind } from '../../../../hw/endpoint/index.js';
import { type Nic, type NicOptions, nic } from '../../../../hw/models/nic/index.js';
import * as NIC from '../../../../hw/regs/nic.js';
import * as CMDS from '../../../../hw/regs/nic-commands.js';
import * as CTX from '../../../../hw/regs/nic-contexts.js';
import { fromBigEndian, getWord, setAddress, setWord, toBigEndian } from '../../../../hw/regs/nic-words.js';
import { HostEq } from './host-eq.js';
import { Memory, PAGE } from './memory.js';

export { HostEq } from './host-eq.js';

const { CMD, DELIVERY, HEADER, MAILBOX, MANAGE_PAGES, OPCODES, PAGES } = CMDS;
const INTERRUPTS = 0xfee0_0000;
const MSIX_ENABLE = 0x8000;

/** An adapter on its bus interface, with memory, and all entries of its MSI-X table unmasked. */
export class Host {
  readonly clock = new VirtualClock({ mode: 'manual' });
  readonly memory = new Memory();
  readonly guestErrors: string[] = [];
  /** MSI-X messages, by entry. */
  readonly irqs: number[] = [];
  /** Other messages: address and data. */
  readonly messages: [address: number, data: number][] = [];
  readonly endpoint: Endpoint;
  readonly device: Nic;
  readonly bar0: Window;
  /** Windows of sub-functions; that of BAR 0 where there are none. */
  readonly bar2: Window;
  /** Where the MSI-X table is, and where it begins there. */
  readonly #table: Window;
  readonly #tableOffset: number;

  constructor(options: NicOptions = {}) {
    let made: Nic | undefined = undefined;
    const kind = nic({ ...options, onCreate: (device) => (made = device) });
    const reset = (why: ResetKind): void => model.reset(why);
    this.endpoint = new Endpoint(kind.config, {
      intx: () => {},
      message: (lo, hi, data) => {
        this.memory.during();
        if (lo >>> 0 === INTERRUPTS && hi === 0) this.irqs.push(data);
        else this.messages.push([(hi >>> 0) * 2 ** 32 + (lo >>> 0), data >>> 0]);
        return true;
      },
      decodeChanged: () => {},
      reset,
    });
    const context: PciModelContext = {
      name: 'nic',
      clock: this.clock,
      dma: this.memory,
      irq: this.endpoint.irq,
      random: new Random(1),
      log: { info: () => {}, guestError: (text) => this.guestErrors.push(text) },
      endpoint: this.endpoint,
    };
    const model: Model = kind.create(context);
    this.device = made!;
    this.endpoint.attach(model.regions);
    this.enable();
    const ranges = this.endpoint.decodedRanges();
    this.bar0 = ranges.find(({ bar }) => bar === NIC.REGISTERS_BAR)!.window;
    this.bar2 = ranges.find(({ bar }) => bar === NIC.WINDOWS_BAR)?.window ?? this.bar0;
    const far = ranges.find(({ bar }) => bar === NIC.MSIX_BAR)?.window;
    this.#table = far ?? this.bar0;
    this.#tableOffset = far === undefined ? NIC.MSIX_TABLE_OFFSET : NIC.MSIX_FAR.table;
    this.unmask();
  }

  /** As software does at probe, and after a reset: bus master, MSI-X. */
  enable(): void {
    const { space } = this.endpoint;
    space.write16(PCI.COMMAND.offset, 0x0006);
    space.write16(this.endpoint.capability(PCI.CAP_MSIX) + PCI.MSIX_CONTROL.offset, MSIX_ENABLE);
  }

  /** Entry `n` sends `n`. */
  unmask(): void {
    for (let n = 0; n < this.device.settings.msix; n++) {
      this.#table.write32(this.#tableOffset + 16 * n, INTERRUPTS);
      this.#table.write32(this.#tableOffset + 16 * n + 8, n);
      this.mask(n, false);
    }
  }
  mask(n: number, isMasked: boolean): void {
    this.#table.write32(this.#tableOffset + 16 * n + 12, isMasked ? 1 : 0);
  }

  elapse(us: number): void {
    this.clock.elapse(us);
  }

  /** The driver of a function; that of the physical one unless told otherwise. */
  driver(id = 0): FunctionDriver {
    return new FunctionDriver(this, id);
  }

  /** What has been sent since it was last asked: entries of the MSI-X table. */
  takeIrqs(): number[] {
    return this.irqs.splice(0);
  }
  takeMessages(): [address: number, data: number][] {
    return this.messages.splice(0);
  }
}

/** What a command has come to. */
export interface Answer {
  /** `DELIVERY`; -1: none has come. */
  readonly delivery: number;
  /** `STATUS`; -1: none has come. */
  readonly status: number;
  readonly syndrome: number;
  readonly output: Uint32Array;
}

/** What a command needs beside its opcode. */
export interface Input {
  readonly opMod?: number;
  readonly inBytes?: number;
  readonly outBytes?: number;
  /** Fills in the words of the input. */
  readonly fill?: (input: Uint32Array) => void;
  /** Slot of the command queue; default 0. */
  readonly slot?: number;
}

/** The words of a command that is under way. */
export class Pending {
  constructor(
    readonly driver: FunctionDriver,
    readonly descriptor: number,
    readonly outBytes: number,
    readonly outMailboxes: readonly number[],
  ) {}

  get isDone(): boolean {
    return (this.#bytes[this.descriptor + 0x3f]! & CMDS.CMD_OWNED_BY_HARDWARE) === 0;
  }

  get answer(): Answer {
    if (!this.isDone) return { delivery: -1, status: -1, syndrome: 0, output: new Uint32Array(0) };
    const output = new Uint32Array(this.outBytes / 4);
    fromBigEndian(this.#bytes, this.descriptor + CMD.out, output, 0, Math.min(4, output.length));
    this.outMailboxes.forEach((address, i) => {
      const at = 4 + 128 * i;
      fromBigEndian(this.#bytes, address, output, at, Math.min(128, output.length - at));
    });
    const delivery = this.#bytes[this.descriptor + 0x3f]! >>> 1;
    return { delivery, status: getWord(output, HEADER.status), syndrome: getWord(output, HEADER.syndrome), output };
  }

  get #bytes(): Uint8Array {
    return this.driver.host.memory.bytes;
  }
}

/** A driver of one function: its command queue, its pages of memory, its event queues. */
export class FunctionDriver {
  readonly queue: number;
  #token = 0;

  constructor(
    readonly host: Host,
    readonly id: number,
  ) {
    this.queue = host.memory.alloc(PAGE);
    this.setQueue();
  }

  /** Where its registers are. */
  get window(): Window {
    return this.id === 0 ? this.host.bar0 : this.host.bar2;
  }
  get base(): number {
    return this.id === 0 ? 0 : (this.id - NIC.SF_BASE_ID) * 2 ** (NIC.LOG_MIN_SF_SIZE + 12);
  }
  /** A word of the initialisation segment. */
  read(offset: number): number {
    return NIC.swap32(this.window.read32(this.base + offset));
  }
  write(offset: number, word: number): void {
    this.window.write32(this.base + offset, NIC.swap32(word));
  }
  setQueue(): void {
    this.write(NIC.CMDQ_ADDR_HI.offset, Math.floor(this.queue / 2 ** 32));
    this.write(NIC.CMDQ_ADDR_LO.offset, this.queue);
  }

  /** Writes a command into its slot, and rings for it. */
  submit(opcode: number, input: Input = {}): Pending {
    const { slot = 0 } = input;
    const pending = this.prepare(opcode, input);
    this.write(NIC.CMD_DOORBELL.offset, 2 ** slot);
    return pending;
  }

  /** Writes a command into its slot. */
  prepare(opcode: number, { opMod = 0, inBytes = 16, outBytes = 16, fill, slot = 0 }: Input = {}): Pending {
    const { bytes } = this.host.memory;
    const words = new Uint32Array(Math.max(4, inBytes / 4));
    setWord(words, HEADER.opcode, opcode);
    setWord(words, HEADER.opMod, opMod);
    fill?.(words);
    this.#token = (this.#token % 255) + 1;
    const inMailboxes = this.chain(inBytes, this.#token);
    const outMailboxes = this.chain(outBytes, this.#token);
    inMailboxes.forEach((address, i) => {
      const at = 4 + 128 * i;
      toBigEndian(words, at, bytes, address, Math.min(128, words.length - at));
    });
    const descriptor = new Uint32Array(CMD.sizeBytes / 4);
    setWord(descriptor, CMD.type, CMDS.CMD_TYPE_PCI);
    setWord(descriptor, CMD.inBytes, inBytes);
    setAddress(descriptor, CMD.inMailbox, inMailboxes[0] ?? 0);
    descriptor.set(words.subarray(0, 4), CMD.in / 4);
    setAddress(descriptor, CMD.outMailbox, outMailboxes[0] ?? 0);
    setWord(descriptor, CMD.outBytes, outBytes);
    setWord(descriptor, CMD.token, this.#token);
    setWord(descriptor, CMD.status, CMDS.CMD_OWNED_BY_HARDWARE);
    const at = this.queue + slot * CMD.sizeBytes;
    toBigEndian(descriptor, 0, bytes, at, descriptor.length);
    return new Pending(this, at, outBytes, outMailboxes);
  }

  /** Mailboxes for what is beyond the first 16 bytes. */
  chain(sizeBytes: number, token: number): number[] {
    const { memory } = this.host;
    const count = Math.max(0, Math.ceil((sizeBytes - CMD.inlineBytes) / MAILBOX.dataBytes));
    const addresses = Array.from({ length: count }, () => memory.alloc(MAILBOX.sizeBytes, MAILBOX.alignBytes));
    addresses.forEach((address, block) => {
      const tail = new Uint32Array(4);
      setAddress(tail, 0, addresses[block + 1] ?? 0);
      setWord(tail, { ...MAILBOX.block, offset: 8 }, block);
      setWord(tail, { ...MAILBOX.token, offset: 12 }, token);
      toBigEndian(tail, 0, memory.bytes, address + MAILBOX.next, 4);
    });
    return addresses;
  }

  /** Runs a command to its end, and as much time as it takes. */
  exec(opcode: number, input: Input = {}): Answer {
    const pending = this.submit(opcode, input);
    this.host.elapse(1000);
    return pending.answer;
  }

  /** As {@link exec}, for one that must succeed. @returns its output */
  must(opcode: number, input: Input = {}): Uint32Array {
    const { delivery, status, output } = this.exec(opcode, input);
    if (delivery !== DELIVERY.ok || status !== CMDS.STATUS.ok) {
      throw new Error(`command 0x${opcode.toString(16)}: delivery ${delivery}, status ${status}`);
    }
    return output;
  }

  /** A command about an object or a function: the number is at its usual place. */
  about(opcode: number, number: number, input: Input = {}): Answer {
    return this.exec(opcode, { ...input, fill: (words) => (setWord(words, CMDS.OBJECT, number), input.fill?.(words)) });
  }

  /** A command that makes an object. @returns its number */
  alloc(opcode: number, input: Input = {}): number {
    return getWord(this.must(opcode, input), CMDS.OBJECT);
  }

  /** Gives pages. @returns their addresses */
  give(count: number): number[] {
    const pages = Array.from({ length: count }, () => this.host.memory.alloc(PAGE));
    this.must(OPCODES.MANAGE_PAGES, {
      opMod: MANAGE_PAGES.give,
      inBytes: MANAGE_PAGES.pages + 8 * count,
      fill: (words) => {
        setWord(words, MANAGE_PAGES.count, count);
        pages.forEach((address, i) => setAddress(words, MANAGE_PAGES.pages + 8 * i, address));
      },
    });
    return pages;
  }

  /** The pages that are wanted now. */
  wanted(which: number): number {
    return getWord(this.must(OPCODES.QUERY_PAGES, { opMod: which }), PAGES.count) | 0;
  }

  /** From the start up to INIT_HCA. */
  bringUp(): this {
    this.must(OPCODES.ENABLE_HCA);
    this.must(OPCODES.SET_ISSI, { fill: (words) => setWord(words, CMDS.ISSI.current, 1) });
    for (const which of [PAGES.boot, PAGES.init]) this.give(this.wanted(which));
    this.must(OPCODES.INIT_HCA, { inBytes: 32 });
    return this;
  }

  /** Makes an event queue, with a page of UAR of its own unless one is named. */
  createEq(options: EqOptions = {}): HostEq {
    const { logSize = 3, logPage = 0, vector = 0, events = [], message } = options;
    const uar = options.uar ?? this.alloc(OPCODES.ALLOC_UAR);
    const { memory } = this.host;
    const ringBytes = 2 ** logSize * NIC.EQE.sizeBytes;
    const pageBytes = PAGE << logPage;
    const pages = Array.from({ length: Math.ceil(ringBytes / pageBytes) }, () => memory.alloc(pageBytes));
    for (const page of pages) memory.bytes.fill(0xff, page, page + pageBytes);
    const output = this.must(OPCODES.CREATE_EQ, {
      inBytes: CTX.PAGE_LIST + 8 * pages.length,
      fill: (words) => {
        setWord(words, CTX.EQC.logSize, logSize, CTX.EQ_CONTEXT);
        setWord(words, CTX.EQC.logPage, logPage, CTX.EQ_CONTEXT);
        setWord(words, CTX.EQC.uar, uar, CTX.EQ_CONTEXT);
        setWord(words, CTX.EQC.intr, vector, CTX.EQ_CONTEXT);
        if (message !== undefined) {
          setWord(words, CTX.EQC.inMemory, 1, CTX.EQ_CONTEXT);
          setAddress(words, CTX.EQ_CONTEXT + CTX.EQC.message, message);
        }
        for (const type of events) {
          const { offset, bit } = CTX.eventBit(type);
          words[offset / 4]! |= 1 << bit;
        }
        pages.forEach((page, i) => setAddress(words, CTX.PAGE_LIST + 8 * i, page));
      },
    });
    return new HostEq(this, getWord(output, CMDS.EQN), uar, logSize, pages, pageBytes);
  }

  /** A 32-bit register of a page of UAR. */
  ring32(uar: number, register: number, value: number): void {
    this.window.write32(this.base + uar * PAGE + register, value >>> 0);
  }
  /** A 64-bit register of a page of UAR. */
  ring64(uar: number, register: number, lo: number, hi: number): void {
    this.window.write64(this.base + uar * PAGE + register, lo >>> 0, hi >>> 0);
  }
}

/** Options of {@link FunctionDriver.createEq}. */
export interface EqOptions {
  readonly logSize?: number;
  readonly logPage?: number;
  readonly vector?: number;
  readonly events?: readonly number[];
  /** Address of its message in memory. */
  readonly message?: number;
  readonly uar?: number;
}

/** An adapter whose physical function is up. */
export function working(options: NicOptions = {}): { readonly host: Host; readonly pf: FunctionDriver } {
  const host = new Host(options);
  return { host, pf: host.driver().bringUp() };
}
