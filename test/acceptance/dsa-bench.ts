import {
  type DmaBuffer,
  type IommuDomain,
  Kernel,
  type Mmio,
  PROT,
  type PciDevice,
  type PciDriver,
  imsArray,
  pciId,
} from 'backplane';
import { type HostSim, hostSim } from 'backplane/plugins/host-sim';
import { type DsaDevice, type DsaOptions, dsa } from 'backplane/plugins/models';
import { type Desc as Fields, descriptorBytes, wordsOf } from '../helpers/dsa-descriptor.js';

/** Bytes of memory that the device and the test share; in it the record, a source and a destination. */
const ARENA_BYTES = 0x4_0000;
const RECORD_AT = 0x0;
const LIST_AT = 0x1000;
const SOURCE_AT = 0x8000;
const DESTINATION_AT = 0x1_0000;

export const CRAV = 0x4;
export const RCR = 0xc;
export const RCI = 0x10;
export const DEDICATED = 0x11;
/** A shared queue of priority 1 with PASIDs. */
export const SHARED = 0x1000_0010;
export const withPasid = (pasid: number): number => (0x1000_0011 | (pasid << 8)) >>> 0;

/** A descriptor, by default with the record that is looked at. */
export interface Desc extends Omit<Fields, 'completion'> {
  readonly record?: number;
}

export interface Queue {
  readonly size?: number;
  readonly threshold?: number;
  readonly mode?: number;
  readonly limits?: number;
}

/** An accelerator as who has its data sheet alone sees it: a driver that maps its BARs, takes its vectors and does nothing. */
export class DsaBench implements AsyncDisposable {
  readonly #irqs: number[] = [];
  regs!: Mmio;
  portals!: Mmio;
  arena!: DmaBuffer;

  private constructor(
    readonly sim: HostSim,
    readonly kernel: Kernel,
    private readonly silicon: DsaDevice,
  ) {}

  static async start(options: DsaOptions = {}): Promise<DsaBench> {
    let silicon: DsaDevice | undefined;
    const model = dsa({ ...options, onCreate: (made) => (silicon = made) });
    const sim = hostSim({ clock: 'manual', devices: [{ at: '00:05.0', model }] });
    const bench = new DsaBench(sim, new Kernel(sim), silicon!);
    await bench.kernel.start();
    const driver: PciDriver = { name: 'bench', ids: [pciId(0x8086, 0x0b25)], probe: (dev) => bench.#probe(dev) };
    await bench.kernel.core.registerDriver(bench.kernel.pci.bus, driver);
    return bench;
  }

  #probe(dev: PciDevice): void {
    this.regs = dev.mapBar(0);
    this.portals = dev.mapBar(2);
    this.kernel.dma.setMask(dev, 64);
    dev.setMaster();
    this.arena = this.kernel.dma.alloc(dev, ARENA_BYTES);
    if (dev.findExtCapability(0x1b) !== undefined) this.kernel.iommu.enablePasid(dev);
    const vectors = dev.allocVectors({ types: ['msix'], max: dev.msixVectorCount });
    for (let n = 0; n < vectors.count; n++) dev.requestIrq(n, () => void this.#irqs.push(n));
  }

  get dev(): PciDevice {
    return this.kernel.pci.find('0000:00:05.0')!;
  }

  /** Vectors that have interrupted since the last call, as they came. */
  irqs(): number[] {
    this.sim.drain();
    return this.#irqs.splice(0);
  }

  r32(offset: number): number {
    return this.regs.read32(offset);
  }
  r64(offset: number): bigint {
    const out = new Uint32Array(2);
    this.regs.read64(offset, out);
    return (BigInt(out[1]!) << 32n) | BigInt(out[0]!);
  }
  w32(offset: number, value: number): void {
    this.regs.write32(offset, value >>> 0);
  }
  w64(offset: number, value: bigint): void {
    this.regs.write64(offset, Number(value & 0xffff_ffffn), Number(value >> 32n));
  }

  /** The device as who sits at its pins has it; all writes have arrived. */
  get pins(): DsaDevice {
    this.sim.drain();
    return this.silicon;
  }

  /** @returns CMDSTATUS */
  command(code: number, operand = 0): number {
    this.w32(0xa0, (code << 20) | operand);
    return this.r32(0xa8);
  }
  must(code: number, operand = 0): void {
    const status = this.command(code, operand);
    if (status !== 0) throw new Error(`command ${code}: status 0x${status.toString(16)}`);
  }

  #table(index: 0 | 1 | 2 | 3): number {
    return Number((this.r64(0x60) >> BigInt(16 * index)) & 0xffffn) * 0x100;
  }
  grpcfg(group: number, at = 0): number {
    return this.#table(0) + 64 * group + at;
  }
  wqcfg(wq: number, word = 0): number {
    const stride = 32 << Number((this.r64(0x20) >> 24n) & 0xfn);
    return this.#table(1) + wq * stride + 4 * word;
  }
  perm(vector: number): number {
    return this.#table(2) + 8 * vector;
  }
  slot(index: number, at = 0): number {
    return this.#table(3) + 16 * index + at;
  }

  /** Queues, all in group 0 with all engines; nothing is enabled. */
  configure(queues: readonly Queue[] = [{}], engines = 0xf): void {
    queues.forEach(({ size = 16, threshold = 0, mode = DEDICATED, limits = 0xb5 }, wq) => {
      [size, threshold, mode, limits].forEach((value, word) => this.w32(this.wqcfg(wq, word), value));
    });
    this.w64(this.grpcfg(0), (1n << BigInt(queues.length)) - 1n);
    this.w64(this.grpcfg(0, 0x20), BigInt(engines));
  }

