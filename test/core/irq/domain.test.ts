import { describe, expect, test } from 'vitest';
import { type IrqAllocInfo, IrqDomain, type IrqDomainOps, NO_IRQ_CHIP, handleLevel, setChip } from '../../../core/irq/index.js';
import { Errno } from '../../../core/lib/index.js';
import { Bench, recordingChip } from './bench.js';

const STEPS = ['alloc', 'free', 'activate', 'deactivate'] as const;
type Step = (typeof STEPS)[number];

/** Three levels, `DEV` over `MID` over `ROOT`, that record what is done; `fail` makes a step of a level fail. */
function stack(bench: Bench) {
  const { trace } = bench;
  const fail = new Map<string, Errno>();
  const level = (name: string, parent?: IrqDomain): IrqDomain => {
    const chip = recordingChip(name, trace, ['ack', 'mask', 'unmask']);
    const note = (step: Step): void => {
      trace.push(`${name}.${step}`);
      const error = fail.get(`${name}.${step}`);
      if (error !== undefined) throw error;
    };
    const ops: IrqDomainOps = {
      alloc(domain, virq, count, info) {
        if (parent !== undefined) domain.allocParent(virq, count, info);
        try {
          note('alloc');
        } catch (error) {
          if (parent !== undefined) for (let n = 0; n < count; n++) domain.freeParent(virq + n, 1);
          throw error;
        }
        for (let n = 0; n < count; n++) domain.setHwirq(virq + n, info.hwirq + n, chip);
      },
      free(domain, virq, count) {
        try {
          note('free');
        } finally {
          domain.freeParent(virq, count);
        }
      },
      activate: () => note('activate'),
      deactivate: () => note('deactivate'),
    };
    return new IrqDomain(bench.irqCore, { name, parent, ops });
  };
  const root = level('ROOT');
  const mid = level('MID', root);
  const dev = level('DEV', mid);
  const info = (hwirq: number): IrqAllocInfo => bench.info(hwirq);
  const close = (): void => {
    for (const domain of [dev, mid, root]) domain.remove();
  };
  return { root, mid, dev, fail, info, close, all: [dev, mid, root] };
}

const eio = (what: string): Errno => new Errno('EIO', what);

