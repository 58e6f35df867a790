import { describe, expect, test } from 'vitest';
import { CpuMask, NO_IRQ_CHIP } from '../../../core/irq/index.js';
import { Bench } from './bench.js';

describe('numbers and descriptors', () => {
  test('dynamic numbers are the lowest free ones above the wired interrupts, and never 0', async () => {
    await using bench = await Bench.open();
    const core = bench.irqCore;
    const first = core.firstDynamicIrq;
    expect([core.allocDescs(1, {}), core.allocDescs(1, {}), core.allocDescs(2, {})]).toEqual([first, first + 1, first + 2]);
    core.freeDescs(first + 1, 1);
    // Two in a row do not fit in the hole; one does.
    expect([core.allocDescs(2, {}), core.allocDescs(1, {})]).toEqual([first + 4, first + 1]);
    expect(core.allocDescs(1, {}, 0)).toBe(1);
    core.freeDescs(1, first + 6);
    expect(core.count).toBe(0);
  });

  test('refuses no interrupts, a taken number, a number that cannot be, and a mask without CPUs', async () => {
    await using bench = await Bench.open();
    const core = bench.irqCore;
    for (const count of [0, -1, 1.5, NaN]) expect(() => core.allocDescs(count, {})).toThrow('EINVAL');
    expect(core.allocDescAt(40)).toBe(40);
    expect(() => core.allocDescAt(40)).toThrow('EEXIST: irq: 40 is taken');
    expect(() => core.allocDescAt(-1)).toThrow('EINVAL');
    expect(() => core.allocDescAt(2 ** 20)).toThrow('ENOSPC');
    expect(() => core.allocDescs(2, { affinity: [{ mask: CpuMask.of(1) }, { mask: CpuMask.EMPTY }] })).toThrow(
      'EINVAL: irq: affinity 1 names no CPU',
    );
    expect(() => core.allocDescs(2, { affinity: [{ mask: CpuMask.of(1) }] })).toThrow(
      'EINVAL: irq: 1 affinities for 2 interrupts',
    );
    expect([...core.all()].map(({ virq }) => virq)).toEqual([40]);
    core.freeDescs(40, 1);
  });

  test('ENOSPC when so many do not fit, with nothing taken', async () => {
    await using bench = await Bench.open();
    const core = bench.irqCore;
    expect(() => core.allocDescs(2 ** 20, {})).toThrow('ENOSPC');
    expect(core.count).toBe(0);
  });

  test('a new descriptor is disabled once, masked, without chip and goes anywhere', async () => {
    await using bench = await Bench.open();
    const virq = bench.irqCore.allocDescs(1, {});
    const desc = bench.irqs.desc(virq);
    expect(desc).toMatchObject({ depth: 1, disabled: true, masked: true, activated: false, started: false, managed: false });
    expect([desc.chip, String(desc.affinity), desc.node, desc.trigger]).toEqual([NO_IRQ_CHIP, '0-3', -1, 'none']);
    bench.irqCore.freeDescs(virq, 1);
    expect(() => bench.irqs.desc(virq)).toThrow(`EINVAL: irq ${virq}: no such interrupt`);
  });

  test('an affinity of its own is kept as set, with the node of its first CPU; a managed one waits for its CPUs', async () => {
    await using bench = await Bench.open();
    const affinity = [{ mask: CpuMask.of(2, 3) }, { mask: CpuMask.of(1), managed: true }];
    const virq = bench.irqCore.allocDescs(2, { affinity });
    const [own, managed] = [bench.irqs.desc(virq), bench.irqs.desc(virq + 1)];
    expect(own).toMatchObject({ affinitySet: true, managed: false, managedShutdown: false, node: 1 });
    expect(managed).toMatchObject({ affinitySet: true, managed: true, managedShutdown: true, node: 0 });
    expect(String(own.affinity)).toBe('2-3');
    bench.irqCore.freeDescs(virq, 2);
  });

  test('counts interrupts for each CPU, however they are mixed', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    bench.irqs.request(bench.device(), irq.virq, () => {});
    for (const cpu of [0, 0, 3, 3, 3, 0, 2]) irq.raise(cpu);
    expect([0, 1, 2, 3].map((cpu) => irq.desc.countOn(cpu))).toEqual([3, 0, 1, 3]);
    expect(irq.desc.total).toBe(7);
  });
});
