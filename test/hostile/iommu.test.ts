import * as fc from 'fast-check';
import { describe, test } from 'vitest';
import { defaultSeed } from 'backplane/testing';
import { Bench } from '../acceptance/iommu-bench.js';
import { CARDS, World, step } from './iommu-world.js';

describe('the IOMMU under any mappings, attachments and accesses', () => {
  test('every access ends as the table says at that moment, byte by byte, and memory is nobody else’s', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
        await using bench = await Bench.start({ cards: CARDS.map((at) => ({ at: at.slice(5) })) });
        const world = new World(bench);
        for (const s of steps) world.take(s);
        world.check();
      }),
      { seed: defaultSeed(), numRuns: 60 },
    );
  }, 120_000);
});