  enable(queues: readonly Queue[] = [{}], gencfg = 0x1000, engines = 0xf): void {
    this.configure(queues, engines);
    this.w32(0x80, gencfg);
    this.must(1);
    queues.forEach((_, wq) => this.must(6, wq));
  }

  /** Addresses for the device. */
  get record(): number {
    return this.arena.address + RECORD_AT;
  }
  get list(): number {
    return this.arena.address + LIST_AT;
  }
  get source(): number {
    return this.arena.address + SOURCE_AT;
  }
  get destination(): number {
    return this.arena.address + DESTINATION_AT;
  }
  /** An address that leads nowhere. */
  get nowhere(): number {
    return this.arena.address + ARENA_BYTES + 0x100_0000;
  }

  encode({ record = this.record, flags = RCR, ...fields }: Desc): Uint32Array {
    return wordsOf(descriptorBytes({ ...fields, flags, completion: record }));
  }

  /** To a portal: 0 unlimited, 1 limited; 2 and 3 likewise, with handles of the store. */
  submit(desc: Desc, { wq = 0, page = 1, slot = 0 } = {}): void {
    this.portals.movdir64b(wq * 0x4000 + page * 0x1000 + slot * 64, this.encode(desc));
  }
  /** @returns true: again */
  enqcmd(desc: Desc, { wq = 0, page = 1 } = {}): boolean {
    return this.portals.enqcmd(wq * 0x4000 + page * 0x1000, this.encode(desc));
  }

  /** Submits, lets all of it end, and gives the record. */
  run(desc: Desc, to: { wq?: number; page?: number } = {}): Completion {
    this.arena.fill(0, RECORD_AT, 32);
    this.submit(desc, to);
    this.elapse();
    return this.completion((desc.record ?? this.record) - this.arena.address);
  }
  /** Of the function; what PCI had is written back. */
  async reset(): Promise<void> {
    const done = this.dev.reset();
    await this.sim.settle(1_000_000);
    await done;
  }
  elapse(us = 1_000_000): void {
    this.sim.elapse(us);
  }

  completion(at = RECORD_AT): Completion {
    const bytes = new Uint8Array(32);
    this.arena.read(at, bytes);
    const view = new DataView(bytes.buffer);
    return {
      status: bytes[0]!,
      result: bytes[1]!,
      bytes: view.getUint32(4, true),
      fault: view.getUint32(8, true) + view.getUint32(12, true) * 2 ** 32,
      flags: view.getUint32(16, true),
    };
  }

  /** Writes to memory, at an address of the device. */
  put(address: number, data: Uint8Array | readonly number[]): void {
    this.arena.write(address - this.arena.address, Uint8Array.from(data));
  }
  bytes(address: number, length: number): Uint8Array {
    const out = new Uint8Array(length);
    this.arena.read(address - this.arena.address, out);
    return out;
  }
  word(address: number): number {
    return this.arena.read32(address - this.arena.address);
  }
  /** Memory with a pattern, which is given. */
  seed(address: number, length: number, by = 7): Uint8Array {
    const data = Uint8Array.from({ length }, (_, i) => i * by + (i >>> 8) + by);
    this.put(address, data);
    return data;
  }

  /** An address space with a number, where the arena is as without one; or only its record page. */
  space(pasid: number): IommuDomain {
    const domain = this.kernel.iommu.allocDomain(this.dev);
    domain.map(this.arena.address, this.arena.physicalAddress, ARENA_BYTES, PROT.READ | PROT.WRITE);
    this.kernel.iommu.attachPasid(domain, this.dev, pasid);
    return domain;
  }

  /** Interrupts of the store, by slot, since the last call. */
  store(slots = 4): { readonly indices: number[]; readonly taken: () => number[] } {
    const domain = this.kernel.ims.createDomain(this.dev, imsArray(this.regs, { offset: this.slot(0), slots: 256 }));
    const came: number[] = [];
    const indices = Array.from({ length: slots }, () => {
      const { index, virq } = domain.alloc();
      this.kernel.irqs.request(this.dev, virq, () => void came.push(index));
      return index;
    });
    return {
      indices,
      taken: () => {
        this.sim.drain();
        return came.splice(0);
      },
    };
  }

  get swerror() {
    const [low, high, more] = [this.r32(0xc0), this.r32(0xc4), this.r64(0xc8)];
    return {
      valid: low & 1,
      overflow: (low >>> 1) & 1,
      descriptor: (low >>> 2) & 1,
      wqValid: (low >>> 3) & 1,
      batch: (low >>> 4) & 1,
      write: (low >>> 5) & 1,
      error: (low >>> 8) & 0xff,
      wq: (low >>> 16) & 0xff,
      opcode: high & 0xff,
      pasid: (high >>> 8) & 0xf_ffff,
      index: Number(more & 0xffffn),
      flags: Number(more >> 32n),
      address: this.r64(0xd0),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kernel.stop();
  }
}

export interface Completion {
  readonly status: number;
  readonly result: number;
  readonly bytes: number;
  readonly fault: number;
  /** Invalid flags, CRC or length of a delta record. */
  readonly flags: number;
}
