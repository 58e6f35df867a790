import { describe, expect, test } from 'vitest';
import { Completion, CpuMask, Errno, createAffinityMasks, imsArray, imsQueue } from 'backplane';
import { DriverHarness, FakePciFunction } from 'backplane/testing';
import { driverOf } from './fixture.js';
import { Rig, codeOf, wrong } from './interrupts-rig.js';

// oxlint-disable-next-line unicorn/no-null -- what JavaScript may hand over
const NOTHING: readonly unknown[] = [undefined, null];
const NUMBERS: readonly unknown[] = [Number.NaN, -1, 1.5, 2 ** 40, Number.POSITIVE_INFINITY];
const OTHERS: readonly unknown[] = ['x', {}, () => {}];
const ALL: readonly unknown[] = [...NUMBERS, ...NOTHING, ...OTHERS];

/** Everything that one call did with bad values but throw an `Errno`, and whether it changed anything. */
function sweep(rig: Rig, values: readonly unknown[], call: (value: never) => unknown): string[] {
  const wrongs: string[] = [];
  const before = JSON.stringify(rig.account());
  for (const value of values) {
    const code = codeOf(() => call(value as never));
    // The domain of MSI and MSI-X stays, for the next who enables them.
    rig.kernel.msi.domain(rig.dev(), 'default')?.remove();
    if (code === 'nothing' || code.startsWith('not an Errno')) wrongs.push(`${String(value)}: ${code}`);
    if (JSON.stringify(rig.account()) !== before) wrongs.push(`${String(value)}: changed ${before}`);
  }
  return wrongs;
}

/** A rig whose slot 0 is requested, and all that can be called with it. */
async function busyRig() {
  const rig = await Rig.start({ rulesMayBreak: true });
  const dev = rig.dev();
  const { irqs, ims } = rig.kernel;
  const regs = dev.mapBar(0);
  const domain = ims.createDomain(dev, imsArray(regs, rig.layout()));
  const map = domain.alloc();
  const handle = irqs.request(dev, map.virq, { hard: () => {}, shared: true });
  return { rig, dev, irqs, ims, regs, domain, map, handle };
}

type Busy = Awaited<ReturnType<typeof busyRig>>;

