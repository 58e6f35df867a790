import { getHeapStatistics } from 'node:v8';
import { describe, expect, test } from 'vitest';
import { XMIT } from '../../../core/index.js';
import { EthBench, frame } from './fixture.js';

/** Rounds of so many frames, after which the code is what it stays: an allocation for each would be 16 bytes or more. */
const FRAMES = 4096;
const WARM_UP = 40;
const ROUNDS = 9;

describe('a frame on its way from one user to the other', () => {
  test.each([
    [32, 64],
    [256, 1500],
  ])(
    'allocates nothing, %d at a time, of %d bytes',
    async (batch, size) => {
      const options = { channels: 1, logSqSize: 9, logRqSize: 9 };
      await using bench = await EthBench.start({ options, machine: { cpus: 2, iommu: false } });
      const [a, b] = [bench.eth(0), bench.eth(1)];
      await a.open();
      await b.open();
      const one = frame(b.info().mac, a.info().mac, size);
      let count = 0;
      let bytes = 0;
      b.onReceive((_buffer, _offset, length) => {
        count++;
        bytes += length;
      });
      const round = (): void => {
        for (let n = 0; n < FRAMES; n += batch) {
          for (let i = 1; i <= batch; i++) if (a.send(0, one, 0, size, i < batch) !== XMIT.OK) throw new Error('full');
          bench.sim.elapse(60);
        }
      };
      for (let n = 0; n < WARM_UP; n++) round();
      const used = Array.from({ length: ROUNDS }, () => {
        const before = getHeapStatistics().used_heap_size;
        round();
        return (getHeapStatistics().used_heap_size - before) / FRAMES;
      });
      expect([count, bytes]).toEqual([(WARM_UP + ROUNDS) * FRAMES, (WARM_UP + ROUNDS) * FRAMES * size]);
      used.sort((x, y) => x - y);
      // The median: a collection in one of them, or a compilation, is not what is looked for.
      expect(used[ROUNDS >> 1]).toBeLessThan(8);
    },
    60_000,
  );
});
