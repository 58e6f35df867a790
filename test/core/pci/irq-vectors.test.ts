import { describe, expect, test } from 'vitest';
import { imsArray } from '../../../core/msi/index.js';
import type { MsiMsg } from '../../../core/hal/index.js';
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

describe('the checks of PciDevice.enableMsix and enableMsi', () => {
  test('C-061 max below min is ERANGE: first of all for MSI-X; for MSI after support, power state and MSI-X', async () => {
    await using system = await IrqSystem.start({ msix: 4, msi: {} });
    const { dev, machine } = system;
    const wrong = { min: 3, max: 2 };
    expect([code(() => dev.enableMsix(wrong)), code(() => dev.enableMsi(wrong))]).toEqual(['ERANGE', 'ERANGE']);
    dev.noMsi = true;
    expect([code(() => dev.enableMsix(wrong)), code(() => dev.enableMsi(wrong))]).toEqual(['ERANGE', 'EINVAL']);
    dev.noMsi = false;
    const vectors = dev.enableMsix();
    expect([code(() => dev.enableMsix(wrong)), code(() => dev.enableMsi(wrong))]).toEqual(['ERANGE', 'EINVAL']);
    vectors.free();
    const down = dev.setPowerState(3);
    machine.elapse(20_000);
    await down;
    expect([code(() => dev.enableMsix(wrong)), code(() => dev.enableMsi(wrong))]).toEqual(['ERANGE', 'EINVAL']);
    expect(system.rules).toEqual([]);
  });

  test('C-061 the range of MSI comes before the platform', async () => {
    await using system = await IrqSystem.start({ msi: {}, msix: 4 }, { interrupts: 'none' });
    const { dev } = system;
    expect(code(() => dev.enableMsi({ min: 3, max: 2 }))).toBe('ERANGE');
    expect([code(() => dev.enableMsi()), code(() => dev.enableMsix())]).toEqual(['ENOTSUPP', 'ENOTSUPP']);
    // MSI-X asks the platform before it asks whether the device may.
    dev.noMsi = true;
    expect([code(() => dev.enableMsi()), code(() => dev.enableMsix())]).toEqual(['EINVAL', 'ENOTSUPP']);
  });

  test('C-062 one kind while the other is on is EINVAL; the same kind again is a violation as well', async () => {
    await using system = await IrqSystem.start({ msi: {}, msix: 4 });
    const { dev } = system;
    const msi = dev.enableMsi();
    expect([code(() => dev.enableMsix()), system.rules]).toEqual(['EINVAL', []]);
    expect([code(() => dev.enableMsi()), system.rules]).toEqual(['EINVAL', ['vectors-enabled-twice']]);
    msi.free();
    dev.enableMsix();
    expect([code(() => dev.enableMsi()), system.rules]).toEqual(['EINVAL', ['vectors-enabled-twice']]);
    expect([code(() => dev.enableMsix()), system.rules]).toEqual(['EINVAL', ['vectors-enabled-twice', 'vectors-enabled-twice']]);
    expect(dev.vectorKind).toBe('msix');
  });

  test('what the device does not have, and what there cannot be, is EINVAL', async () => {
    await using system = await IrqSystem.start({});
    const { dev } = system;
    expect([code(() => dev.enableMsix()), code(() => dev.enableMsi())]).toEqual(['EINVAL', 'EINVAL']);
    expect([code(() => dev.msixVectorCount), code(() => dev.msiVectorCount)]).toEqual(['EINVAL', 'EINVAL']);
    for (const count of [0, -1, 1.5]) expect(code(() => dev.enableMsix({ min: count }))).toBe('EINVAL');
  });

  test("counts are the capability's, and more than they say is ENOSPC", async () => {
    await using system = await IrqSystem.start({ msi: { vectors: 4 }, msix: 5 });
    const { dev } = system;
    expect([dev.msiVectorCount, dev.msixVectorCount]).toEqual([4, 5]);
    expect([code(() => dev.enableMsi({ min: 5 })), code(() => dev.enableMsix({ min: 6 }))]).toEqual(['ENOSPC', 'ENOSPC']);
    expect(dev.enableMsix({ min: 1, max: 64 }).count).toBe(5);
  });

  test('a bus above that is known to lose messages is EINVAL', async () => {
    await using system = await IrqSystem.start({ msix: 4 }, {}, undefined, { pci: { msi: false } });
    expect([code(() => system.dev.enableMsix()), system.dev.noMsi]).toEqual(['EINVAL', false]);
  });

  test('entries that are named go to those places of the table; twice the same is EINVAL, beyond it ERANGE', async () => {
    await using system = await IrqSystem.start({ msix: 8 });
    const { dev, model } = system;
    expect(code(() => dev.enableMsix({ min: 2, entries: [3, 3] }))).toBe('EINVAL');
    expect(code(() => dev.enableMsix({ min: 2, entries: [3, 8] }))).toBe('ERANGE');
    expect([system.kernel.irqs.list(), system.msixControl().enable]).toEqual([[], false]);
    const vectors = dev.enableMsix({ min: 2, entries: [6, 1] });
    expect([vectors.virq(6), vectors.virq(1), code(() => vectors.virq(0))]).toEqual([24, 25, 'EINVAL']);
    let came = 0;
    dev.requestIrq(6, () => came++);
    model.context.irq.msix(6);
    system.drain();
    expect(came).toBe(1);
  });

  test('where entries must be in a row from 0, others are EINVAL', async () => {
    await using system = await IrqSystem.start({ msix: 8 });
    const { dev, kernel } = system;
    (kernel.interrupts.msiParent!.msiParent!.supported as Set<string>).add('msix-contiguous');
    expect(code(() => dev.enableMsix({ min: 2, entries: [0, 2] }))).toBe('EINVAL');
    expect(dev.enableMsix({ min: 2, entries: [0, 1] }).count).toBe(2);
  });

  test('fewer than asked for are taken when they do, and refused with ENOSPC when not', async () => {
    await using system = await IrqSystem.start({ msix: 8 });
    const { dev, kernel } = system;
    const { ops } = kernel.interrupts.msiParent!;
    const alloc = ops.alloc!.bind(ops);
    let left = 3;
    ops.alloc = (domain, virq, count, info) => {
      if (left === 0) throw new Errno('ENOMEM', 'no entries left');
      left--;
      alloc(domain, virq, count, info);
    };
    expect(code(() => dev.enableMsix({ min: 4, max: 8 }))).toBe('ENOSPC');
    expect(kernel.irqs.list()).toEqual([]);
    left = 3;
    const free = ops.free!.bind(ops);
    ops.free = (domain, virq, count) => {
      left += count;
      free(domain, virq, count);
    };
    expect(dev.enableMsix({ min: 2, max: 8 }).count).toBe(3);
  });
});

