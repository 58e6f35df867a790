import { AddressSpace, type MdevDevice, VFIO_PCI_REGION, type VfioFile } from 'backplane';
import { SubDevice } from 'backplane/plugins/idxd';
import { IdxdBench, codeOf } from './idxd-bench.js';

export const PAGE = 4096;
export const RECORD = 0x1_0000;
export const DATA = 0x2_0000;
export const FUNCTION = '0000:00:05.0';
export const DEDICATED = 'idxd-dsa-1dwq-v1';
export const SHARED = 'idxd-dsa-1swq-v1';
const { BAR0 } = VFIO_PCI_REGION;
export const uuid = (n: number): string => `83b8f4f2-509f-382f-3c1e-e6bfe0fa10${n.toString().padStart(2, '0')}`;
export const MDEV = { type: 'mdev', name: 'part', driver_name: 'mdev' } as const;

/** Accelerator queues for users of virtual machines; each user has three pages of his own. */
export class MdevBench implements AsyncDisposable {
  readonly #pages: number[] = [];
  private constructor(
    readonly bench: IdxdBench,
    readonly type: string,
  ) {}

  static async start(wqs: number, settings: Readonly<Record<string, string | number>> = {}, part = {}): Promise<MdevBench> {
    const bench = await IdxdBench.start({ pasid: true, ...part });
    for (let wq = 0; wq < wqs; wq++) await bench.setUp(wq, { ...MDEV, ...settings });
    await bench.must(bench.bind('dsa0'), 'dsa0');
    for (let wq = 0; wq < wqs; wq++) await bench.must(bench.bind(`wq0.${wq}`, 'mdev'), `wq0.${wq}`);
    return new MdevBench(bench, settings['mode'] === 'shared' ? SHARED : DEDICATED);
  }

  get kernel() {
    return this.bench.system.kernel;
  }

  /** An attribute of a type: by default of the one that the queues of this bench are for. */
  attribute(name: string, type = this.type): string {
    return this.bench.dev(FUNCTION).attributes.read(`mdev_supported_types/${type}/${name}`).trim();
  }
  create(n: number, type = this.type): Promise<string> {
    return codeOf(() => this.bench.dev(FUNCTION).attributes.write(`mdev_supported_types/${type}/create`, `${uuid(n)}\n`));
  }
  part(n: number): MdevDevice {
    return this.kernel.mdev.find(uuid(n)) as MdevDevice;
  }
  remove(n: number): Promise<string> {
    return codeOf(() => this.part(n).attributes.write('remove', '1\n'));
  }

  /** A user's memory, all of it mapped at the same addresses for his devices. */
  memory(name: string): AddressSpace {
    const space = new AddressSpace(name);
    const base = this.bench.sim.dma.alloc(3 * PAGE, { mask: 2 ** 40 - 1 });
    this.#pages.push(base);
    this.bench.sim.dma.write(base, new Uint8Array(3 * PAGE), 0, 3 * PAGE);
    space.map(RECORD, base, PAGE);
    space.map(DATA, base + PAGE, 2 * PAGE);
    return space;
  }
  peek(space: AddressSpace, address: number): number {
    return this.bench.sim.dma.read32(space.physicalOf(address)!);
  }

  /** Opens a part as whoever runs a virtual machine does. */
  async open(n: number, space: AddressSpace): Promise<SubDevice> {
    const container = this.kernel.vfio.container(space);
    const part = await SubDevice.open(this.kernel.vfio, uuid(n), container);
    container.map({ iova: RECORD, vaddr: RECORD, sizeBytes: PAGE, read: true, write: true });
    container.map({ iova: DATA, vaddr: DATA, sizeBytes: 2 * PAGE, read: true, write: true });
    return part;
  }
  async file(n: number, space = this.memory('user')): Promise<VfioFile> {
    const file = this.kernel.vfio.openDevice(uuid(n));
    await file.bind(this.kernel.vfio.container(space));
    return file;
  }

  /** Control words of the first slots: 1 masked. */
  slots(count = 4): number[] {
    return Array.from({ length: count }, (_, n) => this.bench.r32(0x8000 + 16 * n + 12));
  }
  settle(us = 1000): Promise<void> {
    return this.bench.settle(us);
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.bench.unbind('dsa0');
    for (const base of this.#pages) this.bench.sim.dma.free(base);
    await this.bench[Symbol.asyncDispose]();
  }
}

export function descriptor(value: number, handle: number | undefined, destination = DATA): Uint32Array {
  const words = new Uint32Array(16);
  words.set([0, handle === undefined ? 0x0400_000c : 0x0400_001c, RECORD, 0, value, 0, destination, 0, 4, handle ?? 0]);
  return words;
}
export function r32(file: VfioFile, offset: number, region: number = BAR0): number {
  const out = new Uint8Array(4);
  file.read(region, offset, out);
  return new DataView(out.buffer).getUint32(0, true);
}
export function w32(file: VfioFile, offset: number, value: number, region: number = BAR0): void {
  const data = new Uint8Array(4);
  new DataView(data.buffer).setUint32(0, value, true);
  file.write(region, offset, data);
}
