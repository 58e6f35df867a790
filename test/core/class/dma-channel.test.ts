import { describe, expect, test } from 'vitest';
import {
  DMA_PREP,
  DMA_WAIT_US,
  type DmaCapabilities,
  type DmaChannel,
  DmaChannels,
  type DmaClient,
  type DmaResult,
  type DmaStatus,
} from '../../../core/class/index.js';
import { Bus, Device, DeviceCore } from '../../../core/device/index.js';
import { VirtualClock } from '../../../core/hal/index.js';
import { Errno } from '../../../core/lib/index.js';

interface Transfer {
  readonly run: () => Partial<DmaResult>;
  readonly flags: number;
  client: DmaClient | undefined;
  result: DmaResult;
}

/** A channel that works on an array, when it is told to: the least that keeps the contract. */
class ArrayChannel implements DmaChannel {
  readonly memory = new Uint8Array(64);
  readonly #prepared: (Transfer | undefined)[] = [];
  readonly #submitted: Transfer[] = [];
  readonly #waits: { cookie: number; resolve: (result: DmaResult) => void }[] = [];

  constructor(readonly dev: Device) {}

  capabilities(): DmaCapabilities {
    return { operations: new Set(['memcpy', 'fill', 'interrupt']), maxTransferBytes: 64, depth: 4 };
  }
  device(): Device {
    return this.dev;
  }

  prepareMemcpy(destination: number, source: number, sizeBytes: number, flags: number = DMA_PREP.INTERRUPT): number {
    return this.#prepare(flags, () => {
      this.memory.copyWithin(destination, source, source + sizeBytes);
      return { bytes: sizeBytes };
    });
  }
  prepareFill(destination: number, lo: number, _hi: number, sizeBytes: number, flags: number = DMA_PREP.INTERRUPT): number {
    return this.#prepare(flags, () => {
      this.memory.fill(lo & 0xff, destination, destination + sizeBytes);
      return { bytes: sizeBytes };
    });
  }
  prepareInterrupt(flags: number = DMA_PREP.INTERRUPT): number {
    return this.#prepare(flags, () => ({}));
  }
  prepareCompare(): number {
    return this.#cannot('compare');
  }
  prepareComparePattern(): number {
    return this.#cannot('compare-pattern');
  }
  prepareDualcast(): number {
    return this.#cannot('dualcast');
  }
  prepareCrc(): number {
    return this.#cannot('crc');
  }
  prepareCopyCrc(): number {
    return this.#cannot('copy-crc');
  }
  prepareCreateDelta(): number {
    return this.#cannot('create-delta');
  }
  prepareApplyDelta(): number {
    return this.#cannot('apply-delta');
  }

  submit(transfer: number, client?: DmaClient): number {
    const one = this.#take(transfer);
    one.client = client;
    one.result = { ...one.result, cookie: this.#submitted.push(one) };
    return one.result.cookie;
  }
  discard(transfer: number): void {
    this.#take(transfer);
  }
  issuePending(): void {}
  ready(): undefined {
    return undefined;
  }
  status(cookie: number): DmaStatus {
    return this.result(cookie).status;
  }
  result(cookie: number): DmaResult {
    return this.#submitted[cookie - 1]!.result;
  }
  async wait(cookie: number, _timeoutUs: number = DMA_WAIT_US): Promise<DmaResult> {
    const { status } = this.result(cookie);
    if (status === 'complete') return this.result(cookie);
    return new Promise((resolve) => this.#waits.push({ cookie, resolve }));
  }
  terminate(): void {
    for (const one of this.#submitted) if (one.result.status === 'in-progress') this.#end(one, { status: 'aborted' });
  }
  synchronize(): undefined {
    return undefined;
  }

  /** The hardware. */
  work(): void {
    for (const one of this.#submitted)
      if (one.result.status === 'in-progress') this.#end(one, { status: 'complete', ...one.run() });
  }

  #prepare(flags: number, run: () => Partial<DmaResult>): number {
    const result: DmaResult = { cookie: 0, status: 'in-progress', bytes: 0, result: 0, value: 0, error: undefined };
    return this.#prepared.push({ run, flags, client: undefined, result }) - 1;
  }
  #take(transfer: number): Transfer {
    const one = this.#prepared[transfer];
    if (one === undefined) throw new Errno('EINVAL', `${this.dev.name}: transfer ${transfer}: is not prepared, or no more`);
    this.#prepared[transfer] = undefined;
    return one;
  }
  #end(one: Transfer, more: Partial<DmaResult>): void {
    one.result = { ...one.result, ...more };
    if ((one.flags & DMA_PREP.INTERRUPT) !== 0) one.client?.transferred(one.result);
    for (const { cookie, resolve } of this.#waits) if (cookie === one.result.cookie) resolve(one.result);
  }
  #cannot(operation: string): never {
    throw new Errno('EOPNOTSUPP', `${this.dev.name}: operation ${operation}: it has memcpy, fill, interrupt`);
  }
}

