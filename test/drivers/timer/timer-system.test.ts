import { describe, expect, test } from 'vitest';
import { System } from '../../../core/index.js';
import { Timers } from '../../../drivers/timer/api.js';
import { hostSim } from '../../../plugins/host-sim.js';
import timer from '../../../plugins/timer.js';

const START_US = 0;

describe('the timer driver on the simulated machine', () => {
  test('ticks by messages of its own store, each timer by its slot', async () => {
    const sim = hostSim({ timers: 2 });
    await using system = await System.start(sim.plugin, timer);
    const ticks: string[] = [];
    for (const [name, one] of system.list(Timers)) {
      one.start(name === 'timer0' ? 1000 : 1500, () => ticks.push(`${name} ${sim.clock.now() - START_US}`));
    }
    sim.elapse(3000);
    expect(ticks).toEqual(['timer0 1000', 'timer1 1500', 'timer0 2000', 'timer1 3000', 'timer0 3000']);
    expect(system.kernel.irqs.list().map((irq) => [irq.virq, irq.data.hwirq, irq.chip.name, irq.total])).toEqual([
      [24, 0, 'IR-IMS-0000:00:04.0', 3],
      [25, 1, 'IR-IMS-0000:00:04.0', 2],
    ]);
  });

  test('C-053 a device with IMS alone interrupts after createDomain, alloc and request, and nothing else', async () => {
    const sim = hostSim({ timers: 1 });
    await using system = await System.start(sim.plugin, timer);
    const dev = system.device('0000:00:04.0');
    expect(dev.devres.entries().map(({ label }) => label)).toEqual(['class timer', 'irq 24', 'ims slot', 'ims domain', 'bar 0']);
    let ticks = 0;
    system.get(Timers, 'timer0').startOnce(10, () => ticks++);
    sim.elapse(100);
    expect(ticks).toBe(1);
  });

  test('counts down, stops, and starts anew', async () => {
    const sim = hostSim({ timers: 1 });
    await using system = await System.start(sim.plugin, timer);
    const one = system.get(Timers, 'timer0');
    let ticks = 0;
    one.start(1000, () => ticks++);
    sim.elapse(400);
    expect(one.remainingUs()).toBe(600);
    one.stop();
    sim.elapse(5000);
    expect([ticks, one.remainingUs()]).toEqual([0, 0]);
    one.start(100, () => ticks++);
    sim.elapse(250);
    expect(ticks).toBe(2);
    expect(one.counterUs()).toBe(5650);
  });

  test('a start replaces the one before, also from its own tick', async () => {
    const sim = hostSim({ timers: 1 });
    await using system = await System.start(sim.plugin, timer);
    const one = system.get(Timers, 'timer0');
    const at: number[] = [];
    one.start(1000, () => {
      at.push(sim.clock.now());
      one.startOnce(10, () => at.push(sim.clock.now()));
    });
    sim.elapse(5000);
    expect(at).toEqual([1000, 1010]);
  });

  test.each([0, 2 ** 32, 1.5, Number.NaN])('a period of %d us is ERANGE, and what ran goes on', async (periodUs) => {
    const sim = hostSim({ timers: 1 });
    await using system = await System.start(sim.plugin, timer);
    const one = system.get(Timers, 'timer0');
    let ticks = 0;
    one.start(10, () => ticks++);
    expect(() => one.start(periodUs, () => {})).toThrow('ERANGE: timer0: time in microseconds');
    sim.elapse(20);
    expect(ticks).toBe(2);
  });

  test('runs as many timers as there are, on as many cards', async () => {
    const sim = hostSim({ timers: 100 });
    await using system = await System.start(sim.plugin, timer);
    let ticks = 0;
    for (const [, one] of system.list(Timers)) one.start(7, () => ticks++);
    sim.elapse(70);
    expect([system.list(Timers).length, ticks]).toEqual([100, 1000]);
  });

  test('ticks on CPU 2 when its interrupt is moved there, without a new message', async () => {
    const sim = hostSim({ timers: 1, cpus: 4 });
    await using system = await System.start(sim.plugin, timer);
    const { irqs } = system.kernel;
    const on: number[] = [];
    system.get(Timers, 'timer0').start(10, () => on.push(irqs.core.currentCpu));
    sim.elapse(10);
    const before = system.kernel.msi.domain(system.device('0000:00:04.0'), 'secondary')!.message(0);
    irqs.setAffinity(24, [2]);
    sim.elapse(10);
    expect(on).toEqual([0, 2]);
    expect(system.kernel.msi.domain(system.device('0000:00:04.0'), 'secondary')!.message(0)).toBe(before);
  });

  test.each(['plain', 'virtual', 'none'] as const)('where interrupts are %s its probe says why it cannot', async (interrupts) => {
    const sim = hostSim({ timers: 1, interrupts });
    await using system = await System.start(sim.plugin, timer);
    expect(system.list(Timers)).toEqual([]);
    expect(String(system.explain('0000:00:04.0'))).toMatch(/EOPNOTSUPP: 0000:00:04.0: .*: use /);
  });

  test('is loaded, unloaded and loaded again, and works', async () => {
    const sim = hostSim({ timers: 1 });
    await using system = await System.start(sim.plugin, timer);
    const kept = system.get(Timers, 'timer0');
    kept.start(10, () => expect.unreachable('it was unloaded'));
    await system.unload('timer');
    expect(() => kept.start(10, () => {})).toThrow('ENODEV: timer0: is gone');
    expect(system.kernel.irqs.list()).toEqual([]);
    sim.elapse(100);
    await system.load(timer);
    let ticks = 0;
    system.get(Timers, 'timer0').start(10, () => ticks++);
    sim.elapse(30);
    expect(ticks).toBe(3);
  });

  test('a card that is pulled out while it ticks ticks no more, and takes its interrupts along', async () => {
    const sim = hostSim({ timers: 1 });
    await using system = await System.start(sim.plugin, timer);
    let ticks = 0;
    system.get(Timers, 'timer0').start(10, () => {
      if (++ticks === 3) sim.yank('0000:00:04.0');
    });
    sim.elapse(100);
    await system.core.settle();
    expect([ticks, system.list(Timers), system.kernel.irqs.list()]).toEqual([3, [], []]);
  });
});
