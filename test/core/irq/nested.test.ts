import { describe, expect, test } from 'vitest';
import { IrqDomain, handleSimple, setChip, setNestedThread } from '../../../core/irq/index.js';
import { Errno } from '../../../core/lib/index.js';
import { Bench } from './bench.js';

/** An expander behind a slow bus: its interrupts are found out in the thread half of its own. */
async function expander() {
  const bench = await Bench.open();
  const input = bench.irq();
  const dev = bench.device('expander');
  const domain = new IrqDomain(bench.irqCore, {
    name: 'GPIO',
    ops: {
      map(own, virq) {
        const desc = own.core.descs[virq]!;
        setChip(desc, { name: 'gpio', mask() {}, unmask() {} }, handleSimple, 'nested');
        setNestedThread(desc, true);
      },
    },
  });
  const virq = domain.createMapping(4);
  const close = async (): Promise<void> => {
    for (const step of [() => bench.kernel.core.remove(dev), () => domain.disposeMapping(virq), () => domain.remove()])
      await step();
    await bench.stop();
  };
  return { bench, input, dev, virq, desc: bench.irqs.desc(virq), close };
}

describe('nested interrupts', () => {
  test('run in the thread half of the input, which waits for them', async () => {
    const { bench, input, dev, virq, desc, close } = await expander();
    const order: string[] = [];
    bench.irqs.request(dev, virq, {
      hard: () => order.push('hard half: never'),
      thread: async () => {
        order.push('nested begins');
        await bench.kernel.clock.sleep(10);
        order.push('nested ends');
      },
    });
    const thread = async (): Promise<void> => {
      await bench.irqs.handleNested(virq);
      order.push('input ends');
    };
    bench.irqs.request(dev, input.virq, { hard: () => 'wake', thread });
    input.raise();
    expect([order, desc.threadsActive]).toEqual([['nested begins'], 1]);
    let isQuiet = false;
    void Promise.resolve(bench.irqs.synchronize(virq)).then(() => (isQuiet = true));
    await bench.clock.settle(5);
    expect(isQuiet).toBe(false);
    await bench.clock.settle(10);
    expect([order, isQuiet, desc.total]).toEqual([['nested begins', 'nested ends', 'input ends'], true, 1]);
    await close();
  });

  test('all users of a shared one run, in order, whatever one of them throws', async () => {
    const { bench, dev, virq, desc, close } = await expander();
    const order: string[] = [];
    const throwing = (): never => {
      order.push('bad');
      throw new Errno('EIO', 'now');
    };
    const rejecting = (): Promise<never> => {
      order.push('worse');
      return Promise.reject(new Errno('EIO', 'later'));
    };
    for (const thread of [throwing, rejecting, () => order.push('good')]) bench.irqs.request(dev, virq, { thread, shared: true });
    await bench.irqs.handleNested(virq);
    expect([order, bench.violations, desc.unhandled]).toEqual([
      ['bad', 'worse', 'good'],
      ['callback-threw', 'callback-threw'],
      0,
    ]);
    await close();
  });

  test('need a thread half, and task context', async () => {
    const { bench, input, dev, virq, desc, close } = await expander();
    expect(() => bench.irqs.request(dev, virq, () => {})).toThrow('EINVAL');
    let runs = 0;
    bench.irqs.request(dev, virq, { thread: () => void runs++ });
    let error: unknown;
    bench.irqs.request(dev, input.virq, () => {
      try {
        void bench.irqs.handleNested(virq);
      } catch (thrown) {
        error = thrown;
      }
    });
    input.raise();
    expect([Errno.is(error, 'EINVAL'), bench.violations, runs, desc.total]).toEqual([true, ['sleep-in-interrupt'], 0, 0]);
    expect(() => bench.irqs.handleNested(4711)).toThrow('EINVAL');
    await close();
  });

  test('one that is disabled is pending, and cannot be raised by software', async () => {
    const { bench, dev, virq, desc, close } = await expander();
    let runs = 0;
    const handle = bench.irqs.request(dev, virq, { thread: () => void runs++ });
    handle.disableNosync();
    expect(bench.irqs.handleNested(virq)).toBe(undefined);
    expect([runs, desc.pending]).toEqual([0, true]);
    handle.enable();
    bench.irqs.drain();
    expect([runs, desc.replay]).toEqual([0, false]);
    expect(() => bench.irqs.inject(virq)).toThrow('EINVAL');
    await close();
  });

  test('are counted when nobody handles them', async () => {
    const { bench, dev, virq, desc, close } = await expander();
    bench.irqs.request(dev, virq, { thread: () => 'none' });
    void bench.irqs.handleNested(virq);
    expect(desc.unhandled).toBe(1);
    await close();
  });
});
