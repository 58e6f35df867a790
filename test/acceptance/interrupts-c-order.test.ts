import { describe, expect, test } from 'vitest';
import { Errno, IrqDomain, type IrqTraceName, Msi, type MsiDomain } from '../../core/index.js';
import { Bench, type BenchOptions, Table, array, codeOf, plainStore } from './interrupts-bench.js';

/** A bench whose steps are written down: trace points, callbacks of the template, entries of the remapping table. */
async function watched(options: BenchOptions = {}): Promise<{ bench: Bench; table: Table; log: string[]; take(): string[] }> {
  const bench = await Bench.start(options);
  const table = new Table();
  const { log } = table;
  const { core } = bench.kernel.irqs;
  core.tracer = { event: (name: IrqTraceName) => void log.push(name) };
  bench.onEntry((_index, words) => void log.push(words[0] === 0 ? 'entry cleared' : 'entry written'));
  return { bench, table, log, take: () => log.splice(0) };
}

const bracketed = (table: Table): Parameters<typeof array>[1] => ({
  chip: {
    busLock: () => void table.log.push('lock'),
    busSyncUnlock: () => void table.log.push('unlock'),
    enable: () => void table.log.push('enable'),
    disable: () => void table.log.push('disable'),
  },
});

describe('C: what is called, in which order', () => {
  test('C-041 allocation takes the index, prepares it, and then goes down the levels; nothing is written', async () => {
    const { bench, table, take } = await watched();
    await using _ = bench;
    const domain = bench.domain(array(table));
    take();
    domain.alloc();
    const steps = take();
    const order = ['msi_lock', 'msi_insert_desc', 'msi_prepare_desc', 'prepare', 'msi_set_desc', 'irq_alloc_descs'];
    const down = ['irq_domain_alloc', 'msi_alloc', 'irq_domain_alloc', 'irq_domain_alloc', 'vector_reserve', 'irte_alloc'];
    const inserted = ['irq_domain_insert', 'irq_domain_insert', 'irq_domain_insert'];
    expect(steps).toEqual([...order, ...down, ...inserted, 'msi_unlock']);
    expect(bench.kernel.interrupts.matrix!.reserved).toBe(1);
    expect(bench.kernel.irqs.desc(24).flowName).toBe('edge');
  });

  test('C-042 a request activates from the CPU outwards, writes the message once, and unmasks', async () => {
    const { bench, table, take } = await watched();
    await using _ = bench;
    const domain = bench.domain(array(table, { chip: bracketed(table)!.chip! }));
    const map = domain.alloc();
    take();
    const irq = bench.kernel.irqs.request(bench.dev, map.virq, () => {});
    const steps = take().filter((step) => !step.startsWith('vector_alloc') && !step.startsWith('vector_update'));
    expect(steps.filter((step) => step.startsWith('write'))).toEqual(['write fee00018 0']);
    const shown = [
      'lock',
      'vector_activate',
      'entry written',
      'write fee00018 0',
      'irq_activate',
      'enable',
      'irq_startup',
      'unlock',
    ];
    expect(steps.filter((step) => shown.includes(step))).toEqual(shown);
    const { desc } = irq;
    expect([desc.depth, desc.activated, desc.started, desc.masked, desc.actions.length]).toEqual([0, true, true, false, 1]);
    expect(bench.kernel.interrupts.matrix!.reserved).toBe(0);
  });

  test('C-043 a free masks, then deactivates from the device inwards, and gives the name', async () => {
    const { bench, table, take } = await watched();
    await using _ = bench;
    const { busLock, busSyncUnlock } = bracketed(table)!.chip!;
    const domain = bench.domain(array(table, { chip: { busLock: busLock!, busSyncUnlock: busSyncUnlock! } }));
    const map = domain.alloc();
    const irq = bench.kernel.irqs.request(bench.dev, map.virq, { hard: () => {}, name: 'portal' });
    take();
    expect(await irq.free()).toBe('portal');
    const [free, ...steps] = take();
    expect(free).toBe('irq_free');
    const order = [
      'lock',
      'irq_shutdown',
      'mask',
      'unlock',
      'lock',
      'write 0 0',
      'irte_clear',
      'entry cleared',
      'vector_deactivate',
    ];
    expect(steps.filter((step) => step !== 'msi_write_msg')).toEqual([...order, 'irq_deactivate', 'unlock']);
    expect(domain.message(0)).toEqual({ addressHi: 0, addressLo: 0, data: 0 });
  });

  test('C-043 the shutdown of a chip is called instead of mask', async () => {
    const { bench, table, take } = await watched();
    await using _ = bench;
    const domain = bench.domain(array(table, { chip: { shutdown: () => void table.log.push('shutdown') } }));
    const irq = bench.kernel.irqs.request(bench.dev, domain.alloc().virq, () => {});
    take();
    void irq.free();
    const steps = take();
    expect([steps.includes('shutdown'), steps.includes('mask')]).toEqual([true, false]);
  });

  test('C-044 an IMS interrupt keeps its vector from the request until its slot is freed', async () => {
    await using bench = await Bench.start();
    const matrix = bench.kernel.interrupts.matrix!;
    const domain = bench.domain(array());
    const map = domain.alloc();
    expect([matrix.totalAllocated, matrix.reserved]).toEqual([0, 1]);
    const irq = bench.kernel.irqs.request(bench.dev, map.virq, () => {});
    expect([matrix.totalAllocated, matrix.reserved]).toEqual([1, 0]);
    await irq.free();
    expect([matrix.totalAllocated, matrix.reserved]).toEqual([1, 0]);
    domain.free(map);
    expect([matrix.totalAllocated, matrix.reserved]).toEqual([0, 0]);
  });

  test('C-045 a second request, disable and enable write no message and activate nothing', async () => {
    const { bench, table, take } = await watched();
    await using _ = bench;
    const { irqs } = bench.kernel;
    const { virq } = bench.domain(array(table)).alloc();
    irqs.request(bench.dev, virq, { hard: () => {}, shared: true });
    take();
    const second = irqs.request(bench.dev, virq, { hard: () => {}, shared: true });
    void irqs.disable(virq);
    irqs.enable(virq);
    void second.free();
    expect(take().filter((step) => /write|activate|mask/.test(step))).toEqual([]);
    expect(irqs.desc(virq).activated).toBe(true);
  });

  test('C-046 with early activation the allocation writes, and says that vectors ran out', async () => {
    await using bench = await Bench.mini();
    const table = new Table();
    const domain = bench.domain(array(table, { flags: [...array().flags, 'activate-early'] }), 16);
    for (let n = 0; n < 8; n++) domain.alloc();
    expect(table.log.filter((step) => step.startsWith('write'))).toHaveLength(8);
    expect(codeOf(() => domain.alloc())).toBe('ENOSPC');
    expect([domain.count, bench.kernel.interrupts.matrix!.reserved]).toEqual([8, 0]);
  });

  test('C-047 each management operation is within one bus lock, a free within two, a move within none', async () => {
    const table = new Table();
    await using bench = await Bench.start();
    const { irqs } = bench.kernel;
    const setType = { setType: () => void table.log.push('type') };
    const domain = bench.domain(array(table, { chip: { ...bracketed(table)!.chip, ...setType } }));
    const map = domain.alloc();
    const brackets = (fn: () => unknown): string => {
      table.log.length = 0;
      void fn();
      return table.log.map((step) => (step === 'lock' ? '(' : step === 'unlock' ? ')' : '.')).join('');
    };
    const handle = irqs.request(bench.dev, map.virq, () => {});
    void handle.free();
    expect(brackets(() => irqs.request(bench.dev, map.virq, () => {}))).toMatch(/^\(\.+\)$/);
    expect(brackets(() => irqs.disableNosync(map.virq))).toBe('(.)');
    expect(brackets(() => irqs.enable(map.virq))).toBe('(.)');
    expect(brackets(() => irqs.setTrigger(map.virq, 'rising'))).toBe('(.)');
    expect(brackets(() => irqs.setAffinity(map.virq, [2]))).toBe('');
    expect(String(irqs.desc(map.virq).effective)).toBe('2');
    await bench.kernel.core.unbind(bench.dev);
  });

  test('C-047 a free is within two brackets: one to shut down, one to deactivate', async () => {
    const table = new Table();
    await using bench = await Bench.start();
    const domain = bench.domain(array(table, { chip: bracketed(table)!.chip! }));
    const handle = bench.kernel.irqs.request(bench.dev, domain.alloc().virq, () => {});
    table.log.length = 0;
    await handle.free();
    expect(table.log).toEqual(['lock', 'disable', 'unlock', 'lock', 'write 0 0', 'unlock']);
  });

  test('C-048 a move leaves queue memory alone, and a parent that rewrites messages gets no such store', async () => {
    await using bench = await Bench.start();
    const log: string[] = [];
    const queue = plainStore(4, {
      mask: () => void log.push('mask'),
      unmask: () => void log.push('unmask'),
      writeMsg: () => void log.push('write'),
      busLock: () => void log.push('lock'),
      busSyncUnlock: () => void log.push('unlock'),
    });
    const domain: MsiDomain = bench.kernel.ims.createDomain(bench.dev, queue) as MsiDomain;
    const irq = bench.kernel.irqs.request(bench.dev, domain.alloc().virq, () => {});
    log.length = 0;
    irq.setAffinity([3]);
    expect(log).toEqual([]);
    expect(String(irq.effectiveAffinity)).toBe('3');
  });

  test('C-049 when the outermost level cannot be activated, its parents are deactivated again', async () => {
    await using bench = await Bench.start();
    const { core } = bench.kernel.irqs;
    const parent = bench.kernel.interrupts.msiParent!;
    const own = new IrqDomain(core, {
      name: 'OWN',
      parent,
      ops: {
        alloc: (domain, virq, count, info) => {
          domain.allocParent(virq, count, info);
          domain.setHwirq(virq, 0, { name: 'OWN', mask() {}, unmask() {} });
        },
        free: (domain, virq, count) => domain.freeParent(virq, count),
        activate: () => {
          throw new Errno('EIO', 'told to fail');
        },
      },
    });
    const info = { kind: 'ims' as const, hwirq: 0, requesterId: undefined, device: bench.dev, desc: undefined };
    const virq = own.allocIrqs(1, info);
    const events: string[] = [];
    core.tracer = { event: (name) => void events.push(name) };
    expect(codeOf(() => bench.kernel.irqs.request(bench.dev, virq, () => {}))).toBe('EIO');
    expect(events).toContain('vector_activate');
    expect(events).toContain('vector_deactivate');
    expect([core.descs[virq]?.activated, core.descs[virq]?.actions.length]).toEqual([false, 0]);
    own.freeIrqs(virq, 1);
    own.remove();
    expect(bench.take()).toEqual([]);
  });

  test('C-050 where no level composes messages, the request fails with ENOSYS', async () => {
    await using bench = await Bench.start();
    const { core } = bench.kernel.irqs;
    const root = new IrqDomain(core, {
      name: 'MUTE',
      ops: { alloc: (domain, virq) => domain.setHwirq(virq, virq, { name: 'MUTE', mask() {}, unmask() {} }) },
      msiParent: { ...bench.kernel.interrupts.msiParent!.msiParent!, initDeviceDomain: () => undefined },
    });
    const msi = new Msi(core, () => ({ domain: root, requesterId: undefined }));
    const domain = msi.createDomain(bench.dev, {
      id: 'mute',
      template: array(),
      size: 4,
      label: 'ims domain',
      slotLabel: 'ims slot',
    });
    const { virq } = domain.alloc();
    expect(codeOf(() => bench.kernel.irqs.request(bench.dev, virq, () => {}))).toBe('ENOSYS');
    domain.remove();
    root.remove();
  });

  test('C-051 MSI-X gets a placeholder in its entry, and its vector with the request', async () => {
    await using bench = await Bench.start({ card: { msix: 4 } });
    const entries: number[][] = [];
    bench.onEntry((index, words) => void entries.push([index, (words[0]! >>> 16) & 0xff, words[1]!]));
    bench.dev.allocVectors({ types: ['msix'] });
    expect(entries).toEqual([[0, 0xef, 0]]);
    const virq = bench.dev.irqVector(0);
    expect(bench.kernel.irqs.desc(virq).activated).toBe(false);
    expect(bench.kernel.interrupts.matrix!.totalAllocated).toBe(0);
    bench.dev.requestIrq(0, () => {});
    expect(entries.at(-1)).toEqual([0, 0x20, 0]);
    expect(bench.kernel.irqs.desc(virq).activated).toBe(true);
    await bench.kernel.core.unbind(bench.dev);
    expect(entries.at(-1)).toEqual([0, 0, 0]);
  });
});
