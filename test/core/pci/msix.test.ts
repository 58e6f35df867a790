import { describe, expect, test } from 'vitest';
import { IrqSystem } from './irq-fixture.js';

describe('an entry of the MSI-X table', () => {
  test('is masked until its interrupt is requested, and delivers then', async () => {
    await using system = await IrqSystem.start({ msix: 4 });
    const { dev, model } = system;
    const vectors = dev.allocVectors({ min: 2, max: 2 });
    expect([vectors.kind, vectors.count, vectors.virq(0), vectors.virq(1)]).toEqual(['msix', 2, 24, 25]);
    expect([0, 1, 2, 3].map((n) => system.entry(n).masked)).toEqual([true, true, true, true]);
    const came: number[] = [];
    dev.requestIrq(1, (virq) => came.push(virq));
    expect([0, 1].map((n) => system.entry(n).masked)).toEqual([true, false]);
    expect(model.context.irq.msix(1)).toBe(true);
    system.drain();
    expect(came).toEqual([25]);
  });

  test('written while it is masked, fired while it is masked, it delivers once when it is unmasked', async () => {
    await using system = await IrqSystem.start({ msix: 4 });
    const { dev, model } = system;
    const vectors = dev.allocVectors();
    let came = 0;
    const irq = dev.requestIrq(0, () => came++);
    irq.disableNosync();
    // Disabling is lazy: the first that comes masks, and is remembered.
    model.context.irq.msix(0);
    system.drain();
    expect([came, system.entry(0).masked]).toEqual([0, true]);
    const before = system.entry(0).msg;
    irq.setAffinity([2]);
    model.context.irq.msix(0);
    model.context.irq.msix(0);
    expect([system.pendingBits(), system.kernel.irqs.hardwareState(vectors.virq(0), 'pending')]).toEqual([1, true]);
    expect(system.entry(0).msg).toEqual(before);
    irq.enable();
    system.drain();
    expect(system.pendingBits()).toBe(0);
    // The replay of what was remembered and the message of the pending bit are one request of one vector.
    expect(came).toBe(1);
  });

  test('is masked while its message changes, which is read back', async () => {
    await using system = await IrqSystem.start({ msix: 4 }, { interrupts: 'plain' });
    const { dev } = system;
    dev.allocVectors();
    const irq = dev.requestIrq(0, () => {});
    const { writes } = system;
    writes.length = 0;
    irq.setAffinity([3]);
    const { addressLo, data } = system.entry(0).msg;
    const hex = (value: number): string => `0x${value.toString(16)}`;
    const body = [`entry 0 low ${hex(addressLo)}`, 'entry 0 high 0x0', `entry 0 data ${hex(data)}`];
    // The plain platform masks around it by itself.
    expect(writes).toEqual(['entry 0 control 0x1', ...body, 'entry 0 control 0x0']);
    expect((addressLo >>> 12) & 0xff).toBe(3);
  });

  test('rewritten while it is open, it is masked for that', async () => {
    await using system = await IrqSystem.start({ msix: 4 });
    const { dev, kernel, writes } = system;
    const virq = dev.allocVectors().virq(0);
    dev.requestIrq(0, () => {});
    writes.length = 0;
    const { data } = kernel.irqs.desc(virq);
    data.chip.writeMsiMsg!(data, { addressLo: 0xfee0_0000, addressHi: 0, data: 7 });
    expect(writes).toEqual([
      'entry 0 control 0x1',
      'entry 0 low 0xfee00000',
      'entry 0 high 0x0',
      'entry 0 data 0x7',
      'entry 0 control 0x0',
    ]);
  });

  test('beyond the end of the table is never written, and its interrupt is there', async () => {
    await using system = await IrqSystem.start({ msix: 2 });
    const { dev, writes } = system;
    const vectors = dev.allocVectors({ min: 4, max: 4, types: ['msix'], virtual: true });
    expect([vectors.count, vectors.virq(3)]).toEqual([4, 27]);
    let came = 0;
    dev.requestIrq(3, () => came++);
    expect(writes.filter((line) => line.startsWith('entry 2') || line.startsWith('entry 3'))).toEqual([]);
    const { msg } = system.kernel.irqs.desc(27).msi as { msg: { addressLo: number; addressHi: number; data: number } };
    system.model.context.irq.post(msg.addressLo, msg.addressHi, msg.data);
    system.drain();
    expect(came).toBe(1);
  });
});