describe('IrqDomain as a hierarchy', () => {
  test('allocates towards the CPU first, and maps the number in every level', async () => {
    await using bench = await Bench.open();
    const { all, dev, root, info, close } = stack(bench);
    const virq = dev.allocIrqs(2, info(7));
    expect(bench.look()).toEqual(['ROOT.alloc', 'MID.alloc', 'DEV.alloc']);
    for (const domain of all)
      expect(domain.mappings().map(([hwirq, desc]) => [hwirq, desc.virq])).toEqual([
        [7, virq],
        [8, virq + 1],
      ]);
    const { data } = bench.irqs.desc(virq);
    expect([data.domain, data.parent?.parent, data.root, data.at(root)]).toEqual([
      dev,
      data.root,
      dev === root ? data : data.root,
      data.root,
    ]);
    dev.freeIrqs(virq, 2);
    expect(bench.look()).toEqual(['DEV.free', 'MID.free', 'ROOT.free', 'DEV.free', 'MID.free', 'ROOT.free']);
    expect(all.map((domain) => domain.size)).toEqual([0, 0, 0]);
    expect(bench.irqCore.count).toBe(0);
    close();
  });

  test.each(['ROOT', 'MID', 'DEV'])('an allocation that %s refuses leaves nothing', async (name) => {
    await using bench = await Bench.open();
    const { all, dev, fail, info, close } = stack(bench);
    fail.set(`${name}.alloc`, new Errno('ENOSPC', 'full'));
    expect(() => dev.allocIrqs(1, info(0))).toThrow('ENOSPC: full');
    expect([bench.irqCore.count, ...all.map((domain) => domain.size)]).toEqual([0, 0, 0, 0]);
    close();
  });

  test('a number that a level has already is EEXIST, and the first owner keeps it', async () => {
    await using bench = await Bench.open();
    const { all, dev, info, close } = stack(bench);
    const virq = dev.allocIrqs(1, info(3));
    expect(() => dev.allocIrqs(2, info(2))).toThrow('EEXIST: domain DEV');
    expect(all.map((domain) => domain.lookup(3)?.virq)).toEqual([virq, virq, virq]);
    expect(all.map((domain) => domain.lookup(2))).toEqual([undefined, undefined, undefined]);
    expect(bench.irqCore.count).toBe(1);
    dev.freeIrqs(virq, 1);
    close();
  });

  test('what is not of the domain is not freed, nor is anything beside it', async () => {
    await using bench = await Bench.open();
    const { dev, mid, info, close } = stack(bench);
    const virq = dev.allocIrqs(1, info(0));
    bench.look();
    expect(() => mid.freeIrqs(virq, 1)).toThrow('EINVAL: domain MID');
    expect(() => dev.freeIrqs(virq, 2)).toThrow('EINVAL: domain DEV');
    expect([bench.look(), dev.size]).toEqual([[], 1]);
    dev.freeIrqs(virq, 1);
    expect(() => dev.freeIrqs(virq, 1)).toThrow('EINVAL: domain DEV');
    close();
  });

  test('a level that cannot free does not keep the others from it', async () => {
    await using bench = await Bench.open();
    const { all, dev, fail, info, close } = stack(bench);
    const virq = dev.allocIrqs(1, info(0));
    bench.look();
    fail.set('DEV.free', eio('stuck'));
    expect(() => dev.freeIrqs(virq, 1)).toThrow('EIO: stuck');
    expect(bench.look()).toEqual(['DEV.free', 'MID.free', 'ROOT.free']);
    expect([bench.irqCore.count, ...all.map((domain) => domain.size)]).toEqual([0, 0, 0, 0]);
    close();
  });

  test('activates from the CPU outwards at the request, deactivates inwards at the free', async () => {
    await using bench = await Bench.open();
    const { dev, info, close } = stack(bench);
    const virq = dev.allocIrqs(1, info(0));
    bench.look();
    const irq = bench.irqs.request(bench.device(), virq, () => {});
    expect(bench.look()).toEqual(['ROOT.activate', 'MID.activate', 'DEV.activate', 'DEV.unmask']);
    expect(irq.desc).toMatchObject({ activated: true, started: true, depth: 0 });
    await irq.free();
    expect(bench.look()).toEqual(['DEV.mask', 'DEV.deactivate', 'MID.deactivate', 'ROOT.deactivate']);
    expect(bench.irqs.desc(virq)).toMatchObject({ activated: false, started: false, depth: 1 });
    dev.freeIrqs(virq, 1);
    close();
  });

  test.each([
    ['ROOT', []],
    ['MID', ['ROOT.deactivate']],
    ['DEV', ['MID.deactivate', 'ROOT.deactivate']],
  ])(
    'C-049 when %s does not activate, those before it are inactive again and the request fails with its error',
    async (name, undone) => {
      await using bench = await Bench.open();
      const { dev, fail, info, close } = stack(bench);
      const device = bench.device();
      const virq = dev.allocIrqs(1, info(0));
      fail.set(`${name}.activate`, eio(name));
      bench.look();
      expect(() => bench.irqs.request(device, virq, () => {})).toThrow(`EIO: ${name}`);
      expect(bench.look().filter((step) => !step.endsWith('.activate'))).toEqual(undone);
      const desc = bench.irqs.desc(virq);
      expect(desc).toMatchObject({ activated: false, started: false, depth: 1, action: undefined });
      expect(device.devres.size).toBe(0);
      // It can be requested as soon as the cause is gone.
      fail.clear();
      await bench.irqs.request(device, virq, () => {}).free();
      dev.freeIrqs(virq, 1);
      close();
    },
  );

  test('an undoing that fails as well hides neither error, nor keeps the levels below active', async () => {
    await using bench = await Bench.open();
    const { dev, fail, info, close } = stack(bench);
    const virq = dev.allocIrqs(1, info(0));
    fail.set('DEV.activate', eio('first'));
    fail.set('MID.deactivate', eio('second'));
    bench.look();
    expect(() => bench.irqs.request(bench.device(), virq, () => {})).toThrow(/EIO: first .*and 1 more/);
    expect(bench.look()).toEqual(['ROOT.activate', 'MID.activate', 'DEV.activate', 'MID.deactivate', 'ROOT.deactivate']);
    fail.clear();
    dev.freeIrqs(virq, 1);
    close();
  });

  test('a level that does not deactivate is told, and the others are inactive', async () => {
    await using bench = await Bench.open();
    const { dev, fail, info, close } = stack(bench);
    const virq = dev.allocIrqs(1, info(0));
    const device = bench.device();
    const irq = bench.irqs.request(device, virq, () => {});
    fail.set('DEV.deactivate', eio('stuck'));
    bench.look();
    expect(() => irq.free()).toThrow('EIO: stuck');
    expect(bench.look()).toEqual(['DEV.mask', 'DEV.deactivate', 'MID.deactivate', 'ROOT.deactivate']);
    expect([bench.irqs.desc(virq).activated, device.devres.size]).toEqual([false, 0]);
    dev.freeIrqs(virq, 1);
    close();
  });

  test('a domain without alloc is no hierarchy, and one without parent has nobody to ask', async () => {
    await using bench = await Bench.open();
    const flat = new IrqDomain(bench.irqCore, { name: 'FLAT', ops: {} });
    const orphan = new IrqDomain(bench.irqCore, {
      name: 'ORPHAN',
      ops: { alloc: (own, virq, count, info) => own.allocParent(virq, count, info) },
    });
    const below = new IrqDomain(bench.irqCore, { name: 'BELOW', parent: flat, ops: orphan.ops });
    expect(() => flat.allocIrqs(1, bench.info(0))).toThrow('ENOSYS: domain FLAT');
    for (const domain of [orphan, below]) expect(() => domain.allocIrqs(1, bench.info(0))).toThrow('ENOSYS');
    expect(bench.irqCore.count).toBe(0);
    for (const domain of [flat, below, orphan]) domain.remove();
  });
});

