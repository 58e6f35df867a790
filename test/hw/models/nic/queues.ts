import * as NIC from '../../../../hw/regs/nic.js';
import * as CMDS from '../../../../hw/regs/nic-commands.js';
import * as CTX from '../../../../hw/regs/nic-contexts.js';
import { getWord, setAddress, setWord } from '../../../../hw/regs/nic-words.js';
import type { Answer, FunctionDriver, Host, HostEq } from './fixture.js';
import { PAGE } from './memory.js';

const { OPCODES } = CMDS;
const { CQC, CQ_CONTEXT, PASID, RQTC, TIRC, WQC, WQ_CONTEXT, WQ_PAGES, WQ_STATES } = CTX;

function setPasid(words: Uint32Array, at: number, pasid: number): void {
  setWord(words, PASID.valid, pasid === 0 ? 0 : 1, at);
  setWord(words, PASID.pasid, pasid, at);
}

/** Memory of a queue: pages that do not lie side by side. */
class HostRing {
  readonly pages: readonly number[];

  constructor(host: Host, sizeBytes: number, pasid: number, fill: number) {
    const { memory } = host;
    this.pages = Array.from({ length: Math.ceil(sizeBytes / PAGE) }, () => {
      const page = memory.alloc(PAGE);
      memory.alloc(PAGE);
      memory.bytes.fill(fill, page, page + PAGE);
      if (pasid !== 0) memory.map(page, PAGE, pasid);
      return page;
    });
  }
  at(offset: number): number {
    return this.pages[Math.floor(offset / PAGE)]! + (offset % PAGE);
  }
  list(words: Uint32Array, at: number): void {
    this.pages.forEach((page, i) => setAddress(words, at + 8 * i, page));
  }
}

function recordOf(host: Host, pasid: number): number {
  const record = host.memory.alloc(8, 64);
  if (pasid !== 0) host.memory.map(record, 8, pasid);
  return record;
}

/** A completion as software finds it. */
export interface Cqe {
  readonly opcode: number;
  readonly counter: number;
  readonly queue: number;
  readonly byteCount: number;
  readonly hash: number;
  readonly source: number;
  readonly syndrome: number;
  readonly view: DataView;
}

export interface CqOptions {
  readonly logSize?: number;
  readonly period?: number;
  readonly count?: number;
  readonly ignoresOverrun?: boolean;
  readonly pasid?: number;
  readonly uar?: number;
  /** What else the command says. */
  readonly more?: (words: Uint32Array) => void;
}

/** A completion queue as its driver sees it. */
export class HostCq {
  readonly number: number;
  readonly uar: number;
  readonly logSize: number;
  readonly record: number;
  readonly ring: HostRing;
  consumer = 0;
  sn = 0;

  constructor(
    readonly driver: FunctionDriver,
    eq: HostEq,
    options: CqOptions = {},
  ) {
    const { logSize = 6, period = 0, count = 0, ignoresOverrun = false, pasid = 0 } = options;
    const { host } = driver;
    this.uar = options.uar ?? eq.uar;
    this.logSize = logSize;
    this.record = recordOf(host, pasid);
    this.ring = new HostRing(host, 64 << logSize, pasid, NIC.CQE_INITIAL);
    this.number = driver.alloc(OPCODES.CREATE_CQ, {
      inBytes: CTX.PAGE_LIST + 8 * this.ring.pages.length,
      fill: (words) => {
        setWord(words, CQC.overrunIgnore, ignoresOverrun ? 1 : 0, CQ_CONTEXT);
        setWord(words, CQC.logSize, logSize, CQ_CONTEXT);
        setWord(words, CQC.uar, this.uar, CQ_CONTEXT);
        setWord(words, CQC.period, period, CQ_CONTEXT);
        setWord(words, CQC.maxCount, count, CQ_CONTEXT);
        setWord(words, CQC.eqn, eq.number, CQ_CONTEXT);
        setPasid(words, CQ_CONTEXT + CQC.pasid, pasid);
        setAddress(words, CQ_CONTEXT + CQC.record, this.record);
        options.more?.(words);
        this.ring.list(words, CTX.PAGE_LIST);
      },
    });
  }

  at(index: number): number {
    return this.ring.at((index % 2 ** this.logSize) * NIC.CQE.sizeBytes);
  }

