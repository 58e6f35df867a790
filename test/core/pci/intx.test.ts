import { describe, expect, test } from 'vitest';
import { IrqSystem, messages } from './irq-fixture.js';

describe('the interrupt line of a PCI device', () => {
  test('is a level that comes until its handler has cleared the cause', async () => {
    await using system = await IrqSystem.start({ pin: 'A' });
    const { dev, model } = system;
    const vectors = dev.allocVectors();
    let came = 0;
    dev.requestIrq(0, () => {
      if (++came === 2) model.context.irq.intx(false);
    });
    expect([vectors.kind, dev.irq]).toEqual(['intx', vectors.virq(0)]);
    expect(system.kernel.irqs.desc(dev.irq!).levelTriggered).toBe(true);
    model.context.irq.intx(true);
    system.drain();
    expect(came).toBe(2);
  });

  test('of a device below bridges is that of the bridge, by the pin that each has turned', async () => {
    const model = messages({ pin: 'A' });
    const bridge = { type: 'to-pci' } as const;
    const devices = [{ at: '00:03.0', bridge, children: [{ at: '02.0', bridge, children: [{ at: '05.0', model }] }] }];
    await using system = await IrqSystem.start(model, { devices });
    const { dev } = system;
    expect(dev.name).toBe('0000:02:05.0');
    dev.allocVectors();
    let came = 0;
    dev.requestIrq(0, () => {
      came++;
      system.model.context.irq.intx(false);
    });
    system.model.context.irq.intx(true);
    system.drain();
    expect(came).toBe(1);
    // Pin A of device 5 is B, below device 2 it is D, on device 3 of the root bus.
    expect(dev.irq).toBe(system.machine.pci[0]!.irqLine(3 << 3, 4));
  });

  test('is shared by those that are wired to it', async () => {
    const [one, two] = [messages({ pin: 'A' }), messages({ pin: 'A' })];
    const devices = [
      { at: '00:01.0', model: one },
      { at: '00:05.0', model: two },
    ];
    await using system = await IrqSystem.start(one, { devices });
    const [a, b] = system.kernel.pci.devices;
    const came: string[] = [];
    for (const [dev, model] of [
      [a!, one],
      [b!, two],
    ] as const) {
      let asserted = false;
      const { irq } = model.made[0]!.context;
      model.made[0]!.events.push('');
      dev.allocVectors();
      dev.requestIrq(0, () => {
        if (!asserted) return 'none';
        asserted = false;
        irq.intx(false);
        return came.push(dev.name);
      });
      if (dev === b) {
        asserted = true;
        irq.intx(true);
      }
    }
    expect(a!.irq).toBe(b!.irq);
    system.drain();
    expect(came).toEqual(['0000:00:05.0']);
  });

  test('goes silent while the device may not use it, and is as it was after unbind', async () => {
    await using system = await IrqSystem.start({ pin: 'A' });
    const { dev, model, kernel } = system;
    dev.allocVectors();
    let came = 0;
    dev.requestIrq(0, () => {
      came++;
      model.context.irq.intx(false);
    });
    dev.setIntx(false);
    model.context.irq.intx(true);
    system.drain();
    expect([came, system.command.intxDisable]).toEqual([0, true]);
    dev.setIntx(true);
    system.drain();
    expect(came).toBe(1);
    dev.setIntx(false);
    await kernel.core.unbind(dev);
    expect(system.command.intxDisable).toBe(false);
  });

  test('is not used while messages are, and is again after them', async () => {
    await using system = await IrqSystem.start({ pin: 'A', msix: 2 });
    const { dev } = system;
    const vectors = dev.allocVectors();
    expect(system.command.intxDisable).toBe(true);
    vectors.free();
    expect(system.command.intxDisable).toBe(false);
  });

  test('may be left for messages', async () => {
    await using system = await IrqSystem.start({ pin: 'A', msix: 2 });
    const { dev } = system;
    const line = dev.allocVectors({ types: ['intx'] });
    expect(dev.allocVectors().kind).toBe('msix');
    expect([line.held, system.labels]).toEqual([false, ['msi domain', 'msix vectors']]);
  });

  test('is refused while messages are enabled, which go on', async () => {
    await using system = await IrqSystem.start({ pin: 'A', msix: 2 });
    const { dev } = system;
    const vectors = dev.allocVectors();
    expect(() => dev.allocVectors({ types: ['intx'] })).toThrow(
      'EINVAL: 0000:00:01.0: its messages are enabled: free them before its line',
    );
    expect([vectors.held, dev.vectorKind]).toEqual([true, 'msix']);
  });

  test('is none for a device without pin: ENOSPC where only it would do', async () => {
    await using system = await IrqSystem.start({});
    expect(system.dev.irq).toBeUndefined();
    expect(() => system.dev.allocVectors({ types: ['intx'] })).toThrow('ENOSPC: 0000:00:01.0: no interrupt of the kinds intx');
    expect(() => system.dev.irqVector(0)).toThrow('EINVAL: 0000:00:01.0: has no interrupt vector 0');
  });
});
