import { PCI, type Window } from '../../../core/hal/index.js';
import { BusDriver, Errno, Plugin, System, hex } from '../../../core/index.js';
import type { DsaDevice as Part, IdxdSubDriver } from '../../../drivers/idxd/dsa-bus.js';
import type { Idxd } from '../../../drivers/idxd/idxd.js';
import type { Wq } from '../../../drivers/idxd/wq.js';
import { enableWq, matchDriver } from '../../../drivers/idxd/wq-enable.js';
import type { Model, PciModel } from '../../../hw/endpoint/index.js';
import { type DsaDevice, type DsaProfile, dsa } from '../../../hw/models/dsa/index.js';
import * as DSA from '../../../hw/regs/dsa.js';
import type { MachineOptions } from '../../../hw/sim/index.js';
import { type HostSim, hostSim } from '../../../plugins/host-sim.js';
import idxdPlugin from '../../../plugins/idxd.js';

/** Where the accelerator is. */
export const ADDRESS = '0000:00:05.0';

/** What a {@link Bench} is. */
export interface BenchOptions {
  readonly profile?: DsaProfile;
  /** Default the plugin without options. */
  readonly plugin?: Plugin;
  /** Loaded after it. */
  readonly more?: readonly Plugin[];
  readonly machine?: Omit<MachineOptions, 'devices'>;
  /** Before anything is loaded: the silicon is as it came. */
  readonly prepare?: (silicon: DsaDevice) => void;
}

/** A driver of queues that does nothing but enable them. */
export class StubDriver implements IdxdSubDriver<Wq> {
  readonly name = 'stub';
  readonly bus = 'dsa';
  readonly types = ['wq'] as const;

  probe(wq: Wq): Promise<void> {
    matchDriver(wq, this.name);
    return enableWq(wq);
  }
}

/** Queues with `driver_name` stub can be enabled. */
export const stub = new Plugin('stub', ({ bind }) => bind(BusDriver).toConstantValue(new StubDriver()), { requires: ['idxd'] });

/** Fixed registers, by offset. */
const REGISTERS = new Map(
  Object.values(DSA)
    .filter((value) => typeof value === 'object' && 'bytes' in value && 'offset' in value)
    .filter(({ name }) => !/^(GRP_|WQ_|MSIX_)/.test(name))
    .map(({ name, offset }) => [offset, name]),
);
const TABLES = [
  { name: 'MSIXPERM', at: 0x300, end: 0x400, stride: DSA.MSIX_PERM_BYTES },
  { name: 'GRPCFG', at: 0x400, end: 0x800, stride: DSA.GRPCFG_BYTES },
  { name: 'WQCFG', at: 0x800, end: 0x1000, stride: 32 },
  { name: 'IMS', at: 0x8000, end: 0x1_0000, stride: 16 },
] as const;

/** `GENCAP`, `WQCFG[0]+0x8`; by offset where there is none. */
function nameOf(offset: number): string {
  const table = TABLES.find(({ at, end }) => offset >= at && offset < end);
  if (table !== undefined) {
    const index = Math.floor((offset - table.at) / table.stride);
    return `${table.name}[${index}]+0x${hex((offset - table.at) % table.stride)}`;
  }
  return REGISTERS.get(offset) ?? `0x${hex(offset)}`;
}

/** A window that writes down what goes through it: `r32 VERSION`, `w32 CMD 0x500000`. */
class Recorder implements Window {
  constructor(
    private readonly to: Window,
    private readonly wire: string[],
  ) {}
  get sizeBytes(): number {
    return this.to.sizeBytes;
  }
  #note(what: string, offset: number, value?: number | bigint): void {
    this.wire.push(`${what} ${nameOf(offset)}${value === undefined ? '' : ` 0x${value.toString(16)}`}`);
  }
  read8(offset: number): number {
    this.#note('r8', offset);
    return this.to.read8(offset);
  }
  read16(offset: number): number {
    this.#note('r16', offset);
    return this.to.read16(offset);
  }
  read32(offset: number): number {
    this.#note('r32', offset);
    return this.to.read32(offset);
  }
  read64(offset: number, out: Uint32Array): void {
    this.#note('r64', offset);
    this.to.read64(offset, out);
  }
  write8(offset: number, value: number): void {
    this.#note('w8', offset, value);
    this.to.write8(offset, value);
  }
  write16(offset: number, value: number): void {
    this.#note('w16', offset, value);
    this.to.write16(offset, value);
  }
  write32(offset: number, value: number): void {
    this.#note('w32', offset, value);
    this.to.write32(offset, value);
  }
  write64(offset: number, lo: number, hi: number): void {
    this.#note('w64', offset, (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0));
    this.to.write64(offset, lo, hi);
  }
}

