import { describe, expect, test } from 'vitest';
import { IRQ_NOTCONNECTED, type IrqChip, type IrqHandle, type IrqSpec, handleLevel } from '../../../core/irq/index.js';
import { Errno } from '../../../core/lib/index.js';
import { Bench, type IrqOptions } from './bench.js';

const nothing = (): void => {};

describe('request', () => {
  test('argument errors come in the order of Linux', async () => {
    await using bench = await Bench.open();
    const dev = bench.device();
    const { virq } = bench.irq();
    const bare = bench.irqCore.allocDescs(1, {});
    const request = (number: number, spec: IrqSpec): unknown => bench.irqs.request(dev, number, spec);
    const wrong: IrqSpec = { shared: true, noAutoEnable: true };
    expect(() => request(IRQ_NOTCONNECTED, wrong)).toThrow('ENOTCONN: dev0: its interrupt is not connected');
    expect(() => request(9999, wrong)).toThrow('EINVAL: dev0: irq 9999: shared and noAutoEnable');
    expect(() => request(9999, { condSuspend: true })).toThrow('condSuspend without shared');
    expect(() => request(9999, { shared: true, noSuspend: true, condSuspend: true })).toThrow('noSuspend and condSuspend');
    for (const number of [9999, -1, 0.5, NaN])
      expect(() => request(number, {})).toThrow(`EINVAL: dev0: irq ${number}: no such interrupt`);
    expect(() => request(virq, {})).toThrow(`EINVAL: dev0: irq ${virq}: neither a hard half nor a thread half`);
    expect(() => request(bare, {})).toThrow('EINVAL');
    expect([dev.devres.size, bench.violations]).toEqual([0, []]);
    bench.irqCore.freeDescs(bare, 1);
  });

  test('C-079 a number that nobody has set up is ENOSYS', async () => {
    await using bench = await Bench.open();
    const virq = bench.irqCore.allocDescs(1, {});
    expect(() => bench.irqs.request(bench.device(), virq, nothing)).toThrow('ENOSYS');
    bench.irqCore.freeDescs(virq, 1);
  });

  test('the first handler takes the chip, activates and starts; the last one gives it back', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq({
      records: ['requestResources', 'releaseResources', 'busLock', 'busSyncUnlock', 'startup', 'shutdown', 'setType'],
      ops: { activate: () => bench.trace.push('activate'), deactivate: () => bench.trace.push('deactivate') },
    });
    const dev = bench.device();
    const spec: IrqSpec = { hard: nothing, shared: true, trigger: 'high' };
    const one = bench.irqs.request(dev, irq.virq, { ...spec, name: 'one' });
    expect(bench.look()).toEqual([
      'pic.busLock',
      'pic.requestResources',
      'pic.setType',
      'activate',
      'pic.startup',
      'pic.busSyncUnlock',
    ]);
    const two = bench.irqs.request(dev, irq.virq, { ...spec, name: 'two' });
    expect(bench.look()).toEqual(['pic.busLock', 'pic.busSyncUnlock']);
    expect(irq.desc.actions.map(({ name }) => name)).toEqual(['one', 'two']);
    expect(dev.devres.entries().map(({ label }) => label)).toEqual([`irq ${irq.virq}`, `irq ${irq.virq}`]);
    expect(await one.free()).toBe('one');
    expect(bench.look()).toEqual(['pic.busLock', 'pic.busSyncUnlock']);
    expect(await two.free()).toBe('two');
    expect(bench.look()).toEqual([
      'pic.busLock',
      'pic.shutdown',
      'pic.busSyncUnlock',
      'pic.busLock',
      'deactivate',
      'pic.releaseResources',
      'pic.busSyncUnlock',
    ]);
    expect(irq.desc).toMatchObject({ depth: 1, disabled: true, masked: true, started: false, activated: false });
  });

  test('the name is that of the device where none is given', async () => {
    await using bench = await Bench.open();
    const { virq } = bench.irq();
    const irq = bench.irqs.request(bench.device('uart7'), virq, nothing);
    expect([irq.name, await irq.free()]).toEqual(['uart7', 'uart7']);
  });

  test('with noAutoEnable it is active, disabled once, and comes after enable', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    let count = 0;
    const handle = bench.irqs.request(bench.device(), irq.virq, { hard: () => void count++, noAutoEnable: true });
    expect(irq.desc).toMatchObject({ activated: true, started: false, depth: 1, disabled: true });
    irq.raise();
    expect(count).toBe(0);
    handle.enable();
    expect(irq.desc).toMatchObject({ started: true, depth: 0 });
    bench.irqs.drain();
    expect(count).toBe(1);
  });

  test('one that was free and disabled several times starts with depth 0', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    const dev = bench.device();
    const first = bench.irqs.request(dev, irq.virq, nothing);
    await first.disable();
    await first.disable();
    await first.free();
    const second = bench.irqs.request(dev, irq.virq, nothing);
    expect(irq.desc.depth).toBe(0);
    expect(() => second.enable()).toThrow('EINVAL');
    expect(bench.violations).toEqual(['unbalanced-enable']);
  });

  test('after the device has lost its driver for good nothing is requested for it', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    const dev = bench.device();
    await bench.kernel.core.remove(dev);
    expect(() => bench.irqs.request(dev, irq.virq, nothing)).toThrow('ENODEV');
    expect(irq.desc.action).toBe(undefined);
  });
});

