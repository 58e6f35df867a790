import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CpuMask } from '../../../core/irq/cpu-mask.js';
import { Tournament } from '../../../core/irq/tournament.js';

describe('Tournament', () => {
  test.each(['lowest', 'highest'] as const)('knows who has the highest key, the %s of equals', (ties) => {
    const step = fc.record({
      cpu: fc.nat(8),
      key: fc.option(fc.integer({ min: -2, max: 2 }), { nil: undefined }),
      mask: fc.uniqueArray(fc.nat(12)),
    });
    const run = (cpus: number, steps: readonly { cpu: number; key: number | undefined; mask: number[] }[]): void => {
      const tournament = new Tournament(cpus, ties);
      const keys = new Map<number, number>();
      const best = (among: number[]): number => {
        const top = Math.max(...among.map((cpu) => keys.get(cpu)!));
        const equals = among.filter((cpu) => keys.get(cpu) === top).sort((a, b) => a - b);
        return equals.at(ties === 'lowest' ? 0 : -1) ?? -1;
      };
      expect(tournament.winner).toBe(-1);
      for (const { cpu, key, mask } of steps) {
        if (cpu >= cpus) continue;
        if (key === undefined) {
          keys.delete(cpu);
          tournament.remove(cpu);
        } else {
          keys.set(cpu, key);
          tournament.set(cpu, key);
        }
        expect(tournament.winner).toBe(best([...keys.keys()]));
        expect(tournament.winnerAmong(CpuMask.from(mask))).toBe(best(mask.filter((cpu) => keys.has(cpu))));
      }
    };
    fc.assert(fc.property(fc.integer({ min: 1, max: 9 }), fc.array(step), run), { seed: 1, numRuns: 300 });
  });
});
