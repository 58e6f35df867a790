import { describe, expect, test } from 'vitest';
import { VnetBench, frame, macOf } from './fixture.js';

describe('two users with a sub-function each', () => {
  test('frames of every size come byte for byte', async () => {
    await using bench = await VnetBench.start();
    await using a = await bench.guest(0);
    await using b = await bench.guest(1);
    expect([a.mac, b.mac]).toEqual([macOf(0), macOf(1)]);
    const sizes = [14, 15, 60, 63, 64, 65, 1499, 1500, 1514, 1518];
    const sent = sizes.map((size, n) => frame(b.mac, a.mac, size, n));
    for (const one of sent) a.send(1, one);
    await bench.settle();
    expect(b.received(0)).toEqual(sent);
    expect(bench.sim.iommuFaults).toEqual([]);
  });
});
