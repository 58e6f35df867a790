import { describe, expect, test } from 'vitest';
import { type IrqHandle, IrqTraceLog, MsiMap } from '../../core/index.js';
import { AT, Bench, Table, array, codeOf } from './interrupts-bench.js';

const rebind = async ({ kernel }: Bench): Promise<void> => {
  const { bus } = kernel.pci;
  await bus.attributesOf(bus.findDriver('bench')!).write('bind', AT);
};

describe('K: freeing in use, freeing twice, and the end of a binding', () => {
  test('C-128 a slot whose handler is installed is refused, and nothing changes', async () => {
    await using bench = await Bench.start();
    const table = new Table();
    const domain = bench.domain(array(table));
    const map = domain.alloc();
    let count = 0;
    const irq = bench.kernel.irqs.request(bench.dev, map.virq, () => count++);
    table.log.length = 0;
    expect(codeOf(() => domain.free(map))).toBe('EBUSY');
    expect(codeOf(() => domain.freeAll())).toBe('EBUSY');
    expect(codeOf(() => domain.remove())).toBe('EBUSY');
    expect([table.log, domain.count, irq.desc.activated, map.held]).toEqual([[], 1, true, true]);
    bench.fire(domain, 0);
    expect(count).toBe(1);
    expect(await irq.free()).toBe(AT);
    domain.free(map);
    expect([domain.count, codeOf(() => irq.free())]).toEqual([0, 'EINVAL']);
  });

  test('C-129 a map that is freed twice breaks a rule, and frees nobody else', async () => {
    await using bench = await Bench.start();
    const domain = bench.domain(array());
    const stale = domain.alloc();
    domain.free(stale);
    expect(codeOf(() => domain.free(stale))).toBe('EINVAL');
    const owner = domain.alloc();
    expect([owner.index, owner.virq]).toEqual([stale.index, stale.virq]);
    expect(codeOf(() => domain.free(stale))).toBe('EINVAL');
    expect([owner.held, stale.held, bench.take()]).toEqual([true, false, ['msi-stale-map', 'msi-stale-map']]);
  });

  test('C-130 a map of another domain, and one beyond the end, break a rule and free nothing', async () => {
    await using bench = await Bench.start({ others: [2] });
    const domain = bench.domain(array());
    const large = bench.domain(array(), 16, {}, bench.at('0000:6a:02.0'));
    domain.alloc();
    const [near, far] = [large.allocAt(0), large.allocAt(9)];
    expect([codeOf(() => domain.free(near)), codeOf(() => domain.free(far))]).toEqual(['EINVAL', 'EINVAL']);
    expect([bench.take().length, domain.count, large.count]).toEqual([2, 1, 2]);
    expect(near).toBeInstanceOf(MsiMap);
  });

  test('C-131 after an unbind that left nothing, the next binding makes its domains anew', async () => {
    await using bench = await Bench.start({ card: { msix: 4 } });
    const { dev, kernel } = bench;
    for (const size of [4, 8]) {
      dev.enableMsix({}).free();
      const domain = bench.domain(array(), size);
      domain.free(domain.alloc());
      expect(kernel.msi.domains(dev).map(({ id }) => id)).toEqual(['default', 'secondary']);
      await kernel.core.unbind(dev);
      expect(kernel.msi.domains(dev)).toEqual([]);
      expect(codeOf(() => domain.alloc())).toBe('ENODEV');
      await rebind(bench);
    }
    expect([dev.bound, bench.take()]).toEqual([true, []]);
  });

  test('C-132 what a driver leaves is freed: handlers, slots from the last, then the domain', async () => {
    await using bench = await Bench.start();
    const { dev, kernel } = bench;
    const table = new Table();
    const domain = bench.domain(array(table, { ops: { freeDesc: ({ index }) => void table.log.push(`free ${index}`) } }));
    for (let n = 0; n < 3; n++) kernel.irqs.request(dev, domain.alloc().virq, () => {});
    table.log.length = 0;
    await kernel.core.unbind(dev);
    expect(table.log).toEqual([2, 1, 0].flatMap((index) => ['mask', 'write 0 0', `free ${index}`]));
    expect([kernel.interrupts.matrix!.totalAllocated, kernel.interrupts.matrix!.reserved]).toEqual([0, 0]);
    expect(kernel.irqs.list().filter(({ virq }) => virq >= 24)).toEqual([]);
  });

  test('C-132 slots that are in no ledger are freed from the last, and reported', async () => {
    await using bench = await Bench.start();
    const table = new Table();
    const template = array(table, { ops: { freeDesc: ({ index }) => void table.log.push(`free ${index}`) } });
    const domain = bench.kernel.msi.createDomain(bench.dev, { id: 'own', template, size: 4, label: 'own domain' });
    domain.allocRange(0, 2);
    table.log.length = 0;
    await bench.kernel.core.unbind(bench.dev);
    expect([table.log, bench.take()]).toEqual([['free 2', 'free 1', 'free 0'], ['msi-left-behind']]);
    expect(bench.kernel.irqs.list().filter(({ virq }) => virq >= 24)).toEqual([]);
  });

  test('C-133 at unbind handlers go first, then vectors, then the domain', async () => {
    await using bench = await Bench.start({ card: { msix: 4 } });
    const { dev, kernel } = bench;
    dev.enableMsix({ min: 2, max: 2 });
    for (const n of [0, 1]) dev.requestIrq(n, () => {});
    const domain = kernel.msi.domain(dev, 'default')!;
    using log = new IrqTraceLog(kernel.irqs.core);
    const steps: string[] = [];
    await kernel.core.unbind(dev);
    for (const { name } of log.events) if (name === 'irq_free' || name === 'msi_free') steps.push(name);
    expect(steps).toEqual(['irq_free', 'irq_free', 'msi_free', 'msi_free']);
    expect([kernel.irqs.core.domains.has(domain.irqDomain), bench.card.context.irq.msixEnabled, bench.take()]).toEqual([
      false,
      false,
      [],
    ]);
  });

  test('C-134 freeing all of a domain leaves the others, and it begins at 0 again', async () => {
    await using bench = await Bench.start({ card: { msix: 4 } });
    bench.dev.enableMsix({ min: 2, max: 2 });
    const domain = bench.domain(array());
    domain.allocRange(0, 3);
    domain.freeAll();
    expect([domain.count, bench.dev.irqVector(1), domain.alloc().index]).toEqual([0, 25, 0]);
  });

  test('C-135 a domain is removed and made again with another size; removing it again is nothing', async () => {
    await using bench = await Bench.start();
    const domain = bench.domain(array());
    domain.alloc();
    domain.remove();
    domain.remove();
    expect(bench.kernel.msi.domains(bench.dev)).toEqual([]);
    const larger = bench.domain(array(), 9);
    expect([larger.size, larger.alloc().virq, bench.take()]).toEqual([9, 24, []]);
  });

  test('C-136 two tasks that allocate at once get different indices and numbers', async () => {
    await using bench = await Bench.start();
    const domain = bench.domain(array(), 200);
    const task = async (): Promise<MsiMap[]> => {
      const maps: MsiMap[] = [];
      for (let n = 0; n < 100; n++) {
        maps.push(domain.alloc());
        await Promise.resolve();
      }
      return maps;
    };
    const maps = (await Promise.all([task(), task()])).flat();
    expect(maps.map(({ index }) => index).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, n) => n));
    expect(new Set(maps.map(({ virq }) => virq)).size).toBe(200);
    expect(codeOf(() => domain.alloc())).toBe('EBUSY');
  });

  test('C-137 a handler neither allocates nor frees', async () => {
    await using bench = await Bench.start();
    const domain = bench.domain(array());
    const [map, spare] = [domain.alloc(), domain.alloc()];
    const codes: string[] = [];
    const irq: IrqHandle = bench.kernel.irqs.request(bench.dev, map.virq, () => {
      codes.push(
        codeOf(() => domain.alloc()),
        codeOf(() => domain.free(spare)),
        codeOf(() => domain.freeAll()),
      );
      codes.push(codeOf(() => bench.kernel.irqs.request(bench.dev, spare.virq, () => {})));
    });
    bench.fire(domain, 0);
    expect([codes, domain.count, irq.held]).toEqual([['EINVAL', 'EINVAL', 'EINVAL', 'EINVAL'], 2, true]);
    expect(new Set(bench.take())).toEqual(new Set(['sleep-in-interrupt']));
  });
});
