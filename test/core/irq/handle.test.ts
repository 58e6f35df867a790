import { describe, expect, test } from 'vitest';
import type { IrqHandle } from '../../../core/irq/index.js';
import { PlatformDevice } from '../../../core/platform/index.js';
import { Bench } from './bench.js';

describe('IrqHandle', () => {
  test('dies with the binding; every use of it then breaks a rule', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    const { kernel } = bench;
    let kept: IrqHandle | undefined;
    let count = 0;
    const driver = {
      name: 'keeper',
      probe: (dev: PlatformDevice) => void (kept = bench.irqs.request(dev, irq.virq, () => void count++)),
    };
    await kernel.platform.register(driver);
    const dev = new PlatformDevice({ name: 'keeper' });
    await kernel.platform.add(dev);
    irq.raise();
    await kernel.core.unbind(dev);
    irq.raise();
    expect([count, kept!.held, irq.desc.action, irq.desc.activated]).toEqual([1, false, undefined, false]);
    const uses: (() => unknown)[] = [
      () => kept!.enable(),
      () => kept!.disable(),
      () => kept!.synchronize(),
      () => kept!.wakeThread(),
      () => kept!.affinity,
      () => kept!.setAffinityHint(undefined),
      () => kept!.setWake(true),
      () => kept!.free(),
    ];
    for (const use of uses) expect(use).toThrow(`ENODEV: keeper: irq ${irq.virq} used after unbind`);
    expect(bench.violations).toEqual(uses.map(() => 'use-after-unbind'));
    kept![Symbol.dispose]();
    await kernel.core.remove(dev);
  });

  test('is freed once: a second free breaks a rule and touches nobody else', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    const dev = bench.device();
    const first = bench.irqs.request(dev, irq.virq, () => {});
    await first.free();
    let count = 0;
    bench.irqs.request(dev, irq.virq, () => void count++);
    expect(() => first.free()).toThrow(`EINVAL: dev0: irq ${irq.virq} freed twice`);
    expect(() => first.enable()).toThrow(`ENODEV: dev0: irq ${irq.virq} used after it was freed`);
    irq.raise();
    expect([count, dev.devres.size, bench.violations]).toEqual([1, 1, ['double-release', 'use-after-unbind']]);
  });

  test('both disposers free it and leave the ledger, and do nothing after that', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    const dev = bench.device();
    {
      using handle = bench.irqs.request(dev, irq.virq, () => {});
      expect([handle.held, dev.devres.size]).toEqual([true, 1]);
    }
    {
      await using handle = bench.irqs.request(dev, irq.virq, () => {});
      expect([handle.held, dev.devres.size]).toEqual([true, 1]);
      await handle.free();
    }
    expect([dev.devres.size, irq.desc.action, bench.violations]).toEqual([0, undefined, []]);
  });

  test('two requests of a device go last first', async () => {
    await using bench = await Bench.open();
    const dev = bench.device();
    const [one, two] = [bench.irq({ records: ['shutdown'] }), bench.irq({ records: ['shutdown'] })];
    const order: number[] = [];
    for (const irq of [one, two]) Object.assign(irq.desc.data.chip, { shutdown: () => order.push(irq.virq) });
    for (const irq of [one, two]) bench.irqs.request(dev, irq.virq, () => {});
    await bench.kernel.core.remove(dev);
    expect(order).toEqual([two.virq, one.virq]);
  });

  test('an injected fault leaves the interrupt alone', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    const dev = bench.device();
    bench.kernel.core.devresHooks = {
      acquiring(_ledger, label) {
        if (label === `irq ${irq.virq}`) throw new Error('injected');
      },
    };
    expect(() => bench.irqs.request(dev, irq.virq, () => {})).toThrow('injected');
    expect([dev.devres.size, irq.desc.action, bench.look()]).toEqual([0, undefined, []]);
    bench.kernel.core.devresHooks = undefined;
  });
});

describe('the end of a kernel', () => {
  test('names interrupts that are left, with a handler or without', async () => {
    const bench = await Bench.open();
    const { kernel } = bench;
    const first = bench.irqCore.allocDescs(2, {});
    await expect(kernel.stop()).rejects.toThrow(`EBUSY: bench: left over at the end: irq ${first}, irq ${first + 1}`);
  });
});