describe('PciDevice.allocVectors', () => {
  test('C-067 takes MSI-X, then MSI, then the line; and throws the last error when none will do', async () => {
    const kinds: (string | undefined)[] = [];
    for (const has of [{ msix: 2, msi: {}, pin: 'A' }, { msi: {}, pin: 'A' }, { pin: 'A' }] as const) {
      await using system = await IrqSystem.start(has);
      kinds.push(system.dev.allocVectors().kind);
    }
    expect(kinds).toEqual(['msix', 'msi', 'intx']);
    await using system = await IrqSystem.start({ pin: 'A' });
    expect(code(() => system.dev.allocVectors({ min: 2 }))).toBe('EINVAL');
    await using none = await IrqSystem.start({ msix: 4 });
    expect(code(() => none.dev.allocVectors({ min: 5, types: ['msix', 'intx'] }))).toBe('ENOSPC');
    expect(code(() => none.dev.allocVectors({ types: [] }))).toBe('ENOSPC');
    expect(() => none.dev.allocVectors({ min: 5 })).toThrow('EINVAL: 0000:00:01.0: has no MSI capability');
  });

  test('without messages on the platform, the line is what is left', async () => {
    await using system = await IrqSystem.start({ msix: 2, msi: {}, pin: 'B' }, { interrupts: 'none' });
    const { dev } = system;
    expect([dev.supportsMsi(), dev.msixCanAllocDyn]).toEqual([false, false]);
    expect([dev.allocVectors({ max: 4 }).kind, system.labels]).toEqual(['intx', ['intx']]);
  });

  test.each(['remapped', 'plain', 'virtual'] as const)(
    'on a platform that is %s, several vectors deliver on the CPUs they were spread over',
    async (interrupts) => {
      await using system = await IrqSystem.start({ msix: 4 }, { interrupts });
      const { dev, kernel, model } = system;
      const { count } = dev.allocVectors({ max: 4, affinity: true });
      for (let n = 0; n < count; n++) dev.requestIrq(n, () => {});
      for (let n = 0; n < count; n++) model.context.irq.msix(n);
      system.drain();
      expect([0, 1, 2, 3].map((n) => kernel.irqs.desc(dev.irqVector(n)).countOn(n))).toEqual([1, 1, 1, 1]);
    },
  );

  test.each(['plain', 'virtual'] as const)(
    'C-017 where a platform that is %s has no IMS, a driver falls back to it in one line',
    async (interrupts) => {
      await using system = await IrqSystem.start({ msix: 4 }, { interrupts });
      const { dev, kernel, model } = system;
      const store = imsArray(dev.mapBar(0), { offset: 0, slots: 1 });
      const virq = kernel.ims.tryCreateDomain(dev, store)?.alloc().virq ?? dev.allocVectors().virq(0);
      let came = 0;
      kernel.irqs.request(dev, virq, () => came++);
      model.context.irq.msix(0);
      system.drain();
      expect(came).toBe(1);
    },
  );

  test('asks the platform before there is a domain', async () => {
    await using remapped = await IrqSystem.start({ msix: 2 });
    await using plain = await IrqSystem.start({ msix: 2 }, { interrupts: 'plain' });
    const flags = ['pci-msix', 'pci-msix-alloc-dyn', 'multi-pci-msi', 'ims'] as const;
    const answers = [remapped, plain].map(({ dev }) => flags.map((flag) => dev.supportsMsi(flag)));
    expect(answers).toEqual([
      [true, true, true, true],
      [true, true, false, false],
    ]);
    expect(remapped.kernel.msi.domains(remapped.dev)).toEqual([]);
  });

  test.each([1, 2, 3])('when acquisition %i of a probe fails, nothing is held, and nothing is sent or decoded', async (n) => {
    await using system = await IrqSystem.start({ msix: 2, flr: true });
    const { dev, kernel } = system;
    await kernel.core.unbind(dev);
    const labels: string[] = [];
    kernel.core.devresHooks = {
      acquiring: (_ledger, label) => {
        labels.push(label);
        if (labels.length === n) throw new Errno('ENOMEM', `injected at ${label}`);
      },
    };
    system.driver.take = (d) => {
      d.allocVectors({ types: ['msix'] });
      d.requestIrq(0, () => {});
    };
    await kernel.core.attach(dev);
    expect(labels).toEqual(['msix vectors', 'msi domain', 'irq 24'].slice(0, n));
    expect([dev.bound, dev.devres.size, kernel.irqs.list(), kernel.msi.domains(dev)]).toEqual([false, 0, [], []]);
    expect([system.command, system.msixControl().enable]).toEqual([{ memory: false, master: false, intxDisable: false }, false]);
  });

  test('freeing what is not held does nothing', async () => {
    await using system = await IrqSystem.start({ msix: 2 });
    system.dev.freeVectors();
    expect(system.rules).toEqual([]);
  });
});

