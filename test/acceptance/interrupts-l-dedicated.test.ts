import { describe, expect, test } from 'vitest';
import type { MsiMsg } from '../../core/index.js';
import { Bench, Table, array, codeOf } from './interrupts-bench.js';

describe('L: vectors of one guest, and messages that somebody else sends', () => {
  test('C-138 an interrupt is posted into the memory of a guest, and uses no CPU of the host', async () => {
    await using bench = await Bench.start();
    const { kernel, machine } = bench;
    const domain = bench.ims();
    const { virq } = domain.alloc();
    let count = 0;
    kernel.irqs.request(bench.dev, virq, () => count++);
    const descriptor = kernel.host.dma.alloc(4096, { mask: 2 ** 32 - 1 });
    kernel.irqs.setVcpuAffinity(virq, { descriptor, vector: 0x51 });
    expect(kernel.irqs.desc(virq).forwardedToVcpu).toBe(true);
    bench.fire(domain, 0);
    expect([count, kernel.host.dma.read32(descriptor + 4 * (0x51 >> 5)), machine.remapFaults]).toEqual([0, 1 << (0x51 & 31), []]);
    kernel.irqs.setVcpuAffinity(virq, undefined);
    bench.fire(domain, 0);
    expect([count, kernel.irqs.desc(virq).forwardedToVcpu]).toEqual([1, false]);
    kernel.host.dma.free(descriptor);
  });

  test('C-139 where no level posts it is ENOSYS, and a number without interrupt is EINVAL', async () => {
    for (const interrupts of ['plain', 'virtual'] as const) {
      await using bench = await Bench.start({ interrupts, card: { msix: 1 } });
      bench.dev.enableMsix({});
      const { irqs } = bench.kernel;
      expect(codeOf(() => irqs.setVcpuAffinity(bench.dev.irqVector(0), { descriptor: 4096, vector: 0x51 }))).toBe('ENOSYS');
      expect(codeOf(() => irqs.setVcpuAffinity(9999, undefined))).toBe('EINVAL');
    }
  });

  test('C-140 while it is posted a move changes nothing of the entry, and freeing it breaks a rule', async () => {
    await using bench = await Bench.start();
    const { irqs } = bench.kernel;
    const domain = bench.domain(array(new Table()));
    const map = domain.alloc();
    const irq = irqs.request(bench.dev, map.virq, () => {});
    const entries: number[] = [];
    bench.onEntry((_index, words) => void entries.push((words[0]! >>> 15) & 1));
    irqs.setVcpuAffinity(map.virq, { descriptor: 4096, vector: 0x51 });
    irq.setAffinity([2]);
    expect([entries, String(irq.effectiveAffinity)]).toEqual([[1], '2']);
    void irq.free();
    expect(bench.take()).toHaveLength(1);
    domain.free(map);
  });

  test('C-145 who wants to know is told of each message, and of none once the slot is free', async () => {
    await using bench = await Bench.start({ interrupts: 'plain', card: { msix: 2 } });
    const { dev, kernel } = bench;
    dev.enableMsix({});
    const domain = kernel.msi.domain(dev, 'default')!;
    const map = dev.msixAllocAt();
    const told: MsiMsg[] = [];
    domain.onMessageChanged(map, (msg) => void told.push(msg));
    const irq = kernel.irqs.request(dev, map.virq, () => {});
    irq.setAffinity([2]);
    expect(told.length).toBeGreaterThanOrEqual(2);
    expect(told.at(-1)).toEqual(domain.message(map.index));
    expect((told.at(-1)!.addressLo >>> 12) & 0xff).toBe(2);
    void irq.free();
    dev.msixFree(map);
    const before = told.length;
    const next = dev.msixAllocAt();
    expect([next.index, told.length]).toEqual([map.index, before]);
    expect(codeOf(() => domain.onMessageChanged(map, () => {}))).toBe('EINVAL');
    expect(bench.take()).toEqual(['msi-stale-map']);
  });
});
