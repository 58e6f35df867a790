import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { PacketLoad } from './load.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Bytes of the heap that a packet takes, whether or not they are garbage at once. */
function bytesPerPacket(load: PacketLoad, packets: number): number {
  const batches = packets / load.batch;
  let least = Infinity;
  // The compiler takes its time, and what it makes is on the heap too.
  for (let round = 0; round < 8; round++) {
    collect();
    const start = getHeapStatistics().used_heap_size;
    expect(load.run(batches)).toBe(packets);
    least = Math.min(least, (getHeapStatistics().used_heap_size - start) / packets);
  }
  return least;
}

describe('nic data path', () => {
  test.each([1, 64])('a packet allocates nothing, %i to a doorbell', (batch) => {
    // The smallest object has 16 bytes.
    expect(bytesPerPacket(new PacketLoad(batch), 65_536)).toBeLessThan(8);
  });

  test('what a packet asks of memory does not grow with the queues that there are', () => {
    const accesses = (live: number): number => {
      const load = new PacketLoad(32, 60, live);
      const { memory, device } = load.from.driver.host;
      let count = 0;
      for (const name of ['read', 'write', 'read32', 'write32'] as const) {
        const access = memory[name] as (...args: unknown[]) => unknown;
        Object.assign(memory, { [name]: (...args: unknown[]) => (count++, access(...args)) });
      }
      expect(device.pf.sqs.filter((sq) => sq !== undefined)).toHaveLength(live + 1);
      load.run(32);
      return count / 1024;
    };
    const few = accesses(0);
    expect(accesses(200)).toBe(few);
    // A packet is read and written, a completion written in two parts; and what 8 and 32 packets share.
    expect(few).toBeLessThan(4.4);
  });
});