/** A core with a device that publishes a channel. */
function fixture(
  publish: (dev: Device) => unknown = (dev) => dev.publish(DmaChannels, new ArrayChannel(dev), `${dev.name}chan0`),
) {
  const core = new DeviceCore({ clock: new VirtualClock({ mode: 'manual' }) });
  const bus = new Bus('test');
  core.registerBus(bus);
  void core.registerDriver(bus, { name: 'engine', probe: publish });
  const dev = new Device({ name: 'dma0', bus, release: () => {} });
  void core.add(dev);
  return { core, dev };
}

describe('DmaChannels', () => {
  test('a handle has all that a channel has, and nothing else', () => {
    const { core, dev } = fixture();
    const channel = DmaChannels.get(core, 'dma0chan0');
    const methods = Object.getOwnPropertyNames(ArrayChannel.prototype).filter((name) => !['constructor', 'work'].includes(name));
    const prototype: object = Object.getPrototypeOf(channel);
    expect(
      Object.getOwnPropertyNames(prototype)
        .filter((name) => name !== 'constructor')
        .toSorted(),
    ).toEqual(methods.toSorted());
    expect('memory' in channel).toBe(false);
    expect([channel.device(), channel.capabilities().depth]).toEqual([dev, 4]);
  });

  test('what lacks a method is no channel: EINVAL names it', () => {
    const { dev, core } = fixture((it) => {
      const channel = new ArrayChannel(it);
      Object.defineProperty(channel, 'terminate', { value: undefined });
      it.publish(DmaChannels, channel);
    });
    expect(String(dev.probeError)).toContain('EINVAL: dma0: what it publishes in class dma has no method terminate');
    expect(DmaChannels.list(core)).toEqual([]);
  });

  test('a transfer is prepared, submitted, and its end is told to its client and to who waits', async () => {
    const { core, dev } = fixture();
    const hardware = dev.state as ArrayChannel;
    const channel = DmaChannels.get(core, 'dma0chan0');
    const told: string[] = [];
    const client: DmaClient = { transferred: ({ cookie, status }) => told.push(`${cookie} ${status}`) };
    channel.submit(channel.prepareFill(0, 7, 0, 8), client);
    const copy = channel.submit(channel.prepareMemcpy(8, 0, 4), client);
    const wait = channel.wait(copy);
    expect(channel.status(copy)).toBe('in-progress');
    hardware.work();
    expect(await wait).toMatchObject({ status: 'complete', bytes: 4 });
    expect(told).toEqual(['1 complete', '2 complete']);
    expect([...hardware.memory.subarray(6, 14)]).toEqual([7, 7, 7, 7, 7, 7, 0, 0]);
  });

  test('what is left out of a call is left to the channel: by default the end interrupts', () => {
    const { core, dev } = fixture();
    const channel = DmaChannels.get(core, 'dma0chan0');
    const told: number[] = [];
    const client: DmaClient = { transferred: ({ cookie }) => told.push(cookie) };
    channel.submit(channel.prepareInterrupt(), client);
    channel.submit(channel.prepareInterrupt(0), client);
    (dev.state as ArrayChannel).work();
    expect(told).toEqual([1]);
  });

  test('once its device is unbound a channel is gone: who waits is told, and every call is ENODEV', async () => {
    const { core, dev } = fixture();
    const channel = DmaChannels.get(core, 'dma0chan0');
    const hardware = dev.state as ArrayChannel;
    const transfer = channel.prepareInterrupt();
    const wait = channel.wait(channel.submit(channel.prepareInterrupt()));
    const told = wait.catch((error: Error) => error.message);
    await core.unbind(dev);
    expect(await told).toBe('ENODEV: dma0chan0: is gone');
    expect(() => channel.submit(transfer)).toThrow('ENODEV: dma0chan0: is gone');
    expect(() => channel.capabilities()).toThrow('ENODEV');
    await expect(channel.wait(1)).rejects.toThrow('ENODEV');
    hardware.work();
    expect(DmaChannels.list(core)).toEqual([]);
  });
});
