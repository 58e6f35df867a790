import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CpuMask, Errno } from '../../../core/index.js';
import type { BalancedPool, VectorLease } from '../../../drivers/lib/vectors/index.js';
import { VectorScene } from './vectors-fixture.js';

const CPUS = 4;
const SHARE_BELOW = 3;

type Step =
  | { readonly do: 'request'; readonly cpus: number }
  | { readonly do: 'attach' | 'release'; readonly which: number }
  | { readonly do: 'move'; readonly which: number; readonly cpu: number }
  | { readonly do: 'take' | 'give' };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({ do: fc.constant('request' as const), cpus: fc.integer({ min: 1, max: 2 ** CPUS - 1 }) }),
    },
    { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('attach' as const, 'release' as const), which: fc.nat(99) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('move' as const), which: fc.nat(99), cpu: fc.nat(CPUS - 1) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('take' as const, 'give' as const) }) },
  ),
  { maxLength: 60 },
);

const maskOf = (bits: number): CpuMask => CpuMask.from([...Array(CPUS).keys()].filter((cpu) => (bits & (1 << cpu)) !== 0));

/** What Linux's search would choose: a look at every vector, in the order of their numbers. */
function chosen(pool: BalancedPool, mask: CpuMask): { virq: number; isBelow: boolean } | undefined {
  let best: { virq: number; refs: number } | undefined;
  for (const { virq, refs, cpus } of pool.list()) {
    if (!CpuMask.parse(cpus).isSubsetOf(mask)) continue;
    if (refs < SHARE_BELOW) return { virq, isBelow: true };
    if (best === undefined || refs < best.refs) best = { virq, refs };
  }
  return best && { virq: best.virq, isBelow: false };
}

describe('any sequence of requests, handlers, releases and moves', () => {
  test('chooses as a search through all vectors would, and loses none', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (walk) => {
        await using scene = await VectorScene.start({ cpus: CPUS, msix: 8, ims: 4, maxSfs: 0 });
        const { table, dev } = scene;
        const pool = table.balanced({ name: 'walk', first: 100, last: 105, shareBelow: SHARE_BELOW, isPerCpu: true });
        const leases: VectorLease[] = [];
        const dedicated: VectorLease[] = [];
        for (const step of walk) {
          const lease = 'which' in step ? leases[step.which % Math.max(leases.length, 1)] : undefined;
          if (step.do === 'request') {
            const mask = maskOf(step.cpus);
            const best = chosen(pool, mask);
            const hasRoom = pool.count < pool.capacity && table.available > 0;
            const before = pool.count;
            try {
              const got = pool.request(scene.dev, mask);
              leases.push(got);
              if (best !== undefined && (best.isBelow || !hasRoom)) expect(got.virq).toBe(best.virq);
              else expect(pool.count).toBe(before + 1);
              expect(got.affinity!.isSubsetOf(mask)).toBe(true);
            } catch (error) {
              if (!Errno.is(error, 'EBUSY')) throw error;
              expect([best, hasRoom]).toEqual([undefined, false]);
            }
          } else if (step.do === 'attach') lease?.attach(() => {});
          else if (step.do === 'release') {
            lease?.[Symbol.dispose]();
            if (lease !== undefined) leases.splice(leases.indexOf(lease), 1);
          } else if (step.do === 'move' && lease !== undefined) {
            scene.kernel.irqs.setAffinity(lease.virq, CpuMask.of(step.cpu));
            scene.machine.drain();
          } else if (step.do === 'take' && table.available > table.reserve) dedicated.push(table.requestDedicated(dev));
          else if (step.do === 'give') dedicated.pop()?.[Symbol.dispose]();
          const { accounts } = pool;
          expect(accounts!.reduce((sum, n) => sum + n)).toBe(pool.count);
          // The first vector of the table is there, used or not.
          expect(table.capacity - table.available).toBe(1 + pool.count + dedicated.length);
        }
        table.freeAll(dev);
        expect([pool.count, table.available, scene.messages!.pageCount]).toEqual([0, 11, 0]);
      }),
      { numRuns: 60, seed: 1 },
    );
  });
});
