import { type HeapProfiler, Session } from 'node:inspector/promises';
import { describe, expect, test } from 'vitest';
import { XMIT } from '../../../core/index.js';
import { EthBench, frame } from './fixture.js';

/** Rounds of so many frames: an allocation for each frame would be 16 bytes or more. */
const FRAMES = 4096;
const WARM_UP = 40;
const ROUNDS = 20;
/** Of so many bytes that are allocated one is looked at, whether or not it is collected; what the engine compiles does not count. */
const SAMPLING = {
  samplingInterval: 128,
  includeObjectsCollectedByMajorGC: true,
  includeObjectsCollectedByMinorGC: true,
};

const bytesOf = ({ selfSize, children }: HeapProfiler.SamplingHeapProfileNode): number =>
  children.reduce((sum, child) => sum + bytesOf(child), selfSize);

/** Bytes that a function allocates. */
async function allocatedBy(run: () => void): Promise<number> {
  const session = new Session();
  session.connect();
  await session.post('HeapProfiler.startSampling', SAMPLING);
  run();
  const { profile } = await session.post('HeapProfiler.stopSampling');
  session.disconnect();
  return bytesOf(profile.head);
}

describe('a frame on its way from one user to the other', () => {
  test.each([
    [256, 64],
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
      const used = await allocatedBy(() => {
        for (let n = 0; n < ROUNDS; n++) round();
      });
      expect([count, bytes]).toEqual([(WARM_UP + ROUNDS) * FRAMES, (WARM_UP + ROUNDS) * FRAMES * size]);
      expect(used / (ROUNDS * FRAMES)).toBeLessThan(8);
    },
    60_000,
  );
});