describe('bringing MSI-X up', () => {
  test('goes by ENABLE with MASKALL, the table, INTx off, all entries masked, MASKALL off', async () => {
    await using system = await IrqSystem.start({ msix: 2 });
    const { dev, writes } = system;
    writes.length = 0;
    dev.allocVectors();
    const messages = writes.filter((line) => /low|high|data/.test(line));
    expect(messages.map((line) => line.split(' ').slice(0, 3).join(' '))).toEqual([
      'entry 0 low',
      'entry 0 high',
      'entry 0 data',
    ]);
    expect(writes.filter((line) => !/low|high|data/.test(line))).toEqual([
      'COMMAND 0x4', // the domain: it masters the bus
      'MSIX_CONTROL 0xc001',
      'COMMAND 0x6',
      'COMMAND 0x406',
      'entry 0 control 0x1',
      'entry 1 control 0x1',
      'MSIX_CONTROL 0x8001',
    ]);
  });

  test('C-051 the early message goes to a placeholder, and the vector is taken by the request', async () => {
    await using system = await IrqSystem.start({ msix: 4 });
    const { dev, kernel } = system;
    const { matrix } = kernel.interrupts;
    const virq = dev.allocVectors().virq(0);
    const desc = kernel.irqs.desc(virq);
    expect([desc.activated, desc.canReserve, matrix!.totalAllocated]).toEqual([false, true, 0]);
    expect(system.entry(0).msg.addressLo >>> 20).toBe(0xfee);
    dev.requestIrq(0, () => {});
    expect([desc.activated, matrix!.totalAllocated]).toEqual([true, 1]);
  });

  test('fails with ENOMEM where the table has no address, and leaves everything as it was', async () => {
    await using system = await IrqSystem.start({ msix: 4 });
    const { dev } = system;
    (dev.bar(0) as { address: number | undefined }).address = undefined;
    expect(() => dev.enableMsix()).toThrow('ENOMEM: 0000:00:01.0: its MSI-X table is in BAR 0, which has no address');
    expect(system.msixControl()).toEqual({ enable: false, functionMask: false });
    expect(system.kernel.irqs.list()).toEqual([]);
    expect(system.command).toEqual({ memory: false, master: true, intxDisable: false });
  });

  test('C-077 a function with 32-bit MSI and a message above 4 GiB fails with EIO and is rolled back', async () => {
    await using system = await IrqSystem.start({ msi: { is64: false }, msix: 4 });
    const { dev, kernel } = system;
    const parent = kernel.interrupts.msiParent!;
    const { ops } = parent;
    const alloc = ops.alloc!.bind(ops);
    ops.alloc = (domain, virq, count, info) => {
      alloc(domain, virq, count, info);
      const data = domain.data(virq);
      data.chip = { ...data.chip, composeMsiMsg: () => ({ addressLo: 0, addressHi: 1, data: 0 }) };
    };
    for (const enable of [() => dev.enableMsi(), () => dev.enableMsix()]) {
      expect(enable).toThrow('EIO: 0000:00:01.0: message 0 goes to 0x100000000, but the device has 32 address bits');
    }
    expect([kernel.irqs.list(), system.msiControl().enable, system.msixControl().enable]).toEqual([[], false, false]);
    expect(system.command.intxDisable).toBe(false);
  });

  test('clears what firmware has left enabled', async () => {
    await using system = await IrqSystem.start({ msix: 4, msi: {} });
    const { dev, kernel } = system;
    const space = system.model.context.endpoint.space;
    for (const [id, bits] of [
      [0x11, 0x8000],
      [0x05, 1],
    ] as const) {
      const at = dev.findCapability(id)! + 2;
      space.write16(at, space.read16(at) | bits);
    }
    await kernel.pci.remove(dev);
    await kernel.pci.rescan();
    expect([system.msixControl().enable, system.msiControl().enable]).toEqual([false, false]);
  });
});

