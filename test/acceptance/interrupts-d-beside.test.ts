import { describe, expect, test } from 'vitest';
import { type MsiMap, System } from '../../core/index.js';
import { Timers } from '../../drivers/timer/api.js';
import { hostSim } from '../../plugins/host-sim.js';
import timer from '../../plugins/timer.js';
import { AT, Bench, codeOf, plainStore } from './interrupts-bench.js';

describe('D: MSI, MSI-X and IMS side by side', () => {
  test('C-053 a device with IMS alone gets from probe to its handler', async () => {
    const sim = hostSim({ timers: 1 });
    await using system = await System.start(sim.plugin, timer);
    const [, one] = system.list(Timers)[0]!;
    let ticks = 0;
    one.startOnce(1000, () => ticks++);
    sim.elapse(999);
    expect(ticks).toBe(0);
    sim.elapse(1);
    expect(ticks).toBe(1);
    sim.elapse(5000);
    expect(ticks).toBe(1);
    const dev = system.kernel.pci.find('0000:00:04.0')!;
    expect([codeOf(() => dev.msiVectorCount), codeOf(() => dev.msixVectorCount)]).toEqual(['EINVAL', 'EINVAL']);
    // What it publishes, and nothing else.
    expect(dev.children.map(({ name }) => name)).toEqual(['timer0']);
  });

  test('C-053 one slot is enough: the message that is stored is the interrupt', async () => {
    await using bench = await Bench.start();
    const domain = bench.ims(1);
    let count = 0;
    bench.kernel.irqs.request(bench.dev, domain.alloc().virq, () => count++);
    bench.fire(domain, 0);
    expect(count).toBe(1);
  });

  test('C-054 both domains count from 0, and no number is in both', async () => {
    await using bench = await Bench.start({ card: { msix: 8 } });
    const { dev, kernel } = bench;
    const vectors = dev.allocVectors({ min: 3, types: ['msix'] });
    const domain = bench.ims();
    const ims = [domain.alloc(), domain.alloc()];
    expect(ims.map(({ index }) => index)).toEqual([0, 1]);
    const virqs = [0, 1, 2].map((n) => vectors.virq(n));
    expect(new Set([...virqs, ...ims.map(({ virq }) => virq)]).size).toBe(5);
    expect(dev.irqVector(0)).toBe(kernel.msi.lookup(dev, 'default', 0));
    expect(kernel.msi.lookup(dev, 'secondary', 0)).toBe(ims[0]!.virq);
  });

  test('C-055 freeing the vectors leaves IMS alone', async () => {
    await using bench = await Bench.start({ card: { msix: 8 } });
    const { dev, kernel } = bench;
    const vectors = dev.allocVectors({ min: 3, types: ['msix'] });
    const virqs = [0, 1, 2].map((n) => vectors.virq(n));
    const handles = [0, 1, 2].map((n) => dev.requestIrq(n, () => {}));
    const domain = bench.ims();
    let count = 0;
    for (const { virq } of [domain.alloc(), domain.alloc()]) kernel.irqs.request(dev, virq, () => count++);
    for (const handle of handles) void handle.free();
    vectors.free();
    expect([dev.vectorKind, bench.card.context.irq.msixEnabled]).toEqual([undefined, false]);
    for (const virq of virqs) expect(codeOf(() => kernel.irqs.desc(virq))).toBe('EINVAL');
    bench.fire(domain, 0);
    bench.fire(domain, 1);
    expect(count).toBe(2);
  });

  test('C-056 freeing IMS leaves MSI-X alone', async () => {
    await using bench = await Bench.start({ card: { msix: 8 } });
    const { dev } = bench;
    dev.allocVectors({ min: 2, types: ['msix'] });
    let count = 0;
    dev.requestIrq(1, () => count++);
    const domain = bench.ims();
    domain.alloc();
    domain.remove();
    bench.machine.drain();
    expect(bench.card.context.irq.msix(1)).toBe(true);
    bench.machine.drain();
    expect([count, dev.vectorKind, bench.kernel.msi.domains(dev).map(({ id }) => id)]).toEqual([1, 'msix', ['default']]);
  });

  test('C-057 going from MSI to MSI-X replaces the default domain and no other', async () => {
    await using bench = await Bench.start({ card: { msi: {}, msix: 8 } });
    const { dev, kernel } = bench;
    const ims = bench.ims();
    const map = ims.alloc();
    dev.allocVectors({ types: ['msi'] }).free();
    const before = kernel.msi.domain(dev, 'default');
    expect(before?.busToken).toBe('pci-device-msi');
    dev.allocVectors({ types: ['msix'] });
    expect(kernel.msi.domain(dev, 'default')?.busToken).toBe('pci-device-msix');
    expect(kernel.msi.domain(dev, 'default')).not.toBe(before);
    expect([kernel.msi.domain(dev, 'secondary'), kernel.msi.lookup(dev, 'secondary', 0)]).toEqual([ims, map.virq]);
  });

  test('C-058 the domain of MSI-X is made anew when a larger one is asked for', async () => {
    await using bench = await Bench.start({ card: { msix: 8 } });
    const { dev, kernel } = bench;
    dev.allocVectors({ min: 8, types: ['msix'] }).free();
    expect(kernel.msi.domain(dev, 'default')?.size).toBe(8);
    const vectors = dev.allocVectors({ min: 10, types: ['msix'], virtual: true });
    expect([vectors.count, kernel.msi.domain(dev, 'default')?.size]).toEqual([10, 10]);
  });

  test('C-059 who wants any vector gets one from IMS when the table is full, and cannot tell', async () => {
    await using bench = await Bench.start({ card: { msix: 2 } });
    const { dev, kernel } = bench;
    dev.allocVectors({ min: 2, types: ['msix'] });
    const ims = bench.ims();
    const any = (): MsiMap => {
      try {
        return dev.msixAllocAt();
      } catch {
        return ims.alloc();
      }
    };
    expect(codeOf(() => dev.msixAllocAt())).toBe('EBUSY');
    const { virq } = any();
    let count = 0;
    kernel.irqs.request(dev, virq, () => count++);
    bench.fire(ims, 0);
    expect(count).toBe(1);
  });

  test('C-060 a driver that has more to say than one store takes a domain for each', async () => {
    await using bench = await Bench.start({ card: { msix: 4 } });
    const { dev, kernel } = bench;
    dev.allocVectors({ types: ['msix'] });
    const first = bench.ims(2);
    const second = kernel.ims.createDomain(dev, plainStore(3), { id: 'queues' });
    expect([first.alloc().index, first.alloc().index, second.alloc().index]).toEqual([0, 1, 0]);
    expect(codeOf(() => first.alloc())).toBe('EBUSY');
    first.freeAll();
    expect([first.count, second.count, kernel.msi.lookup(dev, 'default', 0)]).toEqual([0, 1, dev.irqVector(0)]);
    await kernel.core.unbind(dev);
    expect(kernel.msi.domains(dev)).toEqual([]);
    expect(kernel.irqs.list().filter(({ device }) => device?.name === AT)).toEqual([]);
  });
});