describe('a shared line', () => {
  const SHARED: IrqSpec = { hard: nothing, shared: true };

  test.each<[string, IrqSpec, IrqSpec]>([
    ['the first does not share', { hard: nothing }, SHARED],
    ['the second does not share', SHARED, { hard: nothing }],
    ['triggers differ', { ...SHARED, trigger: 'high' }, { ...SHARED, trigger: 'low' }],
    ['only the first is oneshot', { ...SHARED, thread: nothing, oneshot: true }, SHARED],
    ['only the second is oneshot', SHARED, { ...SHARED, thread: nothing, oneshot: true }],
    ['only one is per CPU', { ...SHARED, perCpu: true }, SHARED],
  ])('is EBUSY when %s, and stays as it is', async (_why, first, second) => {
    await using bench = await Bench.open();
    const irq = bench.irq({ records: ['ack', 'mask', 'unmask', 'setType'] });
    const dev = bench.device();
    bench.irqs.request(dev, irq.virq, { ...first, name: 'owner' });
    expect(() => bench.irqs.request(dev, irq.virq, { ...second, name: 'late' })).toThrow(
      `EBUSY: late: irq ${irq.virq} is taken by owner`,
    );
    expect([irq.desc.actions.map(({ name }) => name), dev.devres.size, irq.desc.depth]).toEqual([['owner'], 1, 0]);
  });

  test('takes a newcomer that names no trigger, or goes by the others with condOneshot', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq({ records: ['ack', 'mask', 'unmask', 'setType'] });
    const dev = bench.device();
    bench.irqs.request(dev, irq.virq, { ...SHARED, thread: nothing, oneshot: true, trigger: 'high' });
    bench.irqs.request(dev, irq.virq, { ...SHARED, condOneshot: true });
    expect(irq.desc.actions.map(({ oneshot, threadMask }) => [oneshot, threadMask])).toEqual([
      [true, 1],
      [true, 2],
    ]);
  });

  test('the first to name a trigger names it for all', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    const dev = bench.device();
    bench.irqs.request(dev, irq.virq, SHARED);
    bench.irqs.request(dev, irq.virq, { ...SHARED, trigger: 'low' });
    expect(() => bench.irqs.request(dev, irq.virq, { ...SHARED, trigger: 'high' })).toThrow('EBUSY');
    expect(irq.desc.trigger).toBe('low');
  });

  test('a mismatch is logged, unless it was only tried', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    const dev = bench.device();
    bench.irqs.request(dev, irq.virq, { hard: nothing });
    const logged = (): number => bench.kernel.core.log.records().filter(({ text }) => text.includes('is taken by')).length;
    expect(() => bench.irqs.request(dev, irq.virq, { ...SHARED, probeShared: true })).toThrow('EBUSY');
    expect(logged()).toBe(0);
    expect(() => bench.irqs.request(dev, irq.virq, SHARED)).toThrow('EBUSY');
    expect(logged()).toBe(1);
  });

  test('each oneshot user has a bit; who comes after the last is EBUSY, and a bit that was freed is used again', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    const dev = bench.device();
    const oneshot: IrqSpec = { ...SHARED, thread: nothing, oneshot: true };
    const handles: IrqHandle[] = [];
    for (let n = 0; n < 31; n++) handles.push(bench.irqs.request(dev, irq.virq, oneshot));
    expect(new Set(irq.desc.actions.map(({ threadMask }) => threadMask)).size).toBe(31);
    expect(() => bench.irqs.request(dev, irq.virq, oneshot)).toThrow('EBUSY');
    expect(irq.desc.actions.length).toBe(31);
    await handles[7]!.free();
    bench.irqs.request(dev, irq.virq, oneshot);
    expect(irq.desc.actions.at(-1)?.threadMask).toBe(1 << 7);
  });

  test('a disable by one user keeps the line from all, until it is taken back', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq({ flow: handleLevel, records: ['ack', 'mask', 'unmask', 'setType'] });
    const dev = bench.device();
    const seen: string[] = [];
    const one = bench.irqs.request(dev, irq.virq, { hard: () => void seen.push('one'), shared: true, trigger: 'high' });
    bench.irqs.request(dev, irq.virq, { hard: () => void seen.push('two'), shared: true });
    one.disableNosync();
    irq.raise();
    expect(seen).toEqual([]);
    one.enable();
    irq.raise();
    expect(seen).toEqual(['one', 'two']);
  });

  test('freeing one user in the middle leaves the others in their order', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    const dev = bench.device();
    const seen: number[] = [];
    const all = [0, 1, 2, 3].map((n) => bench.irqs.request(dev, irq.virq, { hard: () => void seen.push(n), shared: true }));
    await all[1]!.free();
    await all[3]!.free();
    irq.raise();
    expect([seen, irq.desc.started]).toEqual([[0, 2], true]);
  });
});

