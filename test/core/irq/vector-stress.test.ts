import { describe, expect, test } from 'vitest';
import type { IrqAction } from '../../../core/irq/action.js';
import { type IrqDesc, offlineCpu, onlineCpu } from '../../../core/irq/index.js';
import { Errno, Random } from '../../../core/lib/index.js';
import { FakeDevice, type Scene, release, request, scene } from './platform.js';

const CPUS = 4;

/** Does something; a table that is full, or a CPU that cannot go, is part of the game. */
function attempt(fn: () => void): void {
  try {
    fn();
  } catch (error) {
    if (!['ENOSPC', 'EBUSY', 'EINVAL'].includes(Errno.codeOf(error))) throw error;
  }
}

/** Every vector that is somebody's, as the matrix has it and as the CPUs have it. */
function vectors({ core, platform }: Scene): [matrix: string[], cpus: string[]] {
  const [inMatrix, atCpus]: [string[], string[]] = [[], []];
  for (let cpu = 0; cpu < CPUS; cpu++) {
    for (const vector of platform.matrix!.cpu(cpu).allocatedVectors) inMatrix.push(`${cpu}:${vector}`);
    for (let vector = 0; vector < 256; vector++) if (core.vector(cpu, vector) !== undefined) atCpus.push(`${cpu}:${vector}`);
  }
  return [inMatrix, atCpus];
}

describe.each(['remapped', 'plain'] as const)('vectors on %s', (platform) => {
  test.each([1, 2, 3, 4])(
    'whatever moves, comes and goes, each interrupt is heard and each vector is somebody’s (seed %i)',
    (seed) => {
      const random = new Random(seed);
      const s = scene({ platform, cpus: CPUS, nodes: 2 }, { first: 32, end: 38, system: [] });
      const dev = new FakeDevice(s, 'pci-device-msix', { hasMask: seed % 2 === 0 });
      const live = new Map<IrqDesc, IrqAction | undefined>();
      /** What has fired and was not heard. */
      const owed = new Set<IrqDesc>();
      const pick = (): IrqDesc | undefined => [...live.keys()][random.below(live.size + 1)];
      const cpus = (): number[] => [random.below(CPUS), random.below(CPUS)];
      const hear = (): void => {
        s.core.windows.drain();
        expect([...owed]).toEqual([]);
      };
      const steps: (() => void)[] = [
        () =>
          void live.set(dev.alloc({ ...(random.below(2) === 0 && { cpus: cpus() }), managed: random.below(4) === 0 }), undefined),
        () => {
          const desc = pick();
          if (desc !== undefined && live.get(desc) === undefined)
            live.set(desc, request(s, desc, [], { hard: () => void owed.delete(desc) }));
        },
        () => {
          const desc = pick();
          const action = desc && live.get(desc);
          if (action !== undefined) release(action);
          if (desc !== undefined) live.set(desc, undefined);
        },
        () => {
          const desc = pick();
          if (desc === undefined || live.get(desc) !== undefined) return;
          dev.free(desc);
          live.delete(desc);
        },
        () => {
          const desc = pick();
          if (desc?.managed === false) s.irqs.setAffinity(desc.virq, cpus());
        },
        () => {
          const desc = pick();
          if (desc?.started !== true) return;
          owed.add(desc);
          dev.fire(desc);
        },
        hear,
        () => s.clock.elapse(random.below(1500)),
        () => offlineCpu(s.core, random.below(CPUS)),
        () => onlineCpu(s.core, random.below(CPUS)),
      ];
      for (let n = 0; n < 1000; n++) {
        attempt(steps[random.below(steps.length)]!);
        const [matrix, atCpus] = vectors(s);
        expect(atCpus).toEqual(matrix);
        // What is shut down, by its driver or with its last CPU, is not heard any more.
        for (const desc of owed) if (!desc.started) owed.delete(desc);
      }
      for (let cpu = 0; cpu < CPUS; cpu++) attempt(() => onlineCpu(s.core, cpu));
      for (const desc of live.keys()) {
        if (!desc.started) continue;
        owed.add(desc);
        dev.fire(desc);
      }
      hear();
      for (const [desc, action] of live) {
        if (action !== undefined) release(action);
        dev.free(desc);
      }
      expect([vectors(s), s.platform.matrix!.reserved, s.core.count, s.hw.lost, s.violations]).toEqual([[[], []], 0, 0, [], []]);
      for (let cpu = 0; cpu < CPUS; cpu++) expect(s.platform.matrix!.cpu(cpu)).toMatchObject({ available: 6, managed: 0 });
    },
  );
});
