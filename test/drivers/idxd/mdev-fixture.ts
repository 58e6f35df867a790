import type {
  EventFd,
  MdevDevice,
  MdevParent,
  MdevType,
  MsiDomain,
  PasidCookie,
  Vfio,
  VfioContainer,
} from '../../../core/index.js';
import { SubDevice } from '../../../drivers/idxd/mdev/sub-device.js';
import type { VirtualDevice } from '../../../drivers/idxd/mdev/virtual-device.js';
import * as DSA from '../../../hw/regs/dsa.js';
import { Bench, type BenchOptions } from './fixture.js';
import { DESTINATION, PAGE, Process, RECORD, RECORDS, SOURCE, descriptor } from './user-fixture.js';

const SETTINGS = { group_id: 0, size: 16, priority: 10, type: 'mdev', name: 'part', driver_name: 'mdev' } as const;
const SHARED = { ...SETTINGS, mode: 'shared', threshold: 8 } as const;
const DEDICATED = { ...SETTINGS, mode: 'dedicated' } as const;

/** By the mode of a queue. */
export const TYPES = { dedicated: 'dsa-1dwq-v1', shared: 'dsa-1swq-v1' } as const;

/** Attributes of a queue, or what it is without more. */
export type QueueOptions = 'shared' | 'dedicated' | Readonly<Record<string, string | number>>;

/** As a user makes one up: the last digits are the number. */
export const uuidOf = (n: number): string => `83b8f4f2-509f-382f-3c1e-${n.toString(16).padStart(12, '0')}`;

export function settingsOf(queue: QueueOptions): Readonly<Record<string, string | number>> {
  if (queue === 'shared') return SHARED;
  return queue === 'dedicated' ? DEDICATED : queue;
}

/** A system whose accelerator has queues to make virtual devices of: `wq0.0` and more. */
export class Parts implements AsyncDisposable {
  readonly #processes: Process[] = [];
  #made = 0;

  private constructor(readonly bench: Bench) {}

  static async start(queues: readonly QueueOptions[], { profile, machine, ...options }: BenchOptions = {}): Promise<Parts> {
    const bench = await Bench.start({ machine: { iommu: true, ...machine }, ...options, profile: { pasid: true, ...profile } });
    for (const [index, queue] of queues.entries()) await bench.configure(index, settingsOf(queue));
    await bench.bind('dsa0');
    for (const index of queues.keys()) await bench.bind(`wq0.${index}`, 'mdev');
    return new Parts(bench);
  }

  get vfio(): Vfio {
    return this.bench.system.kernel.vfio;
  }

  /** The one domain of the message store. */
  get ims(): MsiDomain<PasidCookie> {
    return this.bench.idxd.ims!;
  }

  get parent(): MdevParent {
    return this.bench.system.kernel.mdev.parents.find(({ dev }) => dev === this.bench.idxd.dev)!;
  }

  /** The type of what is made of a queue. */
  type(index = 0): MdevType {
    return this.parent.type(TYPES[this.bench.wq(index).mode])!;
  }

  /** Makes one of the first queue that has room, of those of one mode with this one. */
  async create(index = 0, uuid = uuidOf(this.#made++)): Promise<MdevDevice> {
    return this.bench.system.kernel.mdev.create(this.type(index), uuid);
  }

  async remove(dev: MdevDevice): Promise<void> {
    await this.bench.system.kernel.mdev.remove(dev);
  }

  process(name: string): Process {
    const process = new Process(this.bench.sim.dma, name);
    this.#processes.push(process);
    return process;
  }

  /** Opens one, with all memory of a process mapped for it, under the addresses that it has there. */
  open(dev: MdevDevice, process: Process): Promise<SubDevice> {
    return openPart(this.vfio, dev, process);
  }

  /** Lets the device do what it was told, and tell it. */
  settle(us = 100): Promise<void> {
    return this.bench.settle(us);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.vfio.close();
    for (const process of this.#processes) process[Symbol.dispose]();
    await this.bench[Symbol.asyncDispose]();
  }
}

export async function openPart(vfio: Vfio, dev: MdevDevice, { space }: Process): Promise<SubDevice> {
  const container = vfio.container(space);
  const part = await SubDevice.open(vfio, dev.name, container);
  mapAll(container);
  return part;
}

/** Maps the pages that a process has, where it has them. */
export function mapAll(container: VfioContainer): void {
  for (const iova of [RECORDS, SOURCE, DESTINATION]) {
    container.map({ iova, vaddr: iova, sizeBytes: PAGE, read: true, write: true });
  }
}

/** A copy whose completion interrupts. */
export const copy = ({ handle = 0 }: { readonly handle?: number | undefined }): Uint32Array =>
  descriptor({ flags: RECORD | DSA.FLAGS.requestInterrupt, handle });

/** What the emulation of a virtual device knows of itself. */
export const stateOf = (dev: MdevDevice): VirtualDevice => dev.state as VirtualDevice;

/** How often an eventfd was signalled since it was looked at last. */
export function take(eventfd: EventFd): number {
  return eventfd.count === 0 ? 0 : eventfd.read();
}
