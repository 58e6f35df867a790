import { describe, expect, test } from 'vitest';
import { Errno } from '../../../core/lib/index.js';
import { IrqSystem } from './irq-fixture.js';

const code = (fn: () => unknown): string => {
  try {
    fn();
    return 'none';
  } catch (error) {
    return Errno.codeOf(error);
  }
};

describe('affinity of vectors', () => {
  test('C-108 the first and the last are anywhere, those between have a CPU each', async () => {
    await using system = await IrqSystem.start({ msix: 8 });
    const { dev, kernel } = system;
    dev.allocVectors({ min: 2, max: 6, affinity: { preVectors: 1, postVectors: 1 } });
    expect([0, 1, 2, 3, 4, 5].map((n) => String(dev.irqAffinity(n)))).toEqual(['0-3', '0', '1', '2', '3', '0-3']);
    expect([0, 1, 4, 5].map((n) => kernel.irqs.desc(dev.irqVector(n)).managed)).toEqual([false, true, true, false]);
  });

  test('C-109 no more than the CPUs and the others are used; more than 4 sets are a violation, and nothing is spread', async () => {
    await using system = await IrqSystem.start({ msix: 16 });
    const { dev } = system;
    const vectors = dev.allocVectors({ min: 2, max: 16, affinity: { preVectors: 2 } });
    expect(vectors.count).toBe(6);
    vectors.free();
    const sets = { calcSets: (count: number) => [count - 4, 1, 1, 1, 1] };
    expect(dev.allocVectors({ min: 8, max: 8, affinity: sets }).count).toBe(8);
    expect([dev.irqAffinity(0), system.rules]).toEqual([undefined, ['affinity-sets']]);
  });

  test('C-075 more vectors that are not spread than min is ENOSPC', async () => {
    await using system = await IrqSystem.start({ msix: 16 });
    expect(
      code(() => system.dev.allocVectors({ min: 2, max: 8, types: ['msix'], affinity: { preVectors: 2, postVectors: 1 } })),
    ).toBe('ENOSPC');
  });

  test('messages of MSI each have their own', async () => {
    await using system = await IrqSystem.start({ msi: { vectors: 4, maskable: true } });
    const { dev } = system;
    dev.allocVectors({ max: 4, types: ['msi'], affinity: true });
    expect([0, 1, 2, 3].map((n) => String(dev.irqAffinity(n)))).toEqual(['0', '1', '2', '3']);
  });

  test('the line is everywhere, vectors without affinity nowhere in particular, and others are a violation', async () => {
    await using system = await IrqSystem.start({ msix: 4, pin: 'A' });
    const { dev } = system;
    expect(String(dev.irqAffinity(0))).toBe('0-3');
    dev.allocVectors();
    expect([dev.irqAffinity(0), system.rules]).toEqual([undefined, []]);
    expect([dev.irqAffinity(1), system.rules]).toEqual([undefined, ['no-such-vector']]);
  });
});