describe('PciDevice.msixAllocAt', () => {
  test('C-071 the errors of dynamic allocation, in each case', async () => {
    await using system = await IrqSystem.start({ msix: 3 });
    const { dev } = system;
    expect(() => dev.msixAllocAt(0)).toThrow('ENOTSUPP: 0000:00:01.0: no MSI-X vector on its own: MSI-X is not enabled');
    dev.allocVectors();
    const at = dev.msixAllocAt(2);
    expect([at.index, at.virq, dev.irqVector(2)]).toEqual([2, 25, 25]);
    expect(() => dev.msixAllocAt(2)).toThrow('EBUSY');
    expect(() => dev.msixAllocAt(3)).toThrow('ERANGE');
    expect(dev.msixAllocAt().index).toBe(1);
    expect(() => dev.msixAllocAt()).toThrow('EBUSY');
    expect(system.labels).toEqual(['msi domain', 'msix vectors', 'msix vector', 'msix vector']);
  });

  test('C-071 without support of the parent it is ENOTSUPP', async () => {
    await using system = await IrqSystem.start({ msix: 3 });
    const { dev, kernel } = system;
    (kernel.interrupts.msiParent!.msiParent!.supported as Set<string>).delete('pci-msix-alloc-dyn');
    dev.allocVectors();
    expect(dev.msixCanAllocDyn).toBe(false);
    expect(() => dev.msixAllocAt(1)).toThrow('ENOTSUPP: 0000:00:01.0: no MSI-X vector on its own: the platform cannot');
  });

  test('C-072 a freed entry is free again while MSI-X stays on; a map that is free is refused', async () => {
    await using system = await IrqSystem.start({ msix: 8 });
    const { dev } = system;
    dev.allocVectors();
    const map = dev.msixAllocAt(3);
    dev.msixFree(map);
    expect([system.msixControl().enable, dev.msixAllocAt(3).index]).toEqual([true, 3]);
    expect(() => dev.msixFree(map)).toThrow('EINVAL');
    expect(system.rules).toEqual(['msi-stale-map']);
    expect(dev.irqVector(3)).toBe(25);
  });

  test('C-147 C-155 vectors beyond the first come and go one by one, each interrupting by its own entry', async () => {
    await using system = await IrqSystem.start({ msix: 8 });
    const { dev, model } = system;
    dev.allocVectors({ types: ['msix'] });
    const came: number[] = [];
    for (const index of [5, undefined]) {
      const map = dev.msixAllocAt(index, [1]);
      dev.requestIrq(map.index, () => came.push(map.index));
    }
    model.context.irq.msix(5);
    model.context.irq.msix(1);
    system.drain();
    expect(came.sort((a, b) => a - b)).toEqual([1, 5]);
    expect(system.kernel.irqs.affinity(dev.irqVector(5)).has(1)).toBe(true);
  });

  test('a handler keeps its vector from being freed', async () => {
    await using system = await IrqSystem.start({ msix: 8 });
    const { dev } = system;
    const vectors = dev.allocVectors();
    const map = dev.msixAllocAt();
    const irq = dev.requestIrq(map.index, () => {});
    expect(() => dev.msixFree(map)).toThrow('EBUSY');
    expect(() => vectors.free()).toThrow('EBUSY: 0000:00:01.0: vector 1: a handler of irq 25 is installed: free that first');
    expect(system.msixControl().enable).toBe(true);
    void irq.free();
    vectors.free();
    expect([system.msixControl().enable, map.held, system.labels]).toEqual([false, false, ['msi domain']]);
  });
});

