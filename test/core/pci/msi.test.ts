import { describe, expect, test } from 'vitest';
import type { PciDevice } from '../../../core/pci/index.js';
import { IrqSystem, type MsiOptions, PCI } from './irq-fixture.js';

/** A register of the MSI capability as the device has it. */
const at = (dev: PciDevice): number => dev.findCapability(PCI.CAP_MSI)!;

describe('the MSI capability', () => {
  test.each<[MsiOptions, { high: number | undefined; data: number; mask: number; pending: number }]>([
    [
      { is64: false, maskable: true, vectors: 4 },
      { high: undefined, data: 0x08, mask: 0x0c, pending: 0x10 },
    ],
    [
      { is64: true, maskable: true, vectors: 4 },
      { high: 0x08, data: 0x0c, mask: 0x10, pending: 0x14 },
    ],
  ])('C-076 of %o is written where the specification has it', async (msi, where) => {
    await using system = await IrqSystem.start({ msi });
    const { dev, kernel, writes, model } = system;
    writes.length = 0;
    const virq = dev.allocVectors({ max: 4, types: ['msi'] }).virq(0);
    const written = new Set(writes.filter((line) => line.startsWith('MSI+')).map((line) => Number(line.slice(4).split(' ')[0])));
    const expected = [0x02, 0x04, where.data, where.mask, ...(where.high === undefined ? [] : [where.high])];
    expect([...written].sort((a, b) => a - b)).toEqual(expected.sort((a, b) => a - b));
    const config = dev.config;
    expect(config.read32(at(dev) + where.mask)).toBe(0xf);
    const { msg } = kernel.irqs.desc(virq).msi as { msg: { addressLo: number; data: number } };
    expect([config.read32(at(dev) + 4), config.read16(at(dev) + where.data)]).toEqual([msg.addressLo, msg.data]);
    dev.requestIrq(2, () => {});
    expect(config.read32(at(dev) + where.mask)).toBe(0xb);
    model.context.irq.msi(1);
    expect(config.read32(at(dev) + where.pending)).toBe(2);
    expect([0, 1].map((n) => kernel.irqs.hardwareState(virq + n, 'pending'))).toEqual([false, true]);
  });

  test('several messages are one descriptor, numbers in a row, and each comes to its own handler', async () => {
    await using system = await IrqSystem.start({ msi: { vectors: 8 } });
    const { dev, model } = system;
    const vectors = dev.allocVectors({ min: 2, max: 4, types: ['msi'] });
    expect([vectors.kind, vectors.count, system.msiControl()]).toEqual(['msi', 4, { enable: true, messages: 4 }]);
    expect([0, 1, 2, 3].map((n) => vectors.virq(n))).toEqual([24, 25, 26, 27]);
    expect([dev.irq, system.command.intxDisable]).toEqual([24, true]);
    const came: number[] = [];
    for (let n = 0; n < 4; n++) dev.requestIrq(n, () => came.push(n));
    for (const n of [3, 1, 0, 2]) model.context.irq.msi(n);
    system.drain();
    expect(came.sort((a, b) => a - b)).toEqual([0, 1, 2, 3]);
  });

  test('three messages are granted as four', async () => {
    await using system = await IrqSystem.start({ msi: { vectors: 4 } });
    expect(system.dev.allocVectors({ min: 3, max: 3, types: ['msi'] }).count).toBe(3);
    expect(system.msiControl()).toEqual({ enable: true, messages: 4 });
  });

  test('a platform without several messages gives one', async () => {
    await using system = await IrqSystem.start({ msi: { vectors: 8 } }, { interrupts: 'plain' });
    const { dev, model } = system;
    expect(() => dev.allocVectors({ min: 2, max: 8, types: ['msi'] })).toThrow(
      'ENOSPC: 0000:00:01.0: 1 interrupt vectors can be had, 2 are needed',
    );
    const vectors = dev.allocVectors({ min: 1, max: 8, types: ['msi'] });
    expect([vectors.count, system.msiControl()]).toEqual([1, { enable: true, messages: 1 }]);
    let came = 0;
    dev.requestIrq(0, () => came++);
    model.context.irq.msi(0);
    system.drain();
    expect(came).toBe(1);
  });

  test('the handler of the first message can go without the others', async () => {
    await using system = await IrqSystem.start({ msi: { vectors: 4, maskable: true } });
    const { dev, model } = system;
    dev.allocVectors({ max: 4, types: ['msi'] });
    let came = 0;
    const first = dev.requestIrq(0, () => {});
    dev.requestIrq(1, () => came++);
    void first.free();
    expect(model.context.irq.msi(1)).toBe(true);
    system.drain();
    expect(came).toBe(1);
  });

  test('fired while it is masked it is pending, and is delivered once when it is unmasked', async () => {
    await using system = await IrqSystem.start({ msi: { maskable: true } });
    const { dev, model, kernel } = system;
    const virq = dev.allocVectors({ types: ['msi'] }).virq(0);
    let came = 0;
    const irq = dev.requestIrq(0, () => came++, undefined);
    irq.disableNosync();
    model.context.irq.msi(0);
    system.drain();
    expect(kernel.irqs.hardwareState(virq, 'masked')).toBe(true);
    expect([model.context.irq.msi(0), kernel.irqs.hardwareState(virq, 'pending')]).toEqual([false, true]);
    irq.enable();
    system.drain();
    expect([came, kernel.irqs.hardwareState(virq, 'pending')]).toEqual([1, false]);
  });

  test('without mask bits nothing is masked, and no vector is lent', async () => {
    await using system = await IrqSystem.start({ msi: {} });
    const { dev, kernel, writes } = system;
    writes.length = 0;
    const virq = dev.allocVectors({ types: ['msi'] }).virq(0);
    expect([kernel.irqs.desc(virq).activated, kernel.irqs.desc(virq).canReserve]).toEqual([true, false]);
    expect(kernel.interrupts.matrix!.totalAllocated).toBe(1);
    expect(writes.some((line) => line.startsWith('MSI+0x10'))).toBe(false);
  });

  test('where the parent wants no masks it has none, even if the device could', async () => {
    await using system = await IrqSystem.start({ msi: { maskable: true }, msix: 2 }, {}, undefined, { noMask: true });
    const { dev, writes } = system;
    writes.length = 0;
    const vectors = dev.allocVectors({ types: ['msi'] });
    void dev.requestIrq(0, () => {}).free();
    expect(writes.some((line) => line.startsWith('MSI+0x10'))).toBe(false);
    expect(system.kernel.irqs.desc(vectors.virq(0)).canReserve).toBe(false);
    vectors.free();
    expect(dev.allocVectors().kind).toBe('msix');
    writes.length = 0;
    dev.requestIrq(0, () => {});
    expect(writes.filter((line) => line.includes('control'))).toEqual([]);
  });

  test('the order of bringing it up, and that of taking it down', async () => {
    await using system = await IrqSystem.start({ msi: { maskable: true, vectors: 2 } });
    const { dev, writes } = system;
    writes.length = 0;
    const vectors = dev.allocVectors({ max: 2, types: ['msi'] });
    const names = (): string[] => writes.map((line) => (/low|\+0x4 |\+0xc /.test(line) ? line.split(' ')[0]! : line));
    expect(names()).toEqual([
      'COMMAND 0x4',
      'MSI+0x2 0x182',
      'MSI+0x10 0x3',
      'MSI+0x2 0x192',
      'MSI+0x4',
      'MSI+0x8 0x0',
      'MSI+0xc',
      'COMMAND 0x404',
      'MSI+0x2 0x193',
    ]);
    writes.length = 0;
    vectors.free();
    expect(writes.slice(0, 3)).toEqual(['MSI+0x2 0x192', 'COMMAND 0x4', 'MSI+0x10 0x0']);
    expect([dev.irq, system.kernel.irqs.list()]).toEqual([undefined, []]);
  });

  test('after a reset message, masks and grant are as they were', async () => {
    await using system = await IrqSystem.start({ msi: { maskable: true, vectors: 4 } });
    const { dev, model, writes } = system;
    dev.allocVectors({ max: 4, types: ['msi'] });
    let came = 0;
    dev.requestIrq(2, () => came++);
    const words = (): number[] => [0, 4, 8, 12, 16].map((offset) => dev.config.read32(at(dev) + offset));
    const before = words();
    const done = dev.reset();
    system.machine.elapse(1_000_000);
    await done;
    expect(words()).toEqual(before);
    writes.length = 0;
    dev.restoreMessages();
    expect(writes.map((line) => line.split(' ')[0])).toEqual([
      'MSI+0x2', // off
      'MSI+0x2', // the grant
      'MSI+0x4',
      'MSI+0x8',
      'MSI+0xc',
      'MSI+0x10',
      'MSI+0x2', // on
    ]);
    model.context.irq.msi(2);
    model.context.irq.msi(1);
    system.drain();
    expect(came).toBe(1);
  });
});