  /** The next completion that is software's. */
  next(): Cqe | undefined {
    const { view } = this.driver.host.memory;
    const at = this.at(this.consumer);
    const opOwn = view.getUint8(at + NIC.CQE.opOwn);
    if (opOwn >>> 4 === NIC.CQE_OPCODES.invalid || (opOwn & 1) !== ((this.consumer >>> this.logSize) & 1)) return undefined;
    this.consumer++;
    const entry = new DataView(view.buffer.slice(at, at + NIC.CQE.sizeBytes));
    return {
      opcode: opOwn >>> 4,
      counter: entry.getUint16(NIC.CQE.wqeCounter, true),
      queue: entry.getUint32(NIC.CQE.opcodeQueue, true) & 0xff_ffff,
      byteCount: entry.getUint32(NIC.CQE.byteCount, true),
      hash: entry.getUint32(NIC.CQE.rssHash, true),
      source: entry.getUint32(NIC.CQE.sourceVport, true),
      syndrome: entry.getUint8(NIC.CQE.syndrome),
      view: entry,
    };
  }

  /** All completions that are there; the device is told. */
  drain(): Cqe[] {
    const found: Cqe[] = [];
    for (let cqe = this.next(); cqe !== undefined; cqe = this.next()) found.push(cqe);
    this.tell();
    return found;
  }

  /** How far software is. */
  tell(consumer = this.consumer): void {
    this.driver.host.memory.view.setUint32(this.record, consumer & 0xff_ffff, true);
  }

  arm({ sn = this.sn, consumer = this.consumer, solicited = false, uar = this.uar } = {}): void {
    const word = ((sn & 3) << 28) | (solicited ? 1 << 24 : 0) | (consumer & 0xff_ffff);
    this.driver.ring64(uar, NIC.UAR_CQ_ARM, word, this.number);
  }

  modify(select: number, period: number, count: number): Answer {
    return this.driver.about(OPCODES.MODIFY_CQ, this.number, {
      inBytes: CQ_CONTEXT + CQC.sizeBytes,
      fill: (words) => {
        setWord(words, CTX.CQ_MODIFY.select, select);
        setWord(words, CQC.period, period, CQ_CONTEXT);
        setWord(words, CQC.maxCount, count, CQ_CONTEXT);
      },
    });
  }

  query(name: 'status' | 'state' | 'consumer' | 'producer' | 'period' | 'maxCount' | 'eqn'): number {
    const { output } = this.driver.about(OPCODES.QUERY_CQ, this.number, { outBytes: CQ_CONTEXT + CQC.sizeBytes });
    return getWord(output, CQC[name], CQ_CONTEXT);
  }
}

export interface WqOptions {
  readonly logSize?: number;
  readonly logStride?: number;
  readonly pasid?: number;
  readonly uar?: number;
  readonly leavesBy?: number;
  /** Default true. */
  readonly isReady?: boolean;
}

class HostWq {
  readonly number: number;
  readonly uar: number;
  readonly logSize: number;
  readonly logStride: number;
  readonly pasid: number;
  readonly record: number;
  readonly ring: HostRing;
  state: number = WQ_STATES.reset;
  /** Entries that software has made. */
  producer = 0;

  constructor(
    readonly driver: FunctionDriver,
    readonly kind: 'SQ' | 'RQ',
    cq: HostCq,
    options: WqOptions,
  ) {
    const { host } = driver;
    this.uar = options.uar ?? cq.uar;
    this.logSize = options.logSize ?? 6;
    this.logStride = options.logStride ?? (kind === 'SQ' ? 6 : 5);
    this.pasid = options.pasid ?? 0;
    this.record = recordOf(host, this.pasid);
    this.ring = new HostRing(host, 1 << (this.logSize + this.logStride), this.pasid, 0);
    this.number = driver.alloc(OPCODES[`CREATE_${kind}`], {
      inBytes: WQ_CONTEXT + WQ_PAGES + 8 * this.ring.pages.length,
      fill: (words) => {
        setWord(words, WQC.cqn, cq.number, WQ_CONTEXT);
        if (options.leavesBy !== undefined) setWord(words, WQC.leavesBy, 0x8000_0000 | options.leavesBy, WQ_CONTEXT);
        setPasid(words, WQ_CONTEXT + WQC.pasid, this.pasid);
        setWord(words, WQC.uar, this.uar, WQ_CONTEXT);
        setAddress(words, WQ_CONTEXT + WQC.record, this.record);
        setWord(words, WQC.logStride, this.logStride, WQ_CONTEXT);
        setWord(words, WQC.logSize, this.logSize, WQ_CONTEXT);
        this.ring.list(words, WQ_CONTEXT + WQ_PAGES);
      },
    });
    if (options.isReady !== false) this.to(WQ_STATES.ready);
  }