describe('the domain of vectors', () => {
  test('C-057 is kept when they are freed, and replaced by that of the other kind; IMS is left alone', async () => {
    await using system = await IrqSystem.start({ msi: {}, msix: 4 });
    const { dev, kernel } = system;
    const ims = kernel.ims.createDomain(dev, imsArray(dev.mapBar(0), { offset: 0, slots: 4 }));
    ims.alloc();
    dev.enableMsi().free();
    const first = kernel.msi.domain(dev, 'default')!;
    expect(first.busToken).toBe('pci-device-msi');
    dev.enableMsi().free();
    expect(kernel.msi.domain(dev, 'default')).toBe(first);
    dev.enableMsix();
    expect(kernel.msi.domain(dev, 'default')!.busToken).toBe('pci-device-msix');
    expect([kernel.msi.domain(dev, 'secondary') === ims, ims.count, system.rules]).toEqual([true, 1, []]);
  });

  test('C-058 of another size is built anew (T-17: Linux keeps the old one, and gives ERANGE)', async () => {
    await using system = await IrqSystem.start({ msix: 8 });
    const { dev, kernel } = system;
    dev.enableMsix({ min: 8 }).free();
    expect(kernel.msi.domain(dev, 'default')!.size).toBe(8);
    expect(dev.enableMsix({ min: 10, virtual: true }).count).toBe(10);
    expect(kernel.msi.domain(dev, 'default')!.size).toBe(10);
  });

  test('C-054 C-055 MSI-X and IMS are numbered apart, and freeing one leaves the other alone', async () => {
    await using system = await IrqSystem.start({ msix: 4 });
    const { dev, kernel, model } = system;
    const slots = kernel.ims.createDomain(dev, imsArray(dev.mapBar(0), { offset: 0, slots: 4 }));
    const vectors = dev.allocVectors({ min: 3, max: 3 });
    const ims = [slots.alloc(), slots.alloc()];
    expect([
      ims.map((map) => map.index),
      new Set([0, 1, 2].map((n) => dev.irqVector(n)).concat(ims.map((map) => map.virq))).size,
    ]).toEqual([[0, 1], 5]);
    expect([dev.irqVector(0), kernel.msi.lookup(dev, 'secondary', 0)]).toEqual([24, 27]);
    const came: string[] = [];
    const handlers = [0, 1, 2].map((n) => dev.requestIrq(n, () => came.push(`msix ${n}`)));
    for (const map of ims) kernel.irqs.request(dev, map.virq, () => came.push(`ims ${map.index}`));
    for (const handler of handlers) void handler.free();
    vectors.free();
    expect([system.msixControl().enable, system.command.master, kernel.irqs.list().map((desc) => desc.virq)]).toEqual([
      false,
      true,
      [27, 28],
    ]);
    for (const map of ims) {
      const { addressLo, addressHi, data } = slots.message(map.index) as MsiMsg;
      model.context.irq.post(addressLo, addressHi, data);
    }
    system.drain();
    expect(came.sort()).toEqual(['ims 0', 'ims 1']);
    for (const map of ims) expect(() => slots.free(map)).toThrow('EBUSY');
  });

  test('C-055 the other way round: freeing IMS leaves MSI-X alone', async () => {
    await using system = await IrqSystem.start({ msix: 4 });
    const { dev, kernel, model } = system;
    dev.allocVectors();
    let came = 0;
    dev.requestIrq(0, () => came++);
    const slots = kernel.ims.createDomain(dev, imsArray(dev.mapBar(0), { offset: 0, slots: 4 }));
    slots.alloc();
    slots.remove();
    model.context.irq.msix(0);
    system.drain();
    expect([came, system.msixControl().enable]).toEqual([1, true]);
  });

  test('C-053 a function with neither MSI nor MSI-X interrupts by IMS alone', async () => {
    await using system = await IrqSystem.start({});
    const { dev, kernel, model } = system;
    const slots = kernel.ims.createDomain(dev, imsArray(dev.mapBar(0), { offset: 0, slots: 1 }));
    let came = 0;
    kernel.irqs.request(dev, slots.alloc().virq, () => came++);
    const { addressLo, addressHi, data } = slots.message(0)!;
    model.context.irq.post(addressLo, addressHi, data);
    system.drain();
    expect([came, system.command.master]).toEqual([1, true]);
  });

  test('C-059 when the table is full, a pool goes on with IMS', async () => {
    await using system = await IrqSystem.start({ msix: 2 });
    const { dev, kernel } = system;
    dev.allocVectors({ min: 2, max: 2 });
    const slots = kernel.ims.createDomain(dev, imsArray(dev.mapBar(0), { offset: 0, slots: 2 }));
    const any = (): number => {
      try {
        return dev.msixAllocAt().virq;
      } catch (error) {
        if (!Errno.is(error, 'EBUSY')) throw error;
        return slots.alloc().virq;
      }
    };
    expect(any()).toBe(26);
  });

  test('C-132 slots and vectors that a driver left are freed at unbind, the last first, without a violation', async () => {
    await using system = await IrqSystem.start({ msix: 4 });
    const { dev, kernel } = system;
    dev.allocVectors();
    kernel.ims.createDomain(dev, imsArray(dev.mapBar(0), { offset: 0, slots: 2 })).alloc();
    dev.msixAllocAt();
    await kernel.core.unbind(dev);
    expect([kernel.irqs.list(), kernel.msi.domains(dev), system.rules]).toEqual([[], [], []]);
  });
});

