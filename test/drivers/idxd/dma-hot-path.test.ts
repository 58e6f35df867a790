import { describe, expect, test, vi } from 'vitest';
import { type DmaChannel, DmaChannels, type DmaResult } from '../../../core/index.js';
import { KernelPath } from '../../../drivers/idxd/submit.js';
import { allocatedBy } from '../../helpers/allocated-by.js';
import { Bench } from './fixture.js';

/** Rounds of so many descriptors: an allocation for each would be 16 bytes or more. */
const DESCRIPTORS = 4000;
const WARM_UP = 20;
const ROUNDS = 9;

/** Enabled queues, of which the first is used. Devices reach memory as it is: what an IOMMU's model allocates is not the driver's. */
async function channel(queues: number): Promise<{ bench: Bench; channel: DmaChannel }> {
  const profile = { workQueues: queues, wqSizeTotal: 16 * queues };
  const bench = await Bench.start({ profile, machine: { iommu: false } });
  for (let n = 0; n < queues; n++) {
    await bench.configure(n, { driver_name: 'dmaengine', size: 16, group_id: 0 });
  }
  await bench.bind('dsa0');
  for (let n = 0; n < queues; n++) await bench.bind(`wq0.${n}`, 'dmaengine');
  return { bench, channel: bench.system.get(DmaChannels, 'dma0chan0') };
}

class Counter {
  told = 0;
  bytes = 0;
  transferred({ bytes }: DmaResult): void {
    this.told++;
    this.bytes += bytes;
  }
}

describe('a descriptor on its way from the client to its completion', () => {
  test.each([1, 8])(
    'allocates nothing, %d at a time',
    async (atOnce) => {
      const { bench, channel: one } = await channel(1);
      await using _bench = bench;
      const { dma } = bench.system.kernel;
      const from = dma.alloc(one.device(), 4096).address;
      const to = dma.alloc(one.device(), 4096).address;
      const client = new Counter();
      const round = (): void => {
        for (let n = 0; n < DESCRIPTORS; n += atOnce) {
          for (let i = 0; i < atOnce; i++) one.submit(one.prepareMemcpy(to, from, 64, 1), client);
          bench.sim.elapse(2);
        }
      };
      for (let n = 0; n < WARM_UP; n++) round();
      const bytes = await allocatedBy(() => {
        for (let n = 0; n < ROUNDS; n++) round();
      });
      expect(client.told).toBe((WARM_UP + ROUNDS) * DESCRIPTORS);
      expect(bytes / (ROUNDS * DESCRIPTORS)).toBeLessThan(4);
    },
    60_000,
  );

  test('costs what it costs however many queues are at work: nobody looks at theirs', async () => {
    const { bench, channel: one } = await channel(8);
    await using _bench = bench;
    const others = bench.system.list(DmaChannels).slice(1);
    // Nobody is told of these, nor looks.
    for (const [, other] of others) for (let n = 0; n < 16; n++) other.submit(other.prepareInterrupt(0));
    await bench.settle(100);
    const looks = bench.idxd.wqs.map(({ kernelPath }) => {
      if (!(kernelPath instanceof KernelPath)) throw new Error('a queue has no path');
      return vi.spyOn(kernelPath.pool, 'status');
    });
    const stores = vi.spyOn(bench.silicon.portals, 'movdir64b');
    bench.takeWire();
    for (let n = 0; n < 100; n++) {
      one.submit(one.prepareInterrupt());
      bench.sim.elapse(2);
    }
    expect(looks.map(({ mock }) => mock.calls.length)).toEqual([100, 0, 0, 0, 0, 0, 0, 0]);
    // One store of 64 bytes for each, and no register is touched.
    expect([stores.mock.calls.length, bench.takeWire()]).toEqual([100, []]);
  });
});
