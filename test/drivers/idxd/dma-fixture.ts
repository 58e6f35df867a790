import {
  type DmaBuffer,
  type DmaChannel,
  DmaChannels,
  type DmaClient,
  type DmaResult,
  type DmaStatus,
} from '../../../core/index.js';
import type { Kernel } from '../../../core/kernel.js';
import type { HarnessOptions } from '../../../core/testing/index.js';
import type { Wq } from '../../../drivers/idxd/wq.js';
import { IdxdDeviceDriver } from '../../../drivers/idxd/device-driver.js';
import { DmaengineDriver } from '../../../drivers/idxd/dmaengine-driver.js';
import { DsaBus } from '../../../drivers/idxd/dsa-bus.js';
import { IdxdDriver } from '../../../drivers/idxd/idxd-driver.js';
import { KernelPath } from '../../../drivers/idxd/submit.js';
import { type DsaProfile, dsa } from '../../../hw/models/dsa/index.js';
import { Machine } from '../../../hw/sim/index.js';
import { Bench, type BenchOptions } from './fixture.js';
import { SMALL, bind, configure, write } from './harness.js';

/** What a {@link Lane} is, beside a bench. */
export interface LaneOptions extends BenchOptions {
  /** Attributes of the queue. */
  readonly wq?: Readonly<Record<string, string | number>>;
}

/** Settings of a machine, and of a device, with address spaces. */
export const PASIDS = { profile: { pasid: true }, machine: { iommu: true } } as const satisfies BenchOptions;
/** Of a device that gives out interrupt handles. */
export const HANDLES = { profile: { commandCap: 0x7ffe } } as const satisfies BenchOptions;

/** A bench with `wq0.0` enabled as a channel, and memory for it. */
export class Lane implements AsyncDisposable {
  readonly channel: DmaChannel;
  readonly from: DmaBuffer;
  readonly to: DmaBuffer;

  private constructor(readonly bench: Bench) {
    this.channel = bench.system.get(DmaChannels, 'dma0chan0');
    this.from = bench.system.kernel.dma.alloc(this.wq, 0x1_0000);
    this.to = bench.system.kernel.dma.alloc(this.wq, 0x1_0000);
  }

  static async open({ wq = {}, ...options }: LaneOptions = {}): Promise<Lane> {
    const bench = await Bench.start(options);
    await bench.configure(0, { driver_name: 'dmaengine', ...wq });
    await bench.bind('dsa0');
    await bench.bind('wq0.0', 'dmaengine');
    return new Lane(bench);
  }

  get wq(): Wq {
    return this.bench.wq();
  }

  get path(): KernelPath {
    const path = this.wq.kernelPath;
    if (path instanceof KernelPath) return path;
    throw new Error('wq0.0 has no path');
  }

  /** Submits a copy of some bytes. @param flags default with an interrupt */
  copy(client?: DmaClient, sizeBytes = 4096, flags?: number): number {
    return this.channel.submit(this.channel.prepareMemcpy(this.to.address, this.from.address, sizeBytes, flags), client);
  }

  /** How many descriptors are taken. */
  get used(): number {
    return this.path.pool.used;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.bench[Symbol.asyncDispose]();
  }
}

/** The first bytes of what a lane copies to, from `offset` on. */
export function bytesOf({ to }: Lane, length: number, offset = 0): number[] {
  const out = new Uint8Array(length);
  to.read(offset, out);
  return [...out];
}

/** What a call throws. */
export function messageOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return 'nothing thrown';
}

/** A client that writes down what it is told. */
export class Notes implements DmaClient {
  readonly results: { cookie: number; status: DmaStatus; error: string | undefined }[] = [];
  transferred({ cookie, status, error }: DmaResult): void {
    this.results.push({ cookie, status, error: error?.code });
  }
  get statuses(): DmaStatus[] {
    return this.results.map(({ status }) => status);
  }
}

/** The harness with `wq0.0` as the device under test: its accelerator is enabled, and itself configured. */
export function wqHarness(profile: DsaProfile = {}, interrupts?: 'msix' | 'ims'): HarnessOptions {
  return {
    driver: ({ dma, irqs }) => new DmaengineDriver(dma, irqs),
    pendingMayFail: false,
    bus: 'dsa',
    host: () => new Machine({ devices: [{ at: '00:05.0', model: dsa({ ...SMALL, ...profile }) }] }),
    device: ({ core }) => core.buses.get('dsa')?.find('wq0.0'),
    setup: async (kernel) => {
      await addIdxd(kernel, interrupts);
      await configure(kernel);
      await write(kernel, 'wq0.0', 'driver_name', 'dmaengine');
      await bind(kernel, 'dsa0', 'idxd');
    },
  };
}

/** Bus `dsa`, and the drivers of the function and of the accelerator. */
export async function addIdxd({ core, dma, ims, iommu, pci }: Kernel, interrupts?: 'msix' | 'ims'): Promise<void> {
  const bus = new DsaBus();
  core.registerBus(bus);
  await core.registerDriver(core.buses.get(bus.name)!, new IdxdDeviceDriver());
  const options = interrupts === undefined ? {} : { interrupts };
  await core.registerDriver(pci.bus, new IdxdDriver(core, bus, ims, dma, iommu, options));
}
