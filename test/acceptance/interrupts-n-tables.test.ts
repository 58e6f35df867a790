import { describe, expect, test } from 'vitest';
import { formatInterrupts } from '../../core/index.js';
import { Bench, array } from './interrupts-bench.js';

const NAME = 'IR-PCI-IDXD-0000:6a:01.0';

/** Two CPUs, and one interrupt with a handler: number 30, slot 3, which came 5 times on CPU 0. */
async function portal(): Promise<Bench> {
  const bench = await Bench.start({ cpus: 2 });
  const domain = bench.domain(array(), 8);
  for (const index of [0, 1, 2, 4, 5, 6]) domain.allocAt(index);
  const { virq } = domain.allocAt(3, { affinity: [0] });
  bench.kernel.irqs.request(bench.dev, virq, { hard: () => {}, name: 'idxd-portal', shared: true });
  for (let n = 0; n < 5; n++) bench.fire(domain, 3);
  return bench;
}

describe('N: tables for people', () => {
  test('C-156 a line of 6.12', async () => {
    await using bench = await portal();
    const [heading, ...lines] = formatInterrupts(bench.kernel.irqs.core, '6.12').trimEnd().split('\n');
    expect(heading).toBe(`${' '.repeat(11)}CPU0       CPU1       `);
    expect(lines).toEqual([` 30:          5          0  ${NAME}   3-edge      idxd-portal`]);
  });

  test('C-157 a line of 7.2, with all its handlers, and none without', async () => {
    await using bench = await portal();
    bench.kernel.irqs.request(bench.dev, 30, { hard: () => {}, name: 'again', shared: true });
    const [, ...lines] = formatInterrupts(bench.kernel.irqs.core).trimEnd().split('\n');
    expect(lines).toEqual([`  30:          5          0  ${NAME}    3-edge      idxd-portal, again`]);
  });
});
