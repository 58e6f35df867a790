import { describe, expect, test } from 'vitest';
import { type DmaChannel, DmaChannels, type DmaMapping, type DmaResult, Errno } from '../../../core/index.js';
import { Random } from '../../../core/lib/index.js';
import { defaultSeed } from '../../../core/testing/index.js';
import { idxd } from '../../../plugins/idxd.js';
import { HANDLES, PASIDS } from './dma-fixture.js';
import { ADDRESS, Bench } from './fixture.js';

const RUNS = 6;
const STEPS = 150;
const MOST_BYTES = 250;

/** A transfer between mappings of its own, which end when it does: what the device did later would have nowhere to go. */
class Transfer {
  told = 0;
  isRight = true;
  readonly #source: DmaMapping;
  readonly #destination: DmaMapping;
  readonly #output: Uint8Array;

  constructor(
    bench: Bench,
    channel: DmaChannel,
    readonly sizeBytes: number,
  ) {
    const { dma } = bench.system.kernel;
    const dev = channel.device();
    this.#output = new Uint8Array(sizeBytes);
    this.#source = dma.map(dev, new Uint8Array(sizeBytes).fill(sizeBytes), 'to-device');
    this.#destination = dma.map(dev, this.#output, 'from-device');
  }

  /** @returns its cookie */
  submit(channel: DmaChannel, flags: number): number {
    try {
      return channel.submit(channel.prepareMemcpy(this.#destination.address, this.#source.address, this.sizeBytes, flags), this);
    } catch (error) {
      this.#end();
      throw error;
    }
  }

  transferred({ status, bytes }: DmaResult): void {
    this.told++;
    this.#end();
    const isWhole = bytes === this.sizeBytes && this.#output.every((byte) => byte === this.sizeBytes);
    this.isRight = status === 'aborted' || (status === 'complete' && isWhole);
  }

  #end(): void {
    this.#source[Symbol.dispose]();
    this.#destination[Symbol.dispose]();
  }
}

/** Everything that can happen to a channel, in any order. */
class Play {
  readonly transfers: Transfer[] = [];
  readonly pending = new Set<Promise<unknown>>();
  readonly wrong: unknown[] = [];
  /** The device has halted: until the driver knows, it submits what is lost. */
  mayLose = false;
  #last = 0;
  readonly #steps: readonly [weight: number, step: () => unknown][] = [
    [12, () => this.#submit()],
    [4, () => this.bench.settle(this.random.below(200))],
    [2, () => this.channel?.wait(1 + this.random.below(this.#last + 1), 1 + this.random.below(2000))],
    [1, () => this.channel?.ready(1 + this.random.below(2000))],
    [1, () => this.channel?.status(1 + this.random.below(this.#last + 1))],
    [1, () => this.channel?.terminate()],
    [1, () => this.channel?.discard(this.channel.prepareInterrupt())],
    [1, () => this.#loseInterrupt()],
    [1, () => this.bench.silicon.revokeHandles()],
    [1, () => this.bench.unbind(this.random.below(3) === 0 ? 'dsa0' : 'wq0.0')],
    [0.2, () => this.#halt()],
    [3, () => this.enable()],
  ];

  constructor(
    readonly bench: Bench,
    readonly random: Random,
    readonly mode: 'dedicated' | 'shared',
  ) {}

  get channel(): DmaChannel | undefined {
    return this.bench.system.list(DmaChannels)[0]?.[1];
  }

  /** Configures what can be, and binds what can be. */
  async enable(): Promise<void> {
    const { bench, mode } = this;
    if (this.channel !== undefined) return;
    const more = mode === 'shared' ? { threshold: 6 } : {};
    const settings = { group_id: 0, mode, size: 8, priority: 10, type: 'kernel', name: 'n', driver_name: 'dmaengine', ...more };
    await bench.write('engine0.0', 'group_id', 0).catch(() => {});
    for (const [name, value] of Object.entries(settings)) await bench.write('wq0.0', name, value).catch(() => {});
    await bench.bind('dsa0').catch(() => {});
    await bench.bind('wq0.0', 'dmaengine');
  }

  step(): void {
    let at = (this.random.next32() / 2 ** 32) * this.#steps.reduce((sum, [weight]) => sum + weight, 0);
    const [, run] = this.#steps.find(([weight]) => (at -= weight) < 0)!;
    const promise = (async () => run())().catch((error: unknown) => {
      if (!Errno.is(error)) this.wrong.push(error);
    });
    this.pending.add(promise);
    void promise.then(() => this.pending.delete(promise));
  }

  #submit(): void {
    const { bench, channel, random } = this;
    if (channel === undefined) return;
    const transfer = new Transfer(bench, channel, 1 + random.below(MOST_BYTES));
    this.#last = transfer.submit(channel, random.below(4) === 0 ? 0 : 1);
    this.transfers.push(transfer);
  }

  #halt(): void {
    this.mayLose = true;
    this.bench.silicon.halt((['software', 'flr', 'warm'] as const)[this.random.below(3)]);
  }

  #loseInterrupt(): void {
    const { interrupts } = this.bench.silicon;
    const own = Object.getOwnPropertyDescriptor(interrupts, 'signal');
    if (own !== undefined) return;
    Object.defineProperty(interrupts, 'signal', {
      configurable: true,
      value: () => Reflect.deleteProperty(interrupts, 'signal'),
    });
  }
}

describe.each([
  ['a dedicated queue', 'dedicated', {}, {}],
  ['one whose interrupt handles are taken back', 'dedicated', HANDLES.profile, {}],
  ['one with interrupts of the message store', 'dedicated', HANDLES.profile, { interrupts: 'ims' }],
  ['a shared queue', 'shared', { ...PASIDS.profile, ...HANDLES.profile }, {}],
] as const)('%s, whatever is done to it', (_what, mode, profile, options) => {
  test('tells each client once, wakes all who wait, and touches no memory that is not mapped', async () => {
    const seed = defaultSeed();
    const all: Transfer[] = [];
    for (let run = 0; run < RUNS; run++) {
      const random = new Random(seed * 1000 + run);
      await using bench = await Bench.start({ profile: { ...profile, bytesPerUs: 2 }, plugin: idxd(options) });
      const play = new Play(bench, random, mode);
      await play.enable();
      for (let n = 0; n < STEPS; n++) {
        play.step();
        for (let turns = random.below(4); turns > 0; turns--) await Promise.resolve();
        if (random.below(8) === 0) await bench.settle(random.below(300));
      }
      if (run % 3 === 0) bench.sim.yank(ADDRESS);
      const removal = run % 3 === 1 ? bench.sim.yank(ADDRESS, { silent: true }) : undefined;
      // Who has had a device that says nothing has noticed by now, and has not been told.
      if (removal !== undefined) await bench.settle(20_000);
      removal?.report();
      while (play.pending.size > 0) await Promise.all([...play.pending, bench.settle(1000)]);
      if (bench.system.list(DmaChannels).length > 0) await bench.unbind('wq0.0');
      await bench.settle(1000);
      const badly = play.transfers.filter(({ told, isRight }) => told !== 1 || !isRight);
      const { iommuFaults, dmaFaults, modelErrors, guestErrors } = bench.sim;
      const faults = [...iommuFaults, ...dmaFaults, ...modelErrors, ...(play.mayLose ? [] : guestErrors)];
      expect({ run, seed, wrong: play.wrong, badly, faults }).toEqual({ run, seed, wrong: [], badly: [], faults: [] });
      all.push(...play.transfers);
    }
    expect(all.length).toBeGreaterThan(100);
  }, 60_000);
});
