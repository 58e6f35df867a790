import { PCI, VirtualClock, type Window } from '../../../../core/hal/index.js';
import { Random } from '../../../../core/lib/index.js';
import { type DmaPort, Endpoint, NO_ADDRESS, type PciModelContext } from '../../../../hw/endpoint/index.js';
import { type DsaDevice, type DsaOptions, dsa } from '../../../../hw/models/dsa/index.js';
import * as DSA from '../../../../hw/regs/dsa.js';
import { type Desc, descriptorBytes, wordsOf } from '../../../helpers/dsa-descriptor.js';

export { type Desc, wordsOf } from '../../../helpers/dsa-descriptor.js';

const PAGE = 4096;
const READ = 1;
const WRITE = 2;
export const MEMORY_BYTES = 256 * PAGE;

/** One address space: bytes, and what may be done with each page. All of it may, until told otherwise. */
export class Space {
  readonly bytes = new Uint8Array(MEMORY_BYTES);
  readonly view = new DataView(this.bytes.buffer);
  readonly pages = new Uint8Array(MEMORY_BYTES / PAGE).fill(READ | WRITE);

  unmap(address: number, pages = 1): void {
    this.pages.fill(0, address / PAGE, address / PAGE + pages);
  }
  map(address: number, pages = 1): void {
    this.pages.fill(READ | WRITE, address / PAGE, address / PAGE + pages);
  }
  protect(address: number, pages = 1): void {
    this.pages.fill(READ, address / PAGE, address / PAGE + pages);
  }
  reach(address: number, length: number, isWrite: boolean): number {
    let done = 0;
    while (done < length) {
      const at = address + done;
      const isThere = at >= 0 && at < MEMORY_BYTES && (this.pages[Math.floor(at / PAGE)]! & (isWrite ? WRITE : READ)) !== 0;
      if (!isThere) break;
      done += Math.min(length - done, PAGE - (at % PAGE));
    }
    return done;
  }
}

/** Memory by address space; it brings other accesses with it when told to. */
export class FakeDma implements DmaPort {
  readonly spaces = new Map<number, Space>([[0, new Space()]]);
  /** Calls that have changed memory: address and length. */
  readonly writes: [address: number, length: number][] = [];
  readonly requests: { address: number; isWrite: boolean; pasid: number | undefined; done: (isThere: boolean) => void }[] = [];
  /** Called inside every access. */
  during: () => void = () => {};

  space(pasid = 0): Space {
    let space = this.spaces.get(pasid);
    if (space === undefined) this.spaces.set(pasid, (space = new Space()));
    return space;
  }
  address(lo: number, hi: number): number {
    return hi >= 2 ** 21 ? NO_ADDRESS : hi * 2 ** 32 + lo;
  }
  read(address: number, buffer: Uint8Array, offset: number, length: number, pasid = 0): boolean {
    this.during();
    const space = this.spaces.get(pasid);
    const isThere = space !== undefined && space.reach(address, length, false) === length;
    if (isThere) buffer.set(space.bytes.subarray(address, address + length), offset);
    else buffer.fill(0xff, offset, offset + length);
    return isThere;
  }
  write(address: number, buffer: Uint8Array, offset: number, length: number, pasid = 0): boolean {
    const copy = buffer.slice(offset, offset + length);
    this.during();
    const space = this.spaces.get(pasid);
    if (space === undefined || space.reach(address, length, true) < length) return false;
    space.bytes.set(copy, address);
    this.writes.push([address, length]);
    return true;
  }
  /** One that fails has copied what lies before. */
  copy(source: number, destination: number, length: number, pasid = 0): boolean {
    this.during();
    const space = this.spaces.get(pasid);
    if (space === undefined) return false;
    const there = Math.min(space.reach(source, length, false), space.reach(destination, length, true));
    space.bytes.copyWithin(destination, source, source + there);
    this.writes.push([destination, there]);
    return there === length;
  }
  read32(address: number, pasid?: number): number {
    const word = new Uint8Array(4);
    this.read(address, word, 0, 4, pasid);
    return new DataView(word.buffer).getUint32(0, true);
  }
  write32(address: number, value: number, pasid?: number): boolean {
    const word = new DataView(new ArrayBuffer(4));
    word.setUint32(0, value, true);
    return this.write(address, new Uint8Array(word.buffer), 0, 4, pasid);
  }
  /** What is no number of bytes reaches nothing, as on the simulated machine. */
  reach(address: number, length: number, isWrite: boolean, pasid = 0): number {
    this.during();
    if (!Number.isSafeInteger(length)) return 0;
    return this.spaces.get(pasid)?.reach(address, length, isWrite) ?? 0;
  }
  requestPage(address: number, isWrite: boolean, pasid: number | undefined, done: (isThere: boolean) => void): void {
    this.during();
    this.requests.push({ address, isWrite, pasid, done });
  }
}