describe('oneshot', () => {
  test('a thread half alone needs it, unless the hardware sends one message and waits', async () => {
    await using bench = await Bench.open();
    const dev = bench.device();
    const plain = bench.irq();
    expect(() => bench.irqs.request(dev, plain.virq, { thread: nothing })).toThrow('a thread half alone needs oneshot');
    expect([plain.desc.activated, dev.devres.size]).toEqual([false, 0]);
    bench.irqs.request(dev, plain.virq, { thread: nothing, oneshot: true });
    const safe = bench.irq({ chip: { oneshotSafe: true } });
    bench.irqs.request(dev, safe.virq, { thread: nothing });
    expect(safe.desc.actions[0]).toMatchObject({ oneshot: false, threadMask: 0 });
  });
});

describe('request when hardware fails', () => {
  const PHASES: (keyof IrqChip)[] = ['busLock', 'requestResources', 'setType', 'startup', 'busSyncUnlock'];

  test.each(PHASES)('%s: nothing is held and nothing has changed', async (phase) => {
    await using bench = await Bench.open();
    let isBroken = true;
    const broken = (): void => {
      if (isBroken) throw new Errno('ENXIO', 'bus is gone');
    };
    const levels: string[] = [];
    const options: IrqOptions = {
      records: [...PHASES, 'releaseResources', 'shutdown'],
      chip: { [phase]: broken },
      ops: { activate: () => levels.push('on'), deactivate: () => levels.push('off') },
    };
    const irq = bench.irq(options);
    const dev = bench.device();
    const spec: IrqSpec = { hard: nothing, trigger: 'high', perCpu: true, irqPoll: true };
    expect(() => bench.irqs.request(dev, irq.virq, spec)).toThrow(phase === 'busSyncUnlock' ? 'EIO' : 'ENXIO: bus is gone');
    expect(irq.desc).toMatchObject({ action: undefined, depth: 1, disabled: true, started: false, activated: false });
    expect([dev.devres.size, levels.filter((step) => step === 'on').length]).toEqual([
      0,
      levels.filter((step) => step === 'off').length,
    ]);
    const took = bench.trace.filter((step) => step === 'pic.requestResources').length;
    const gave = bench.trace.filter((step) => step === 'pic.releaseResources').length;
    expect(gave).toBe(phase === 'requestResources' ? 0 : took);
    const locks = bench.trace.filter((step) => step === 'pic.busLock').length;
    const unlocks = bench.trace.filter((step) => step === 'pic.busSyncUnlock').length;
    expect(unlocks).toBe(phase === 'busLock' ? 0 : locks);
    isBroken = false;
    const handle = bench.irqs.request(dev, irq.virq, spec);
    expect(irq.desc).toMatchObject({ depth: 0, started: true, activated: true });
    await handle.free();
  });

  test('unmask: what the default start did is undone', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq({
      chip: {
        unmask() {
          throw new Errno('EIO', 'slot');
        },
      },
    });
    expect(() => bench.irqs.request(bench.device(), irq.virq, nothing)).toThrow('EIO: slot');
    expect(irq.desc).toMatchObject({ depth: 1, disabled: true, masked: true, started: false, activated: false });
  });

  test('retrigger: a start whose replay fails is a failed start', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq({
      chip: {
        retrigger() {
          throw new Errno('EIO', 'no way');
        },
      },
    });
    irq.raise();
    expect(irq.desc.pending).toBe(true);
    expect(() => bench.irqs.request(bench.device(), irq.virq, nothing)).toThrow('EIO: no way');
    expect(irq.desc).toMatchObject({ depth: 1, disabled: true, masked: true, started: false, activated: false });
  });

  test('a newcomer that the chip cannot take leaves the line to those who have it', async () => {
    await using bench = await Bench.open();
    let isBroken = false;
    const irq = bench.irq({
      records: ['busLock', 'busSyncUnlock'],
      chip: {
        busSyncUnlock() {
          if (isBroken) throw new Errno('EIO', 'bus');
        },
      },
    });
    const dev = bench.device();
    let count = 0;
    let end = nothing;
    const thread = (): Promise<void> => new Promise((resolve) => (end = resolve));
    const first = bench.irqs.request(dev, irq.virq, { hard: () => (count++, 'wake'), thread, shared: true });
    irq.raise();
    isBroken = true;
    // The thread half of the first is at work: nobody waits for it.
    expect(() => bench.irqs.request(dev, irq.virq, { hard: nothing, shared: true, name: 'late' })).toThrow('EIO: late');
    isBroken = false;
    end();
    await bench.clock.settle();
    irq.raise();
    expect([count, irq.desc.actions.length, irq.desc.started]).toEqual([2, 1, true]);
    end();
    await first.free();
  });
});

describe('free when hardware fails', () => {
  test.each<keyof IrqChip>(['busLock', 'shutdown', 'mask', 'getState', 'releaseResources', 'busSyncUnlock'])(
    '%s: the error is told, and everything else is given back',
    async (phase) => {
      await using bench = await Bench.open();
      let isBroken = false;
      const records: (keyof IrqChip)[] = ['requestResources', 'releaseResources', 'unmask'];
      const irq = bench.irq({
        records: [...records, phase],
        chip: {
          [phase]() {
            if (isBroken) throw new Errno('EIO', 'gone');
          },
        },
      });
      const dev = bench.device();
      const handle = bench.irqs.request(dev, irq.virq, nothing);
      isBroken = true;
      expect(() => handle.free()).toThrow('EIO: gone');
      isBroken = false;
      expect(irq.desc).toMatchObject({ action: undefined, started: false, activated: false, disabled: true });
      expect([dev.devres.size, handle.held]).toEqual([0, false]);
      expect(bench.trace).toContain('pic.releaseResources');
      bench.irqs.request(dev, irq.virq, nothing);
      expect(irq.desc).toMatchObject({ depth: 0, started: true });
    },
  );
});