  modify(from: number, to: number): Answer {
    return this.driver.about(OPCODES[`MODIFY_${this.kind}`], this.number, {
      inBytes: WQ_CONTEXT + WQC.sizeBytes,
      fill: (words) => {
        setWord(words, CTX.WQ_MODIFY.state, from);
        setWord(words, WQC.state, to, WQ_CONTEXT);
      },
    });
  }

  /** Changes its state. */
  to(state: number): void {
    const { status } = this.modify(this.state, state);
    if (status !== CMDS.STATUS.ok) throw new Error(`${this.kind} ${this.number}: status ${status}`);
    this.state = state;
  }

  query(name: 'state' | 'cqn' | 'outOfBuffer'): number {
    const answer = this.driver.about(OPCODES[`QUERY_${this.kind}`], this.number, { outBytes: WQ_CONTEXT + WQC.sizeBytes });
    return getWord(answer.output, WQC[name], WQ_CONTEXT);
  }

  protected put(at: number, address: number, bytes: number): void {
    const { view } = this.driver.host.memory;
    view.setUint32(at + NIC.DATA.byteCount, bytes, true);
    view.setUint32(at + NIC.DATA.key, 0, true);
    view.setUint32(at + NIC.DATA.addressLo, address % 2 ** 32, true);
    view.setUint32(at + NIC.DATA.addressHi, Math.floor(address / 2 ** 32), true);
  }

  alloc(sizeBytes: number): number {
    const { memory } = this.driver.host;
    const address = memory.alloc(sizeBytes, 64);
    if (this.pasid !== 0) memory.map(address, sizeBytes, this.pasid);
    return address;
  }
}

/** Parts of memory: address and bytes. */
export type Parts = readonly (readonly [address: number, bytes: number])[];

export interface EntryOptions {
  /** Whether a completion is wanted; default true. */
  readonly signal?: boolean;
  /** Default: send. */
  readonly opcode?: number;
}

/** A send queue as its driver sees it. */
export class HostSq extends HostWq {
  #lastLo = 0;

  constructor(driver: FunctionDriver, cq: HostCq, options: WqOptions = {}) {
    super(driver, 'SQ', cq, options);
  }

  /** Where an entry is. */
  at(index: number): number {
    return this.ring.at((index % 2 ** this.logSize) * NIC.WQE.unitBytes);
  }

  /** Makes an entry that sends what is at some places. @returns its counter */
  post(parts: Parts, { signal = true, opcode = NIC.WQE_OPCODES.send }: EntryOptions = {}): number {
    const segments = 2 + parts.length;
    const counter = this.producer & 0xffff;
    const units = this.#control(counter, opcode, segments, signal);
    parts.forEach(([address, bytes], i) => {
      const offset = NIC.WQE.data + NIC.DATA.sizeBytes * i;
      this.put(this.at(this.producer + Math.floor(offset / 64)) + (offset % 64), address, bytes);
    });
    this.producer += units;
    return counter;
  }
  nop({ signal = true } = {}): number {
    const counter = this.producer & 0xffff;
    this.producer += this.#control(counter, NIC.WQE_OPCODES.nop, 1, signal);
    return counter;
  }
  /** Puts a frame into memory of its own, and makes an entry for it. */
  frame(bytes: Uint8Array, { signal = true } = {}): number {
    const address = this.alloc(bytes.length);
    this.driver.host.memory.bytes.set(bytes, address);
    return this.post([[address, bytes.length]], { signal });
  }

  #control(counter: number, opcode: number, segments: number, signal: boolean): number {
    const { view } = this.driver.host.memory;
    const at = this.at(this.producer);
    this.#lastLo = ((counter << 8) | opcode) >>> 0;
    view.setUint32(at + NIC.WQE.indexOpcode, this.#lastLo, true);
    view.setUint32(at + NIC.WQE.queueSegments, (this.number << 8) | segments, true);
    view.setUint32(at + NIC.WQE.flags, signal ? NIC.WQE_CQ_UPDATE : 0, true);
    return Math.ceil(segments / 4);
  }