describe('vectors by number', () => {
  test('C-074 the line has vector 0, MSI those it was given, MSI-X the entries that are allocated', async () => {
    await using system = await IrqSystem.start({ msi: { vectors: 4 }, msix: 4, pin: 'A' });
    const { dev } = system;
    expect([dev.irqVector(0) === dev.irq, code(() => dev.irqVector(1))]).toEqual([true, 'EINVAL']);
    const msi = dev.allocVectors({ max: 2, types: ['msi'] });
    expect([dev.irqVector(1), code(() => dev.irqVector(2)), code(() => dev.irqVector(-1))]).toEqual([
      msi.virq(0) + 1,
      'EINVAL',
      'EINVAL',
    ]);
    msi.free();
    dev.allocVectors({ types: ['msix'] });
    expect([code(() => dev.irqVector(1)), code(() => dev.irqVector(4))]).toEqual(['EINVAL', 'EINVAL']);
    expect(system.rules).toEqual([]);
  });

  test('a request is shared, and oneshot when it has no hard half', async () => {
    await using system = await IrqSystem.start({ msix: 4 });
    const { dev, model } = system;
    dev.allocVectors();
    const came: string[] = [];
    dev.requestIrq(0, () => (came.push('first'), 'none'));
    dev.requestIrq(0, () => came.push('second'), 'second');
    model.context.irq.msix(0);
    system.drain();
    expect([came, system.kernel.irqs.desc(24).actions.map((action) => action.name)]).toEqual([
      ['first', 'second'],
      ['0000:00:01.0', 'second'],
    ]);
    dev.msixAllocAt(2);
    dev.requestIrq(2, { thread: () => void came.push('thread') });
    model.context.irq.msix(2);
    system.drain();
    expect(came.at(-1)).toBe('thread');
  });
});