/** The model, with what is done to its registers written down. */
export function recorded(profile: DsaProfile, wire: string[], onCreate: (silicon: DsaDevice) => void): PciModel {
  let silicon: DsaDevice | undefined;
  const model = dsa({ ...profile, onCreate: (made) => (silicon = made) });
  return {
    name: model.name,
    config: model.config,
    create: (context): Model => {
      model.create(context);
      const made = silicon!;
      onCreate(made);
      return {
        regions: {
          [DSA.REGISTERS_BAR]: new Recorder(made.regions[DSA.REGISTERS_BAR], wire),
          [DSA.PORTALS_BAR]: made.regions[DSA.PORTALS_BAR],
        },
        reset: (kind) => made.reset(kind),
      };
    },
  };
}

/** A system with one accelerator and its drivers. `await using bench = await Bench.start()`. */
export class Bench implements AsyncDisposable {
  private constructor(
    readonly sim: HostSim,
    readonly system: System,
    /** The model's side for tests. */
    readonly silicon: DsaDevice,
    /** What was read and written in BAR 0 since the last `wire.length = 0`. */
    readonly wire: string[],
  ) {}

  static async start({ profile = {}, plugin = idxdPlugin, more = [], machine = {}, prepare }: BenchOptions = {}): Promise<Bench> {
    const wire: string[] = [];
    let silicon: DsaDevice | undefined;
    const model = recorded(profile, wire, (made) => {
      silicon = made;
      prepare?.(made);
    });
    const sim = hostSim({ ...machine, devices: [{ at: '00:05.0', model }] });
    const system = await System.start(sim.plugin, plugin, ...more);
    return new Bench(sim, system, silicon!, wire);
  }

  /** What the driver made of the device. @throws {Errno} ENODEV when it is not bound */
  get idxd(): Idxd {
    const dev = this.system.device(ADDRESS);
    if (!dev.bound) throw new Errno('ENODEV', `${ADDRESS}: is not bound`);
    return dev.state as Idxd;
  }

  wq(index = 0): Wq {
    return this.idxd.wqs[index]!;
  }

  /** A device on bus `dsa`, by name. */
  part(name: string): Part {
    return this.system.device(name) as Part;
  }

  /** An attribute, without its final newline. */
  read(device: string, attribute: string): string {
    return this.part(device).attributes.read(attribute).trimEnd();
  }

  async write(device: string, attribute: string, text: string | number): Promise<void> {
    await this.part(device).attributes.write(attribute, `${text}\n`);
  }

  /** Configures a queue as `accel-config config-wq` does, in the order that matters; and engine `index` for its group. */
  async configure(index = 0, options: Readonly<Record<string, string | number>> = {}): Promise<void> {
    const { group_id: group = 0, ...more } = options;
    const settings = { mode: 'dedicated', size: 16, priority: 10, type: 'kernel', name: 'test', driver_name: 'stub', ...more };
    await this.write(`engine0.${index % this.idxd.engines.length}`, 'group_id', group);
    await this.write(`wq0.${index}`, 'group_id', group);
    for (const [name, value] of Object.entries(settings)) await this.write(`wq0.${index}`, name, value);
  }

  /** As a write to the `bind` attribute of a driver on bus `dsa`. */
  async bind(device: string, driver = 'idxd'): Promise<void> {
    const bus = this.system.core.buses.get('dsa')!;
    await bus.attributesOf(bus.findDriver(driver)!).write('bind', device);
  }

  async unbind(device: string): Promise<void> {
    await this.system.core.unbind(this.part(device));
  }

  /** What was read and written since this was called last. */
  takeWire(): string[] {
    return this.wire.splice(0);
  }

  /** Lets messages out, or keeps them: they are pending then. */
  maskMessages(mask: boolean): void {
    const { config } = this.idxd.dev;
    const at = this.idxd.dev.findCapability(PCI.CAP_MSIX)!;
    config.modify(PCI.inCap(at, PCI.MSIX_CONTROL), { functionMask: mask ? 1 : 0 });
  }

  /** Stores a descriptor into the limited portal of a dedicated queue: without memory, and without anybody who is told. */
  post(queue: number, opcode: number): void {
    const words = new Uint32Array(DSA.DESCRIPTOR_BYTES / 4);
    words[DSA.DESCRIPTOR.flags / 4] = opcode << 24;
    this.idxd.portals.movdir64b(queue * DSA.PORTAL_STRIDE + DSA.PORTAL_LIMITED, words, 0);
  }

  /** What the log has of this kind. */
  logged(id: string): string[] {
    return this.system.core.log.records().flatMap((record) => (record.id === id ? [record.text] : []));
  }

  /** Lets promises and what is scheduled run. */
  async settle(us = 0): Promise<void> {
    await this.sim.settle(us);
    await this.system.core.settle();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.system.stop();
  }
}
