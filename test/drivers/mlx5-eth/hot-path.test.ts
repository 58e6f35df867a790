import { describe, expect, test } from 'vitest';
import { XMIT } from '../../../core/index.js';
import { allocatedBy } from '../../helpers/allocated-by.js';
import { EthBench, frame } from './fixture.js';

/** Rounds of so many frames: an allocation for each frame would be 16 bytes or more. */
const FRAMES = 4096;
const WARM_UP = 40;
const ROUNDS = 20;
const MOST_BYTES = 8;
describe('a frame on its way from one user to the other', () => {
  test.each([
    [256, 64, false],
    [256, 1500, false],
    [256, 64, true],
  ])(
    'allocates nothing, %d at a time, of %d bytes, with adaptive moderation: %s',
    async (batch, size, adapts) => {
      const options = { channels: 1, logSqSize: 9, logRqSize: 9, adaptiveRx: adapts, adaptiveTx: adapts };
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
      for (let n = 0; n < WARM_UP; n++) {
        round();
        // What moderation chooses is applied.
        await bench.settle();
      }
      const used = await allocatedBy(() => {
        for (let n = 0; n < ROUNDS; n++) round();
      });
      const rounds = WARM_UP + ROUNDS;
      expect([count, bytes]).toEqual([rounds * FRAMES, rounds * FRAMES * size]);
      expect(used / (ROUNDS * FRAMES)).toBeLessThan(MOST_BYTES);
    },
    60_000,
  );
});