const CALLS: readonly (readonly [string, readonly unknown[], (busy: Busy, value: never) => unknown])[] = [
  ['Irqs.request, number', ALL, ({ irqs, dev }, v) => irqs.request(dev, v, () => {})],
  ['Irqs.request, handler', [...NUMBERS, ...NOTHING, 'x', {}], ({ irqs, dev, map }, v) => irqs.request(dev, map.virq, v)],
  [
    'Irqs.request, hard',
    [...NUMBERS, 'x', {}],
    ({ irqs, dev, map }, v) => irqs.request(dev, map.virq, { hard: v, shared: true }),
  ],
  [
    'Irqs.request, thread',
    [...NUMBERS, 'x'],
    ({ irqs, dev, map }, v) => irqs.request(dev, map.virq, { thread: v, shared: true }),
  ],
  [
    'Irqs.request, trigger',
    [...NUMBERS, ...OTHERS],
    ({ irqs, dev, map }, v) => irqs.request(dev, map.virq, { hard: () => {}, shared: true, trigger: v }),
  ],
  ['Irqs.desc', ALL, ({ irqs }, v) => irqs.desc(v)],
  ['Irqs.enable', ALL, ({ irqs }, v) => irqs.enable(v)],
  ['Irqs.disable', ALL, ({ irqs }, v) => irqs.disable(v)],
  ['Irqs.synchronize', ALL, ({ irqs }, v) => irqs.synchronize(v)],
  ['Irqs.setAffinity, number', ALL, ({ irqs }, v) => irqs.setAffinity(v, [0])],
  ['Irqs.setAffinity, set', ALL, ({ irqs, map }, v) => irqs.setAffinity(map.virq, v)],
  ['Irqs.setAffinity, CPU', ALL, ({ irqs, map }, v) => irqs.setAffinity(map.virq, [v])],
  ['Irqs.writeAffinity', ALL, ({ irqs, map }, v) => irqs.writeAffinity(map.virq, v)],
  ['Irqs.setTrigger', ALL, ({ irqs, map }, v) => irqs.setTrigger(map.virq, v)],
  ['Irqs.hardwareState', ALL, ({ irqs, map }, v) => irqs.hardwareState(map.virq, v)],
  ['Irqs.inject', ALL, ({ irqs }, v) => irqs.inject(v)],
  ['Irqs.handle', ALL, ({ irqs }, v) => irqs.handle(v)],
  ['Irqs.handleDomainIrq', ALL, ({ irqs, domain }, v) => irqs.handleDomainIrq(domain.irqDomain, v)],
  ['Irqs.handleNested', ALL, ({ irqs }, v) => irqs.handleNested(v)],
  ['Irqs.offline', ALL, ({ irqs }, v) => irqs.offline(v)],
  ['Irqs.online', ALL, ({ irqs }, v) => irqs.online(v)],
  ['Irqs.setChainedHandler', ALL, ({ irqs }, v) => irqs.setChainedHandler(v, () => {})],
  ['IrqHandle.setAffinity', ALL, ({ handle }, v) => handle.setAffinity(v)],
  ['IrqHandle.setAffinityHint', [...NUMBERS, 'x', {}], ({ handle }, v) => handle.setAffinityHint(v)],
  ['IrqHandle.setAffinityNotifier', [...NUMBERS, 'x', {}], ({ handle }, v) => handle.setAffinityNotifier(v)],
  ['Ims.createDomain, store', ALL, ({ ims, dev }, v) => ims.createDomain(dev, v, { id: 'more' })],
  [
    'Ims.createDomain, id',
    [...NUMBERS, '', {}],
    ({ ims, dev, regs, rig }, v) => ims.createDomain(dev, imsArray(regs, rig.layout()), { id: v }),
  ],
  [
    'Ims.createDomain, slots',
    ALL,
    ({ ims, dev }, v) => ims.createDomain(dev, { slots: v, mask() {}, unmask() {}, writeMsg() {} }, { id: 'more' }),
  ],
  ['MsiDomain.alloc', [1, ...NUMBERS, 'x', () => {}], ({ domain }, v) => domain.alloc(v)],
  ['MsiDomain.alloc, pasid', [...NUMBERS, ...OTHERS], ({ domain }, v) => domain.alloc(wrong({ cookie: { pasid: v } }))],
  ['MsiDomain.alloc, affinity', [...NUMBERS, ...OTHERS], ({ domain }, v) => domain.alloc({ affinity: v })],
  ['MsiDomain.alloc, mask', ALL, ({ domain }, v) => domain.alloc({ affinity: { mask: v } })],
  ['MsiDomain.allocAt', ALL, ({ domain }, v) => domain.allocAt(v)],
  ['MsiDomain.allocIn', ALL, ({ domain }, v) => domain.allocIn(v, 3)],
  ['MsiDomain.allocRange', ALL, ({ domain }, v) => domain.allocRange(1, v)],
  ['MsiDomain.allocMulti', ALL, ({ domain }, v) => domain.allocMulti(v)],
  ['MsiDomain.insert', ALL, ({ domain }, v) => domain.insert(v, 3)],
  ['MsiDomain.associate', ALL, ({ domain }, v) => domain.associate(v)],
  ['MsiDomain.drop', ALL, ({ domain }, v) => domain.drop(v)],
  ['MsiDomain.free', ALL, ({ domain }, v) => domain.free(v)],
  ['MsiDomain.onMessageChanged, map', ALL, ({ domain }, v) => domain.onMessageChanged(v, () => {})],
  ['MsiDomain.onMessageChanged, listener', [...NUMBERS, 'x', {}], ({ domain, map }, v) => domain.onMessageChanged(map, v)],
  ['MsiDomain.deviceVisibleId', ALL, ({ domain }, v) => domain.deviceVisibleId(v)],
  ['imsArray, registers', ALL, ({ rig }, v) => imsArray(v, rig.layout())],
  ['imsArray, offset', ALL, ({ regs }, v) => imsArray(regs, { offset: v, slots: 1 })],
  ['imsArray, slots', ALL, ({ regs }, v) => imsArray(regs, { offset: 0, slots: v })],
  ['imsQueue, kick', [...NUMBERS, ...NOTHING, 'x', {}], (_busy, v) => imsQueue({ kick: v })],
  [
    'imsQueue, memory',
    ALL,
    ({ rig, dev, ims }, v) => {
      using queue = ims.createDomain(dev, imsQueue({ kick() {} }), { id: 'queue' });
      expect(rig.account()['descs']).toBe(1);
      queue.alloc({ cookie: { memory: v } });
    },
  ],
  ['PciDevice.allocVectors, min', [Number.NaN, 1.5, 'x', {}, 2 ** 40], ({ dev }, v) => dev.allocVectors({ min: v, max: 4 })],
  [
    'PciDevice.allocVectors, max',
    [Number.NaN, 1.5, 'x', {}, Number.POSITIVE_INFINITY],
    ({ dev }, v) => dev.allocVectors({ max: v }),
  ],
  ['PciDevice.allocVectors, types', [...NUMBERS, 'msix', {}], ({ dev }, v) => dev.allocVectors({ types: v })],
  ['PciDevice.allocVectors, type', ALL, ({ dev }, v) => dev.allocVectors({ types: [v] })],
  [
    'PciDevice.allocVectors, calcSets',
    [...NUMBERS, 'x', {}],
    ({ dev }, v) => dev.allocVectors({ types: ['msix'], max: 4, affinity: { calcSets: v } }),
  ],
  ['PciDevice.enableMsix, entries', [...NUMBERS, 'x', {}], ({ dev }, v) => dev.enableMsix({ entries: v })],
  ['PciDevice.enableMsix, entry', ALL, ({ dev }, v) => dev.enableMsix({ entries: [v] })],
  ['PciDevice.enableMsi', [Number.NaN, -1, 1.5, 'x', {}, 0], ({ dev }, v) => dev.enableMsi({ min: v, max: 4 })],
  ['PciDevice.requestIrq', [...NUMBERS, 'x', {}], ({ dev }, v) => dev.requestIrq(v, () => {})],
  ['PciDevice.irqVector', [...NUMBERS, 'x', {}], ({ dev }, v) => dev.irqVector(v)],
  ['CpuMask.from', [...NUMBERS, ...NOTHING, 'x', {}], (_busy, v) => CpuMask.from(v)],
  ['CpuMask.of', ALL, (_busy, v) => CpuMask.of(v)],
  ['CpuMask.all', ALL, (_busy, v) => CpuMask.all(v)],
  ['CpuMask.parse', ALL, (_busy, v) => CpuMask.parse(v)],
  ['CpuMask.toHex', ALL, (_busy, v) => CpuMask.of(1).toHex(v)],
  ['CpuMask.with', ALL, (_busy, v) => CpuMask.of(1).with(v)],
  ['createAffinityMasks, count', ALL, ({ irqs }, v) => createAffinityMasks(v, {}, irqs.core.cpus, () => {})],
  [
    'createAffinityMasks, preVectors',
    [Number.NaN, -1, 1.5, 'x', {}],
    ({ irqs }, v) => createAffinityMasks(2, { preVectors: v }, irqs.core.cpus, () => {}),
  ],
  [
    'createAffinityMasks, sets',
    [...NUMBERS, 'x', {}],
    ({ irqs }, v) => createAffinityMasks(2, { calcSets: () => v }, irqs.core.cpus, () => {}),
  ],
];

