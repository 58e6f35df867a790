import { AddressSpace, CharDevices, type CharFile, type Device, type DmaMemory, PROT, type Task } from '../../../core/index.js';
import type { Kernel } from '../../../core/kernel.js';
import type { HarnessOptions } from '../../../core/testing/index.js';
import type { Wq } from '../../../drivers/idxd/wq.js';
import { UserDriver } from '../../../drivers/idxd/user-driver.js';
import { type DsaProfile, dsa } from '../../../hw/models/dsa/index.js';
import * as DSA from '../../../hw/regs/dsa.js';
import { Machine } from '../../../hw/sim/index.js';
import { type Desc, encode, wordsOf } from '../../hw/models/dsa/fixture.js';
import { addIdxd } from './dma-fixture.js';
import { ADDRESS, Bench, type BenchOptions } from './fixture.js';

export const PAGE = 4096;
/** Where every process has a page each: for completion records, to copy from, and to copy to. */
export const RECORDS = 0x8000;
export const SOURCE = 0x1_0000;
export const DESTINATION = 0x2_0000;
/** For a list of descriptors, where a test maps it. */
export const LIST = 0x4_0000;
/** Here nobody has anything. */
export const NOWHERE = 0x7000_0000;

const { FLAGS, OPCODES } = DSA;
export const RECORD = FLAGS.completionValid | FLAGS.requestCompletion;
/** A copy of 64 bytes, from the page for that to the page for that, with a completion record. */
export const COPY: Desc = {
  op: OPCODES.move,
  flags: RECORD,
  completion: RECORDS,
  source: SOURCE,
  destination: DESTINATION,
  size: 64,
};

/** What a {@link Process} is. */
export interface ProcessOptions {
  /** Default that for portals. */
  readonly capabilities?: readonly string[];
  /** Addresses of pages that are there from the first access on. */
  readonly lazy?: readonly number[];
  /** Where its pages are from, when they are not allocated: memory that nobody else uses. */
  readonly from?: number;
}

/** A process: an address space whose pages are its own, and a task in it. */
export class Process implements Disposable {
  readonly space: AddressSpace;
  readonly task: Task;
  readonly #pages: number[] = [];
  #from: number | undefined;

  constructor(
    readonly memory: DmaMemory,
    readonly name: string,
    { capabilities = ['CAP_SYS_RAWIO'], lazy = [], from }: ProcessOptions = {},
  ) {
    this.#from = from;
    this.space = new AddressSpace(name, {
      onPageFault: (_space, address) => {
        const page = address - (address % PAGE);
        if (!lazy.includes(page)) return false;
        this.map(page);
        return true;
      },
    });
    this.task = { name, pid: 1000 + name.length, mm: this.space, capabilities };
    for (const page of [RECORDS, SOURCE, DESTINATION]) this.map(page);
    this.fill(SOURCE, name.charCodeAt(0));
  }