/** Completion record asked for, and where the tests have it. */
export const RCR = DSA.FLAGS.completionValid | DSA.FLAGS.requestCompletion;
export const RCI = DSA.FLAGS.requestInterrupt;
export const CR = 0x8000;
export const SOURCE = 0x1_0000;
export const DESTINATION = 0x2_0000;

export const encode = (desc: Desc): Uint8Array => descriptorBytes({ flags: RCR, completion: CR, ...desc });

/** How a work queue is set up; the defaults are a dedicated one that works. */
export interface Queue {
  readonly size?: number;
  readonly threshold?: number;
  /** WQCFG's third word; default dedicated, priority 1. */
  readonly mode?: number;
  readonly maxTransferShift?: number;
  readonly maxBatchShift?: number;
}
export const DEDICATED = 0x11;
export const SHARED = 0x10 | (1 << 28);
export const withPasid = (pasid: number): number => DEDICATED | (1 << 28) | (pasid << 8);

/** An accelerator of its own on its bus interface, with memory and all messages unmasked. */
export class Fixture {
  readonly clock = new VirtualClock({ mode: 'manual' });
  readonly dma = new FakeDma();
  readonly guestErrors: string[] = [];
  /** MSI-X messages, by number. */
  readonly irqs: number[] = [];
  /** Other messages: low and high address, data. */
  readonly posted: number[][] = [];
  readonly endpoint: Endpoint;
  readonly device: DsaDevice;
  readonly regs: Window;
  readonly portals: Window;

  constructor(options: DsaOptions = {}) {
    let made: DsaDevice | undefined;
    const kind = dsa({ ...options, onCreate: (device) => (made = device) });
    this.endpoint = new Endpoint(kind.config, {
      intx: () => {},
      message: (lo, hi, data) => {
        this.dma.during();
        if (lo >>> 0 === 0xfee0_0000) this.irqs.push(data);
        else this.posted.push([lo >>> 0, hi >>> 0, data >>> 0]);
        return true;
      },
      decodeChanged: () => {},
      reset: (why) => model.reset(why),
    });
    const context: PciModelContext = {
      name: 'dsa',
      clock: this.clock,
      dma: this.dma,
      irq: this.endpoint.irq,
      random: new Random(1),
      log: { info: () => {}, guestError: (text) => this.guestErrors.push(text) },
      endpoint: this.endpoint,
    };
    const model = kind.create(context);
    this.device = made!;
    this.endpoint.attach(model.regions);
    this.bringUp();
    const ranges = this.endpoint.decodedRanges();
    this.regs = ranges.find(({ bar }) => bar === 0)!.window;
    this.portals = ranges.find(({ bar }) => bar === 2)!.window;
    this.unmask();
  }

  get memory(): Space {
    return this.dma.space();
  }

  /** As software does at probe, and after a reset of the function. */
  bringUp(): void {
    const { space } = this.endpoint;
    space.write16(PCI.COMMAND.offset, 0x0006);
    space.write16(0x82, 0x8000);
    const pasid = this.endpoint.extendedCapability(DSA.PASID_CAP.id);
    if (pasid !== 0) space.write16(pasid + 6, 0x0005);
  }
  unmask(): void {
    for (let n = 0; n < this.device.profile.vectors; n++) {
      this.regs.write32(DSA.MSIX_TABLE_OFFSET + 16 * n, 0xfee0_0000);
      this.regs.write32(DSA.MSIX_TABLE_OFFSET + 16 * n + 8, n);
      this.regs.write32(DSA.MSIX_TABLE_OFFSET + 16 * n + 12, 0);
    }
  }

  r32(offset: number): number {
    return this.regs.read32(offset);
  }
  r64(offset: number): bigint {
    const out = new Uint32Array(2);
    this.regs.read64(offset, out);
    return (BigInt(out[1]!) << 32n) | BigInt(out[0]!);
  }