describe('a bad value gives an Errno and changes nothing', () => {
  test.each(CALLS)('%s', async (_name, values, call) => {
    const busy = await busyRig();
    await using rig = busy.rig;
    expect(sweep(rig, values, (value) => call(busy, value))).toEqual([]);
  });

  test.each(['first', 'end'] as const)('Kernel, irq.vectors.%s', async (key) => {
    for (const value of ALL.filter((one) => one !== undefined)) {
      const start = Rig.start({ kernel: { irq: { vectors: { [key]: value } } } });
      await expect(start).rejects.toThrow('ERANGE: vector matrix');
    }
  });

  test.each(['cpus', 'nodes', 'lines', 'interrupts'] as const)('Machine, %s', async (key) => {
    for (const value of ALL.filter((one) => one !== undefined)) {
      await expect(Rig.start({ [key]: value })).rejects.toThrow(/(ERANGE|EINVAL): sim|EINVAL: sim/);
    }
  });
});

describe('a message vector', () => {
  test('of MSI has an integer for its number', async () => {
    await using rig = await Rig.start();
    const dev = rig.dev();
    const vectors = dev.enableMsi({ min: 4 });
    expect([0, 3].map((n) => vectors.virq(n))).toEqual([vectors.virq(0), vectors.virq(0) + 3]);
    for (const n of [0.5, Number.NaN, -1, 4])
      expect(() => vectors.virq(n)).toThrow('EINVAL: 0000:00:01.0: has no interrupt vector');
  });
});

describe('DriverHarness', () => {
  test.each(ALL)('delivers no interrupt %s', async (virq) => {
    const pci = (): FakePciFunction[] => [new FakePciFunction({ vendor: 0x1234, device: 1 })];
    await using harness = new DriverHarness({ driver: driverOf(), pci });
    await harness.bind();
    expect(codeOf(() => harness.deliver(wrong(virq)))).toBe('EINVAL');
  });
});

describe('CpuMask', () => {
  test('has no CPU between two others', () => {
    expect([CpuMask.of(0, 1).has(0.5), CpuMask.of(0, 1).minus(1.5).size]).toEqual([false, 2]);
  });
});

describe('Completion', () => {
  test.each([Number.NaN, -1, Number.POSITIVE_INFINITY])('a wait of %s us ends no other', async (us) => {
    await using rig = await Rig.start();
    const done = new Completion(rig.kernel.clock, 'gadget: command');
    await expect(done.wait(us)).rejects.toThrow('EINVAL');
    const waiting = done.wait(10);
    done.complete();
    await expect(waiting).resolves.toBeUndefined();
    done.complete();
    expect(done.isDone).toBe(true);
    done.fail(new Errno('ENODEV', 'gadget: gone'));
    await expect(done.wait(10)).rejects.toThrow('ENODEV: gadget: gone');
  });
});
