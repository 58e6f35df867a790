import { describe, expect, test } from 'vitest';
import { Device } from '../../../core/device/index.js';
import { ContextClock } from '../../../core/irq/index.js';
import { Errno } from '../../../core/lib/index.js';
import { Bench } from './bench.js';

/** What the core says to `attempt` in a hard handler: the error, and the rules broken. */
async function inHandler(
  attempt: (bench: Bench, dev: Device, virq: number) => unknown,
): Promise<[thrown: unknown, rules: string[]]> {
  await using bench = await Bench.open();
  const dev = bench.device();
  const spare = bench.irq();
  const irq = bench.irq();
  let thrown: unknown;
  bench.irqs.request(dev, irq.virq, () => {
    try {
      void attempt(bench, dev, spare.virq);
    } catch (error) {
      thrown = error;
    }
  });
  const before = dev.devres.size;
  irq.raise();
  expect([dev.devres.size, spare.desc.action, irq.desc.inProgress]).toEqual([before, undefined, false]);
  return [thrown, bench.violations];
}

describe('interrupt context', () => {
  test.each<[string, (bench: Bench, dev: Device, virq: number) => unknown]>([
    ['clock.sleep', ({ kernel }) => kernel.clock.sleep(10)],
    ['clock.poll', ({ kernel }) => kernel.clock.poll(() => true, { timeoutUs: 10 })],
    ['a request', ({ irqs }, dev, virq) => irqs.request(dev, virq, () => {})],
    ['adding a device', ({ kernel }) => kernel.core.add(new Device({ name: 'x', release: () => {} }))],
    ['removing a device', ({ kernel }, dev) => kernel.core.remove(dev)],
    ['unbinding', ({ kernel }, dev) => kernel.core.unbind(dev)],
    ['registering a driver', ({ kernel }) => kernel.platform.register({ name: 'x', probe: () => {} })],
  ])('%s there is sleep-in-interrupt, and nothing has changed', async (_what, attempt) => {
    const [thrown, rules] = await inHandler(attempt);
    expect([Errno.is(thrown, 'EINVAL'), rules]).toEqual([true, ['sleep-in-interrupt']]);
  });

  test('now, relax, after and inject are allowed there', async () => {
    let left = 1;
    const [thrown, rules] = await inHandler(({ kernel, irqs }) => {
      kernel.clock.now();
      kernel.clock.relax();
      kernel.clock.after(1, () => {}).cancel();
      for (const desc of irqs.list()) if (desc.activated && left-- > 0) irqs.inject(desc.virq);
    });
    expect([thrown, rules]).toEqual([undefined, []]);
  });

  test('a hard half that gives a promise is sleep-in-interrupt; what it rejects with is told as well', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    const hard = (): Promise<void> => Promise.reject(new Errno('EIO', 'later'));
    bench.irqs.request(bench.device(), irq.virq, { hard, name: 'lazy' });
    irq.raise();
    expect([bench.violations, irq.desc.unhandled]).toEqual([['sleep-in-interrupt'], 0]);
    expect(bench.said[0]).toContain('hard handler lazy is asynchronous');
    await bench.clock.settle();
    expect(bench.violations).toEqual(['sleep-in-interrupt', 'callback-threw']);
  });

  test('what a handler frees is free-in-handler: it stays requested, and can be freed later', async () => {
    await using bench = await Bench.open();
    const [irq, other] = [bench.irq(), bench.irq()];
    const dev = bench.device();
    const errors: unknown[] = [];
    const attempt = (fn: () => unknown): void => {
      try {
        void fn();
      } catch (error) {
        errors.push(error);
      }
    };
    let count = 0;
    const theirs = bench.irqs.request(dev, other.virq, () => {});
    const own = bench.irqs.request(dev, irq.virq, () => {
      count++;
      attempt(() => own.free());
      attempt(() => theirs.free());
      attempt(() => own[Symbol.dispose]());
    });
    irq.raise();
    expect(errors.map((error) => Errno.is(error, 'EINVAL'))).toEqual([true, true, true]);
    expect(bench.violations).toEqual(['free-in-handler', 'free-in-handler', 'free-in-handler']);
    expect([own.held, theirs.held, dev.devres.size, irq.desc.started]).toEqual([true, true, 2, true]);
    irq.raise();
    expect(count).toBe(2);
    expect(await own.free()).toBe('dev0');
    expect(dev.devres.size).toBe(1);
  });

  test('waiting for handlers in one is synchronize-in-handler; disabling without waiting is not', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    const errors: unknown[] = [];
    const handle = bench.irqs.request(bench.device(), irq.virq, () => {
      for (const fn of [() => handle.disable(), () => handle.synchronize(), () => bench.irqs.synchronize(irq.virq)]) {
        try {
          void fn();
        } catch (error) {
          errors.push(error);
        }
      }
      expect(irq.desc.depth).toBe(0);
      handle.disableNosync();
      handle.enable();
    });
    irq.raise();
    expect(errors.every((error) => Errno.is(error, 'EINVAL'))).toBe(true);
    expect([bench.violations, irq.desc.depth]).toEqual([
      ['synchronize-in-handler', 'synchronize-in-handler', 'synchronize-in-handler'],
      0,
    ]);
  });

  test('behind a slow bus a handler may not even disable', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq({ records: ['busLock', 'mask', 'unmask'] });
    let error: unknown;
    const handle = bench.irqs.request(bench.device(), irq.virq, () => {
      try {
        handle.disableNosync();
      } catch (thrown) {
        error = thrown;
      }
    });
    irq.raise();
    expect([Errno.is(error, 'EINVAL'), bench.violations, irq.desc.depth]).toEqual([true, ['sleep-in-interrupt'], 0]);
  });

  test('thread halves may do all of it', async () => {
    await using bench = await Bench.open();
    const [irq, other] = [bench.irq(), bench.irq()];
    const dev = bench.device();
    const done: unknown[] = [];
    const thread = async (): Promise<void> => {
      const handle = bench.irqs.request(dev, other.virq, () => {});
      done.push(await handle.disable(), await handle.free());
      await bench.kernel.clock.sleep(10);
      done.push(bench.clock.now());
    };
    bench.irqs.request(dev, irq.virq, { hard: () => 'wake', thread });
    irq.raise();
    await bench.clock.settle(100);
    expect([done, bench.violations]).toEqual([[undefined, 'dev0', 10], []]);
  });

  test('what hardware alone raises is not handled outside', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    let count = 0;
    bench.irqs.request(bench.device(), irq.virq, () => void count++);
    bench.irqs.handle(irq.virq);
    expect(count).toBe(1);
    irq.desc.state |= 1 << 25;
    expect(irq.desc.enforcesIrqContext).toBe(true);
    expect(() => bench.irqs.handle(irq.virq)).toThrow('EPERM');
    expect(() => bench.irqs.handleDomainIrq(irq.domain, 0)).toThrow('EPERM');
    expect(() => bench.irqs.handleDomainIrq(irq.domain, 1)).toThrow('EINVAL: domain PIC-32: no interrupt 1');
    expect(() => bench.irqs.handle(4711)).toThrow('EINVAL');
    expect([bench.violations, count]).toEqual([['irq-outside-context', 'irq-outside-context'], 1]);
  });
});

describe('ContextClock', () => {
  test('hands everything on, and asks before it sleeps', async () => {
    await using bench = await Bench.open();
    const clock = new ContextClock(bench.clock);
    const asked: string[] = [];
    clock.check = (what) => void asked.push(what);
    let ran = 0;
    let events = 0;
    clock.onEvent(() => void events++);
    clock.after(1, () => void ran++);
    clock.deadline(2, () => void ran++);
    const slept = clock.sleep(3);
    const polled = clock.poll(() => clock.now() >= 3, { timeoutUs: 10, what: 'STATUS' });
    await bench.clock.settle(20);
    await Promise.all([slept, polled]);
    expect([ran, asked, events > 2, clock.now(), clock.relax()]).toEqual([
      2,
      ['sleep of 3 us', 'poll of STATUS'],
      true,
      20,
      expect.any(Boolean),
    ]);
  });
});