  /** Tells the device of them. */
  ring64(uar = this.uar): void {
    this.driver.host.memory.view.setUint32(this.record + NIC.WQ_RECORD.send, this.producer & 0xffff, true);
    this.driver.ring64(uar, NIC.UAR_SQ_DOORBELLS[0], this.#lastLo, this.number << 8);
  }

  /** Sends frames, and lets time pass until they have gone. */
  send(...frames: Uint8Array[]): void {
    frames.forEach((bytes, i) => this.frame(bytes, { signal: i === frames.length - 1 }));
    this.ring64();
    this.driver.host.elapse(100);
  }
}

/** A receive queue as its driver sees it. */
export class HostRq extends HostWq {
  /** Buffers by counter. */
  readonly buffers: Parts[] = [];

  constructor(driver: FunctionDriver, cq: HostCq, options: WqOptions = {}) {
    super(driver, 'RQ', cq, options);
  }

  at(index: number): number {
    return this.ring.at((index % 2 ** this.logSize) << this.logStride);
  }

  /** Makes an entry; the device is not told. */
  post(parts: Parts): void {
    const at = this.at(this.producer);
    for (let i = 0; i < 2 ** this.logStride / 16; i++) this.put(at + 16 * i, parts[i]?.[0] ?? 0, parts[i]?.[1] ?? 0);
    this.buffers[this.producer & 0xffff] = parts;
    this.producer++;
  }
  tell(): void {
    this.driver.host.memory.view.setUint32(this.record + NIC.WQ_RECORD.receive, this.producer & 0xffff, true);
  }
  /** Gives buffers. */
  fill(count: number, sizeBytes = 2048): void {
    for (let i = 0; i < count; i++) this.post([[this.alloc(sizeBytes), sizeBytes]]);
    this.tell();
  }

  /** The packet that a completion tells of. */
  frameOf({ counter, byteCount }: Cqe): Uint8Array {
    const bytes = new Uint8Array(byteCount);
    let done = 0;
    for (const [address, size] of this.buffers[counter]!) {
      const part = Math.min(size, byteCount - done);
      bytes.set(this.driver.host.memory.bytes.subarray(address, address + part), done);
      done += part;
    }
    return bytes;
  }
}

/** Makes a table of receive queues. */
export function createRqt(driver: FunctionDriver, queues: readonly HostRq[], maxSize = 128): number {
  return driver.alloc(OPCODES.CREATE_RQT, { inBytes: rqtBytes(queues), fill: (words) => fillRqt(words, queues, maxSize) });
}
export const rqtBytes = (queues: readonly HostRq[]): number => WQ_CONTEXT + RQTC.queues + 4 * queues.length;
export function fillRqt(words: Uint32Array, queues: readonly HostRq[], maxSize = 128): void {
  setWord(words, RQTC.maxSize, maxSize, WQ_CONTEXT);
  setWord(words, RQTC.size, queues.length, WQ_CONTEXT);
  queues.forEach((rq, i) => (words[(WQ_CONTEXT + RQTC.queues) / 4 + i] = rq.number));
}

/** Makes a TIR: to one queue, or by a table and a key. */
export function createTir(
  driver: FunctionDriver,
  to: HostRq | { readonly table: number; readonly key: Uint8Array },
  { loopback = true } = {},
): number {
  return driver.alloc(OPCODES.CREATE_TIR, {
    inBytes: WQ_CONTEXT + TIRC.sizeBytes,
    fill: (words) => {
      setWord(words, TIRC.loopback, loopback ? 1 : 0, WQ_CONTEXT);
      if (to instanceof HostRq) {
        setWord(words, TIRC.queue, to.number, WQ_CONTEXT);
        return;
      }
      setWord(words, TIRC.indirect, 1, WQ_CONTEXT);
      setWord(words, TIRC.table, to.table, WQ_CONTEXT);
      const view = new DataView(to.key.buffer, to.key.byteOffset);
      for (let i = 0; i < 10; i++) words[(WQ_CONTEXT + TIRC.hashKey) / 4 + i] = view.getUint32(4 * i);
    },
  });
}
