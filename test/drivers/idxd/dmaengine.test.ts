import { describe, expect, test } from 'vitest';
import { type Device, DmaChannels, System } from '../../../core/index.js';
import type { Kernel } from '../../../core/kernel.js';
import { DriverHarness } from '../../../core/testing/index.js';
import type { IdxdDmaChannel } from '../../../drivers/idxd/dma-channel.js';
import { idxd } from '../../../plugins/idxd.js';
import { hostSim } from '../../../plugins/host-sim.js';
import { HANDLES, Notes, wqHarness } from './dma-fixture.js';

/** A byte a microsecond: what is submitted is under way. */
const SLOW = { bytesPerUs: 1, ...HANDLES.profile } as const;

interface Place {
  readonly kernel: Kernel;
  readonly device: Device;
}

/** Submits a copy on each channel. @returns those who wait for them */
function copy({ kernel, device }: Place, sizeBytes = 20): Promise<unknown>[] {
  return DmaChannels.list(kernel.core).map(([, channel]) => {
    const from = kernel.dma.alloc(device, 4096);
    const to = kernel.dma.alloc(device, 4096);
    return channel.wait(channel.submit(channel.prepareMemcpy(to.address, from.address, sizeBytes)));
  });
}

describe('DmaengineDriver', () => {
  test('probe gives everything back whichever acquisition fails', async () => {
    await using harness = new DriverHarness(wqHarness());
    const mask = 'dma mask 0x1fffffffffffff';
    expect(await harness.failEach()).toEqual([
      mask,
      'dma 512 bytes',
      'queue 0',
      'msix permission',
      'irq 25',
      'queue traffic',
      'class dma',
    ]);
  });

  test('with a slot of the message store, and a handle, as well', async () => {
    await using harness = new DriverHarness(wqHarness(HANDLES.profile, 'ims'));
    const mask = 'dma mask 0x1fffffffffffff';
    // One slot: in the ledger of the function that has the store, and in that of the queue.
    const slot = ['ims slot', 'ims slot'];
    expect(await harness.failEach()).toEqual([
      mask,
      'dma 512 bytes',
      ...slot,
      'irq 26',
      'queue 0',
      'interrupt handle',
      'queue traffic',
      'class dma',
    ]);
  });

  test('the queue may vanish at any access, acquisition and interrupt, and while it works', async () => {
    await using harness = new DriverHarness(wqHarness(SLOW));
    const points = await harness.removeAnywhere(undefined, { use: (place) => Promise.all(copy(place)) });
    expect(points.filter((point) => point.startsWith('interrupt')).length).toBeGreaterThan(3);
  }, 60_000);

  test('a queue that has vanished reaches for no memory, whatever it was doing', async () => {
    await using harness = new DriverHarness(wqHarness(SLOW));
    await harness.bind();
    const ends = Promise.allSettled(copy(harness, 200));
    harness.vanish();
    await harness.unbind();
    await ends;
    await harness.settle(1000);
    expect(harness.violations).toEqual([]);
  });

  test('it may vanish while transfers are aborted, and others wait for their end', async () => {
    await using harness = new DriverHarness(wqHarness(SLOW, 'ims'));
    const points = await harness.removeAnywhere(undefined, {
      use: async (place) => {
        const settled = Promise.allSettled([...copy(place, 200), ...copy(place, 200), ...copy(place, 200)]);
        for (const [, channel] of DmaChannels.list(place.kernel.core)) await channel.terminate();
        const ends = (await settled).map((end) => (end.status === 'rejected' ? String(end.reason) : end.status));
        expect(ends.filter((end) => !/^Errno: (ECANCELED|ENODEV|EIO)/.test(end))).toEqual([]);
      },
    });
    expect(points.length).toBeGreaterThan(50);
  }, 60_000);

  test('holds in every interleaving of binds, removals, interrupts, transfers and their aborts', async () => {
    await using harness = new DriverHarness(wqHarness(SLOW));
    const told: Notes[] = [];
    const submit = (place: Place): void => {
      for (const [, channel] of DmaChannels.list(place.kernel.core)) {
        const notes = new Notes();
        channel.submit(channel.prepareInterrupt(), notes);
        told.push(notes);
      }
    };
    const result = await harness.explore({
      runs: 150,
      operations: {
        work: async (place) => {
          await place.kernel.core.attach(place.device);
          submit(place);
          await Promise.all([...copy(place), ...copy(place, 100)]);
        },
        abort: async (place) => {
          const { core } = place.kernel;
          await core.attach(place.device);
          submit(place);
          const ends = Promise.allSettled(copy(place, 100));
          await Promise.all(DmaChannels.list(core).map(async ([, channel]) => channel.terminate()));
          submit(place);
          await ends;
        },
        look: ({ kernel }) => DmaChannels.list(kernel.core).map(([, channel]) => channel.status(1)),
        sleep: ({ kernel }) => kernel.clock.sleep(15),
      },
    });
    expect(result.schedules).toBe(150);
    // Each client was told once, whatever became of its device.
    expect(told.length).toBeGreaterThan(20);
    expect(told.filter(({ results }) => results.length !== 1)).toEqual([]);
  }, 60_000);

  test('a channel kept past its binding refuses what is prepared, and touches nothing', async () => {
    await using harness = new DriverHarness(wqHarness());
    const kept = await harness.bind<IdxdDmaChannel>();
    const transfer = kept.prepareInterrupt();
    await harness.unbind();
    expect(() => kept.prepareInterrupt()).toThrow('ENODEV: wq0.0: is unbound');
    expect(() => kept.submit(transfer)).toThrow('ENODEV: wq0.0: is unbound');
    expect(() => kept.ready()).toThrow('ENODEV: wq0.0: is unbound');
    expect([kept.terminate(), kept.synchronize(), harness.violations]).toEqual([undefined, undefined, []]);
  });

  test('its ledger reads the same backwards', async () => {
    await using harness = new DriverHarness(wqHarness());
    await harness.bind();
    await harness.unbind();
    expect(harness.trace.isPalindrome('wq0.0')).toBe(true);
  });

  test('the plugin is loaded, unloaded and loaded again, and its channels work', async () => {
    const sim = hostSim({ dsa: 1 });
    await using system = await System.start(sim.plugin, idxd());
    const { dma } = system.kernel;
    for (let round = 0; round < 2; round++) {
      const bus = system.core.buses.get('dsa')!;
      const write = (part: string, name: string, value: string | number) => bus.find(part)!.attributes.write(name, `${value}\n`);
      await write('engine0.0', 'group_id', 0);
      const settings = {
        group_id: 0,
        mode: 'dedicated',
        size: 8,
        priority: 1,
        type: 'kernel',
        name: 'n',
        driver_name: 'dmaengine',
      };
      for (const [name, value] of Object.entries(settings)) await write('wq0.0', name, value);
      await bus.attributesOf(bus.findDriver('idxd')!).write('bind', 'dsa0');
      await bus.attributesOf(bus.findDriver('dmaengine')!).write('bind', 'wq0.0');
      const channel = system.get(DmaChannels, 'dma0chan0');
      const buffer = dma.alloc(channel.device(), 64);
      await channel.wait(channel.submit(channel.prepareFill(buffer.address, round + 1, 0, 64)));
      expect(buffer.read32(56)).toBe(round + 1);
      await system.unload('idxd');
      expect(() => channel.capabilities()).toThrow('ENODEV: dma0chan0: is gone');
      expect([system.list(DmaChannels), system.kernel.irqs.list()]).toEqual([[], []]);
      if (round === 0) await system.load(idxd());
    }
  });
});
