import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { defaultSeed } from 'backplane/testing';
import { DsaBench } from '../acceptance/dsa-bench.js';
import { PAGES, World, step } from './dsa-world.js';

describe('the accelerator under any commands, configuration, work, pages that come and go, and resets', () => {
  test('writes where it may and nowhere else, keeps its bounds, and comes to rest', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80, size: 'max' }), fc.boolean(), async (steps, isPulledOut) => {
        await using bench = await DsaBench.start({ pasid: true, delta: true, commandCap: 0x7ffe });
        const world = new World(bench);
        for (const s of steps) {
          world.take(s);
          for (const wq of bench.pins.queues) expect(wq.occupancy).toBeLessThanOrEqual(wq.size);
        }
        if (isPulledOut) {
          bench.sim.yank('00:05.0', { silent: true });
          for (let page = 0; page < PAGES; page++) world.access(page, 'none');
        }
        bench.elapse();
        world.checkAll();
        if (isPulledOut) return;
        for (const wq of bench.pins.queues) expect(wq.occupancy).toBe(0);
        expect(bench.r32(0xa8) >>> 31).toBe(0);
        await bench.reset();
        world.setUp();
        expect(bench.run({}, { wq: 1 }).status).toBe(1);
        world.checkAll();
      }),
      { seed: defaultSeed(), numRuns: 120 },
    );
  }, 120_000);
});