  map(address: number, prot = PROT.READ | PROT.WRITE): void {
    this.space.map(address, this.#take(), PAGE, prot);
  }

  #take(): number {
    if (this.#from !== undefined) return (this.#from += PAGE);
    const paddr = this.memory.alloc(PAGE, { mask: 2 ** 40 - 1 });
    this.#pages.push(paddr);
    return paddr;
  }

  /** As the process itself sees its memory. */
  read(address: number, length = 64): Uint8Array {
    const bytes = new Uint8Array(length);
    this.memory.read(this.space.physicalOf(address)!, bytes, 0, length);
    return bytes;
  }
  write(address: number, bytes: Uint8Array): void {
    this.memory.write(this.space.physicalOf(address)!, bytes, 0, bytes.length);
  }
  fill(address: number, value: number): void {
    this.write(address, new Uint8Array(PAGE).fill(value));
  }

  /** All that it has, to be compared later. */
  snapshot(): string {
    return this.space
      .mappings()
      .map(({ iova, sizeBytes }) => Buffer.from(this.read(iova, sizeBytes)).toString('base64'))
      .join();
  }

  [Symbol.dispose](): void {
    for (const paddr of this.#pages.splice(0)) this.memory.free(paddr);
  }

  /** The status of a completion record, without the bit that says that it was a write. */
  status(record = RECORDS): number {
    return this.read(record, 1)[0]! & 0x7f;
  }
}

/** A descriptor, as bytes; without more {@link COPY}. */
export const bytesOf = (desc: Desc = {}): Uint8Array => encode({ ...COPY, ...desc });
export const descriptor = (desc: Desc = {}): Uint32Array => wordsOf(bytesOf(desc));

const SETTINGS = { group_id: 0, size: 16, priority: 10, type: 'user', name: 'app', driver_name: 'user' } as const;
const SHARED = { ...SETTINGS, mode: 'shared', threshold: 8 } as const;
const DEDICATED = { ...SETTINGS, mode: 'dedicated' } as const;
const SETTINGS_OF = { shared: SHARED, dedicated: DEDICATED } as const;

/** Queues for users, `wq0.0` and more, in a system with address spaces. */
export class Users implements AsyncDisposable {
  readonly #processes: Process[] = [];

  private constructor(readonly bench: Bench) {}

  /** @param queues how each is; @param more attributes of all of them */
  static async start(
    queues: readonly ('shared' | 'dedicated')[],
    { profile, ...options }: BenchOptions = {},
    more: Readonly<Record<string, string | number>> = {},
  ): Promise<Users> {
    const bench = await Bench.start({ machine: { iommu: true }, ...options, profile: { pasid: true, ...profile } });
    for (const [index, mode] of queues.entries()) {
      await bench.configure(index, { ...SETTINGS_OF[mode], ...more });
    }
    await bench.bind('dsa0');
    for (const index of queues.keys()) await bench.bind(`wq0.${index}`, 'user');
    return new Users(bench);
  }

  /** With a device that has one configuration. */
  static async fixed(): Promise<Users> {
    const bench = await Bench.start({ machine: { iommu: true }, profile: { pasid: true, readOnlyConfig: true } });
    await bench.write('wq0.0', 'type', 'user');
    await bench.write('wq0.0', 'name', 'app');
    await bench.write('wq0.0', 'driver_name', 'user');
    await bench.bind('wq0.0', 'user');
    return new Users(bench);
  }

  process(name: string, options?: ProcessOptions): Process {
    const process = new Process(this.bench.sim.dma, name, options);
    this.#processes.push(process);
    return process;
  }

  async open({ task }: Process, index = 0): Promise<CharFile> {
    return this.bench.system.get(CharDevices, `dsa/wq0.${index}`).open(task);
  }

  wq(index = 0): Wq {
    return this.bench.wq(index);
  }

  /** Lets the device do what it was told, and tell it. */
  settle(us = 100): Promise<void> {
    return this.bench.settle(us);
  }

  /** By which the device knows a process; undefined for not at all. */
  pasidOf({ name }: Process): number | undefined {
    const { pasids } = this.bench.system.kernel.iommu.group(this.bench.system.device(ADDRESS))!;
    return [...pasids].find(({ domain }) => domain.owner === name)?.pasid;
  }

  attribute(file: CharFile, name: string): string {
    return file.device.attributes.read(name).trimEnd();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of this.#processes) process[Symbol.dispose]();
    await this.bench[Symbol.asyncDispose]();
  }
}

/** The harness with `wq0.0` as the device under test: its accelerator is enabled, and itself configured. */
export function userHarness(mode: 'shared' | 'dedicated', profile: DsaProfile = {}, interrupts?: 'msix' | 'ims'): HarnessOptions {
  return {
    driver: ({ iommu, irqs, host }) => new UserDriver(iommu, irqs, host),
    bus: 'dsa',
    host: () => new Machine({ iommu: true, devices: [{ at: '00:05.0', model: dsa({ pasid: true, ...profile }) }] }),
    device: ({ core }) => core.buses.get('dsa')?.find('wq0.0'),
    setup: async (kernel) => {
      await addIdxd(kernel, interrupts);
      await setUp(kernel, mode);
    },
  };
}

/** Configures a queue anew: its configuration was forgotten when it was unbound. */
export async function configureQueue(wq: Device, mode: 'shared' | 'dedicated'): Promise<void> {
  const { size: _, ...settings } = SETTINGS_OF[mode];
  for (const [name, value] of Object.entries(settings)) await wq.attributes.write(name, `${value}\n`);
}

async function setUp(kernel: Kernel, mode: 'shared' | 'dedicated'): Promise<void> {
  const bus = kernel.core.buses.get('dsa')!;
  await bus.find('engine0.0')!.attributes.write('group_id', '0\n');
  const wq = bus.find('wq0.0')!;
  await wq.attributes.write('size', `${SETTINGS.size}\n`);
  await configureQueue(wq, mode);
  await bus.attributesOf(bus.findDriver('idxd')!).write('bind', 'dsa0');
}