describe('IrqDomain that maps', () => {
  const flat = (bench: Bench, ops: IrqDomainOps = {}): IrqDomain =>
    new IrqDomain(bench.irqCore, {
      name: 'GPIO',
      hwirqMax: 8,
      ops: {
        map: (domain, virq, hwirq) => {
          bench.trace.push(`map ${hwirq}`);
          setChip(domain.core.descs[virq]!, recordingChip('gpio', bench.trace, ['mask', 'unmask']), handleLevel, 'level');
        },
        unmap: () => bench.trace.push('unmap'),
        ...ops,
      },
    });

  test('maps a number once, and gives it back', async () => {
    await using bench = await Bench.open();
    const gpio = flat(bench);
    const virq = gpio.createMapping(5);
    expect([gpio.createMapping(5), gpio.lookup(5)?.virq, gpio.size]).toEqual([virq, virq, 1]);
    expect(bench.irqs.desc(virq).flowName).toBe('level');
    gpio.disposeMapping(virq);
    gpio.disposeMapping(virq);
    expect([gpio.size, bench.irqCore.count, bench.look()]).toEqual([0, 0, ['map 5', 'unmap']]);
    gpio.remove();
  });

  test('refuses numbers that are too large, and numbers of a hierarchy', async () => {
    await using bench = await Bench.open();
    const gpio = flat(bench);
    for (const hwirq of [8, -1, 0.5, NaN]) expect(() => gpio.createMapping(hwirq)).toThrow('EINVAL: domain GPIO');
    const { dev, close } = stack(bench);
    expect(() => dev.createMapping(0)).toThrow('EINVAL: domain DEV: is a hierarchy');
    expect(bench.irqCore.count).toBe(0);
    close();
    gpio.remove();
  });

  test('a map that fails leaves no number; an unmap that fails leaves none either', async () => {
    await using bench = await Bench.open();
    const broken = (): never => {
      throw eio('bus');
    };
    const one = flat(bench, { map: broken });
    expect(() => one.createMapping(0)).toThrow('EIO: bus');
    const two = flat(bench, { unmap: broken });
    const virq = two.createMapping(0);
    expect(() => two.disposeMapping(virq)).toThrow('EIO: bus');
    expect([one.size, two.size, bench.irqCore.count]).toEqual([0, 0, 0]);
    one.remove();
    two.remove();
  });

  test('what has handlers is not unmapped', async () => {
    await using bench = await Bench.open();
    const gpio = flat(bench);
    const virq = gpio.createMapping(1);
    const irq = bench.irqs.request(bench.device(), virq, () => {});
    expect(() => gpio.disposeMapping(virq)).toThrow(`EBUSY: domain GPIO: irq ${virq} has handlers`);
    expect(gpio.lookup(1)?.virq).toBe(virq);
    await irq.free();
    gpio.disposeMapping(virq);
    gpio.remove();
  });

  test('who frees a handler of an interrupt that is gone reaches no hardware', async () => {
    await using bench = await Bench.open();
    const { dev, info, close } = stack(bench);
    const virq = dev.allocIrqs(1, info(0));
    const irq = bench.irqs.request(bench.device(), virq, () => {});
    const { desc } = irq;
    dev.freeIrqs(virq, 1);
    bench.look();
    await irq.free();
    expect([bench.look(), desc.chip, desc.activated]).toEqual([[], NO_IRQ_CHIP, false]);
    close();
  });

  test('a domain that goes with interrupts mapped breaks a rule, which names them', async () => {
    await using bench = await Bench.open();
    const gpio = flat(bench);
    const virq = gpio.createMapping(6);
    gpio.remove();
    gpio.remove();
    expect(bench.violations).toEqual(['irq-domain-not-empty']);
    expect(bench.said[0]).toContain(`6 (irq ${virq})`);
    expect(bench.irqCore.domains.has(gpio)).toBe(false);
    bench.irqCore.freeDescs(virq, 1);
  });
});