describe('a reset', () => {
  test('C-073 what is restored, and in which order; IMS is not', async () => {
    await using system = await IrqSystem.start({ msix: 2 });
    const { dev, model } = system;
    const vectors = dev.allocVectors({ min: 2, max: 2 });
    let came = 0;
    dev.requestIrq(1, () => came++);
    const [first, second] = [system.entry(0).msg, system.entry(1).msg];
    model.context.endpoint.reset('function');
    expect([system.entry(1).masked, system.msixControl().enable]).toEqual([true, false]);
    const { writes } = system;
    writes.length = 0;
    dev.restoreMessages();
    const hex = (value: number): string => `0x${value.toString(16)}`;
    expect(writes).toEqual([
      'COMMAND 0x400',
      'MSIX_CONTROL 0xc001',
      'COMMAND 0x402',
      `entry 0 low ${hex(first.addressLo)}`,
      'entry 0 high 0x0',
      `entry 0 data ${hex(first.data)}`,
      'entry 0 control 0x1',
      'entry 1 control 0x1',
      `entry 1 low ${hex(second.addressLo)}`,
      'entry 1 high 0x0',
      `entry 1 data ${hex(second.data)}`,
      'entry 1 control 0x0',
      'entry 1 control 0x0',
      'COMMAND 0x400',
      'MSIX_CONTROL 0x8001',
    ]);
    expect(vectors.held).toBe(true);
    expect(came).toBe(0);
  });

  test('by PciDevice.reset leaves the interrupts as they were', async () => {
    await using system = await IrqSystem.start({ msix: 2 });
    const { dev, model } = system;
    dev.allocVectors({ min: 2, max: 2 });
    let came = 0;
    dev.requestIrq(1, () => came++);
    const before = [system.entry(0), system.entry(1), system.command];
    const done = dev.reset();
    system.machine.elapse(1_000_000);
    await done;
    expect([system.entry(0), system.entry(1), system.command]).toEqual(before);
    model.context.irq.msix(1);
    system.drain();
    expect(came).toBe(1);
  });

  test('what was moved while the device was in D3 is written when it is back, whether or not it keeps its state', async () => {
    for (const noSoftReset of [true, false]) {
      await using system = await IrqSystem.start({ msix: 2, noSoftReset }, { interrupts: 'plain' });
      const { dev, machine, model } = system;
      dev.allocVectors();
      let came = 0;
      const irq = dev.requestIrq(0, () => came++);
      const down = dev.setPowerState(3);
      machine.elapse(20_000);
      await down;
      system.writes.length = 0;
      irq.setAffinity([2]);
      expect(system.writes.filter((line) => /low|high|data/.test(line))).toEqual([]);
      const up = dev.setPowerState(0);
      machine.elapse(20_000);
      await up;
      expect((system.entry(0).msg.addressLo >>> 12) & 0xff).toBe(2);
      model.context.irq.msix(0);
      system.drain();
      expect(came).toBe(1);
    }
  });
});

describe('the end of MSI-X', () => {
  test('C-133 at unbind handlers go first, then the vectors, then the domain; nothing is left', async () => {
    await using system = await IrqSystem.start({ msix: 4, pin: 'A' });
    const { dev, kernel } = system;
    dev.mapBar(0);
    dev.allocVectors({ min: 2, max: 2 });
    dev.requestIrq(0, () => {});
    dev.requestIrq(1, () => {});
    expect(system.labels).toEqual(['bar 0', 'msi domain', 'msix vectors', 'irq 24', 'irq 25']);
    const gone: string[] = [];
    kernel.core.devresHooks = { released: (_ledger, entry) => gone.push(entry.label) };
    await kernel.core.unbind(dev);
    expect(gone).toEqual(['irq 25', 'irq 24', 'msix vectors', 'msi domain', 'bar 0']);
    expect([kernel.irqs.list(), kernel.msi.domains(dev), system.rules]).toEqual([[], [], []]);
    expect(system.command).toEqual({ memory: false, master: false, intxDisable: false });
    expect([system.msixControl().enable, system.entry(0).masked]).toEqual([false, true]);
  });

  test('C-131 a later binding can have it all again', async () => {
    let count = 0;
    await using system = await IrqSystem.start({ msix: 4 }, {}, (dev) => {
      count += dev.allocVectors({ max: 4 }).count;
    });
    const { dev, kernel } = system;
    await kernel.core.unbind(dev);
    await kernel.core.attach(dev);
    expect([dev.bound, count, dev.irqVector(3)]).toEqual([true, 8, 27]);
  });

  test('for a device that is gone changes what the core knows, and nothing else', async () => {
    await using system = await IrqSystem.start({ msix: 4 });
    const { dev, machine, kernel } = system;
    dev.allocVectors();
    dev.requestIrq(0, () => {});
    system.writes.length = 0;
    machine.yank('00:01.0');
    await kernel.core.settle();
    expect([kernel.irqs.list(), kernel.pci.devices]).toEqual([[], []]);
    expect(system.writes.filter((line) => /low|high|data|MSIX/.test(line))).toEqual([]);
  });

  test('a handle kept past the binding says so', async () => {
    await using system = await IrqSystem.start({ msix: 4 });
    const { dev, kernel } = system;
    const vectors = dev.allocVectors();
    await kernel.core.unbind(dev);
    expect(() => vectors.virq(0)).toThrow('ENODEV: 0000:00:01.0: msix vectors used after they were freed');
    expect([vectors.held, system.rules]).toEqual([false, ['use-after-unbind']]);
  });
});