  /** @returns CMDSTATUS */
  command(code: number, operand = 0): number {
    this.regs.write32(DSA.CMD.offset, ((code << 20) | operand) >>> 0);
    return this.r32(DSA.CMDSTATUS.offset);
  }

  wqcfg(wq: number, word = 0): number {
    return this.device.profile.wqcfgAt + (wq * this.device.profile.wqWords + word) * 4;
  }
  grpcfg(group: number, at = 0): number {
    return this.device.profile.grpcfgAt + group * DSA.GRPCFG_BYTES + at;
  }

  /** Writes the configuration of queues, in group 0 with all engines, and enables nothing. */
  configure(queues: readonly Queue[] = [{}]): void {
    queues.forEach((queue, wq) => {
      const limits = ((queue.maxBatchShift ?? 5) << 5) | (queue.maxTransferShift ?? 21);
      [queue.size ?? 16, queue.threshold ?? 0, queue.mode ?? DEDICATED, limits].forEach((value, word) => {
        this.regs.write32(this.wqcfg(wq, word), value);
      });
      for (let word = 8; word < this.device.profile.wqWords; word++) this.regs.write32(this.wqcfg(wq, word), 0xffff_ffff);
    });
    for (let word = 0; word < 4; word++) {
      const members = queues.map((_, wq) => wq).filter((wq) => wq >>> 5 === word);
      this.regs.write32(this.grpcfg(0, 4 * word), members.reduce((mask, wq) => mask | (1 << (wq & 31)), 0) >>> 0);
    }
    this.regs.write32(this.grpcfg(0, 0x20), (2 ** Math.min(32, this.device.profile.engines) - 1) >>> 0);
  }

  /** As {@link configure}; then the device and the queues are enabled, with interrupts for all. */
  enable(queues: readonly Queue[] = [{}], config = 0x1000): void {
    this.configure(queues);
    this.regs.write32(DSA.GENCFG.offset, config);
    this.must(DSA.COMMANDS.enableDevice);
    queues.forEach((_, wq) => this.must(DSA.COMMANDS.enableWq, wq));
  }

  must(code: number, operand = 0): void {
    const status = this.command(code, operand);
    if (status !== 0) throw new Error(`command ${code}: status 0x${status.toString(16)}`);
  }

  /** Stores a descriptor as eight words of 8 bytes, by default to the limited MSI-X portal. */
  store(desc: Desc, wq = 0, page = 1, slot = 0): void {
    const words = wordsOf(encode(desc));
    const at = wq * DSA.PORTAL_STRIDE + page * DSA.PORTAL_BYTES + slot * 64;
    for (let i = 0; i < 16; i += 2) this.portals.write64(at + 4 * i, words[i]!, words[i + 1]!);
  }

  /** Stores one, lets it run, and gives its completion record. */
  run(desc: Desc, wq = 0, page = 1): Record {
    this.store(desc, wq, page);
    this.clock.elapse(1_000_000);
    return this.record(desc.completion ?? CR);
  }

  record(at = CR, space = this.memory): Record {
    const { view } = space;
    return {
      status: view.getUint8(at),
      result: view.getUint8(at + 1),
      bytes: view.getUint32(at + 4, true),
      fault: view.getUint32(at + 12, true) * 2 ** 32 + view.getUint32(at + 8, true),
      extra: view.getUint32(at + 16, true),
    };
  }

  /** SWERROR: valid, overflow, error, and the fields behind. */
  get swerror() {
    const low = this.r32(DSA.SWERROR.offset);
    return { valid: low & 1, overflow: (low >>> 1) & 1, error: (low >>> 8) & 0xff, wq: (low >>> 16) & 0xff };
  }

  /** Fills memory from `at` on with a pattern of its own. */
  seed(at: number, length: number, by = 7, space = this.memory): void {
    for (let i = 0; i < length; i++) space.bytes[at + i] = (i * by + (i >>> 8) + by) & 0xff;
  }
  bytes(at: number, length: number, space = this.memory): Uint8Array {
    return space.bytes.slice(at, at + length);
  }
}

export interface Record {
  readonly status: number;
  readonly result: number;
  readonly bytes: number;
  readonly fault: number;
  readonly extra: number;
}

/** One with a queue, and something to work on. */
export function working(options: DsaOptions = {}): Fixture {
  const f = new Fixture(options);
  f.enable();
  f.seed(SOURCE, 0x8000);
  return f;
}
