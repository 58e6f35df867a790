import { describe, expect, test } from 'vitest';
import type { IrqSpec } from '../../../core/irq/index.js';
import { Errno } from '../../../core/lib/index.js';
import { Bench, type TestIrq } from './bench.js';

const ROUND = 100_000;
const TOO_MANY = 99_901;

/** An interrupt whose handler says what the test tells it to. */
async function line(spec: IrqSpec = {}) {
  const bench = await Bench.open();
  const irq = bench.irq();
  const dev = bench.device();
  const answer: { now: unknown } = { now: 'none' };
  const state = { calls: 0 };
  const hard = (): unknown => (state.calls++, answer.now);
  const handle = bench.irqs.request(dev, irq.virq, { hard, ...spec });
  const times = (count: number, result: unknown): void => {
    answer.now = result;
    for (let n = 0; n < count; n++) irq.raise();
  };
  return { bench, irq, dev, handle, answer, state, times };
}

const counters = ({ desc }: TestIrq): number[] => [desc.count, desc.unhandled];

describe('spurious interrupts', () => {
  test('C-095 99,901 of 100,000 unhandled disable the line', async () => {
    const { bench, irq, times, state } = await line({ name: 'nobody' });
    times(1, 'none');
    times(ROUND - TOO_MANY, 'handled');
    times(TOO_MANY - 2, 'none');
    expect([irq.desc.spuriousDisabled, irq.desc.depth, ...counters(irq)]).toEqual([false, 0, ROUND - 1, TOO_MANY - 1]);
    times(1, 'none');
    expect(irq.desc).toMatchObject({ spuriousDisabled: true, depth: 1, disabled: true, count: 0, unhandled: 0 });
    expect(bench.violations).toEqual(['irq-nobody-cared']);
    expect(bench.said[0]).toContain('nobody');
    times(3, 'none');
    expect(state.calls).toBe(ROUND);
    await bench.stop();
  });

  test('C-095 99,900 of 100,000 do not, and both counters begin again', async () => {
    const { bench, irq, times } = await line();
    times(1, 'none');
    times(ROUND - TOO_MANY + 1, 'handled');
    times(TOO_MANY - 2, 'none');
    expect([...counters(irq), irq.desc.spuriousDisabled, irq.desc.depth]).toEqual([0, 0, false, 0]);
    expect(bench.violations).toEqual([]);
    await bench.stop();
  });

  test('C-095 what was handled before the first unhandled one does not count', async () => {
    const { bench, irq, times } = await line();
    times(5000, 'handled');
    expect(counters(irq)).toEqual([0, 0]);
    times(1, 'none');
    times(1, 'handled');
    expect(counters(irq)).toEqual([2, 1]);
    await bench.stop();
  });

  test('unhandled ones more than 100 ms apart begin a new count, 100 ms apart they do not', async () => {
    const { bench, irq, times } = await line();
    times(3, 'none');
    bench.clock.elapse(100_000);
    times(1, 'none');
    expect(counters(irq)).toEqual([4, 4]);
    bench.clock.elapse(100_001);
    times(1, 'none');
    expect(counters(irq)).toEqual([5, 1]);
    await bench.stop();
  });

  test('a handler that is polled anyway is not judged', async () => {
    const { bench, irq, times } = await line({ irqPoll: true });
    times(10, 'none');
    expect(counters(irq)).toEqual([0, 0]);
    await bench.stop();
  });

  test('C-098 a new handler of the line gives it another chance', async () => {
    const { bench, irq, dev, times, answer } = await line({ shared: true });
    times(ROUND, 'none');
    expect(irq.desc.spuriousDisabled).toBe(true);
    let found = 0;
    answer.now = 'none';
    bench.irqs.request(dev, irq.virq, { hard: () => void found++, shared: true });
    expect(irq.desc).toMatchObject({ spuriousDisabled: false, depth: 0, disabled: false, count: 0, unhandled: 0 });
    bench.irqs.drain();
    const before = found;
    irq.raise();
    expect(found).toBe(before + 1);
    bench.clock.elapse(1_000_000);
    expect(found).toBe(before + 1);
    await bench.stop();
  });

  test('a chance that the chip cannot give leaves the line as it was', async () => {
    await using bench = await Bench.open();
    let isBroken = false;
    const irq = bench.irq({
      chip: {
        unmask() {
          if (isBroken) throw new Errno('EIO', 'slot');
        },
      },
    });
    const dev = bench.device();
    bench.irqs.request(dev, irq.virq, { hard: () => 'none', shared: true });
    for (let n = 0; n < ROUND; n++) irq.raise();
    irq.raise();
    isBroken = true;
    expect(() => bench.irqs.request(dev, irq.virq, { hard: () => {}, shared: true })).toThrow('EIO: slot');
    expect(irq.desc).toMatchObject({ spuriousDisabled: true, disabled: true, depth: 1 });
    expect([irq.desc.actions.length, dev.devres.size]).toEqual([1, 1]);
    isBroken = false;
  });

  test('the handlers of a shared line are polled every 100 ms, without being judged; the line stays disabled', async () => {
    const { bench, irq, times, state } = await line({ shared: true });
    times(ROUND, 'none');
    bench.clock.elapse(99_999);
    expect(state.calls).toBe(ROUND);
    bench.clock.elapse(1);
    expect(state.calls).toBe(ROUND + 1);
    bench.clock.elapse(300_000);
    expect(state.calls).toBe(ROUND + 4);
    expect([...counters(irq), irq.desc.spuriousDisabled]).toEqual([0, 0, true]);
    await bench.stop();
  });

  test('the handlers that are polled are in interrupt context: what they post comes after them', async () => {
    await using bench = await Bench.open();
    const [line, other] = [bench.irq(), bench.irq()];
    const dev = bench.device();
    const order: string[] = [];
    const bell = bench.publish({ ring: () => other.post() }, 'ring');
    bench.irqs.request(dev, other.virq, () => void order.push('other'));
    let isPolled = false;
    const hard = (): string => {
      if (isPolled) {
        order.push(`in handler: ${bench.irqCore.windows.inHandler}`);
        bell.ring();
        order.push('handler over');
      }
      return 'none';
    };
    bench.irqs.request(dev, line.virq, { hard, shared: true });
    for (let n = 0; n < ROUND; n++) line.raise();
    isPolled = true;
    bench.clock.elapse(100_000);
    expect(order).toEqual(['in handler: true', 'handler over', 'other']);
  });

  test('a line of one user is not polled: nothing is left on the clock', async () => {
    const { bench, times } = await line();
    const { pending } = bench.clock;
    times(ROUND, 'none');
    expect(bench.clock.pending).toBe(pending);
    await bench.stop();
  });

  test('polling ends with the last handler', async () => {
    const { bench, times, handle } = await line({ shared: true });
    const { pending } = bench.clock;
    times(ROUND, 'none');
    expect(bench.clock.pending).toBe(pending + 1);
    await handle.free();
    expect(bench.clock.pending).toBe(pending);
    await bench.stop();
  });

  test('the next request of a line that was disabled starts it', async () => {
    const { bench, irq, times, handle, dev } = await line();
    times(ROUND, 'none');
    await handle.free();
    bench.irqs.request(dev, irq.virq, () => {});
    expect(irq.desc).toMatchObject({ spuriousDisabled: false, depth: 0, disabled: false, started: true });
    await bench.stop();
  });
});

describe('spurious interrupts with thread halves', () => {
  test('whether a woken thread handled something is judged at the next interrupt', async () => {
    const answers: unknown[] = ['handled', 'none', 'none', 'handled', 'handled'];
    const { bench, irq, times } = await line({ thread: () => answers.shift() });
    times(1, 'wake');
    expect(counters(irq)).toEqual([0, 0]);
    // The first was handled.
    times(1, 'wake');
    expect(counters(irq)).toEqual([0, 0]);
    // The second was not.
    times(1, 'wake');
    expect(counters(irq)).toEqual([1, 1]);
    times(1, 'wake');
    expect(counters(irq)).toEqual([2, 2]);
    times(1, 'wake');
    expect(counters(irq)).toEqual([3, 2]);
    await bench.stop();
  });

  test('threads that handle nothing disable the line as well', async () => {
    const { bench, irq, times } = await line({ thread: () => 'none' });
    times(ROUND + 1, 'wake');
    expect(irq.desc.spuriousDisabled).toBe(true);
    await bench.stop();
  });

  test('a hard half that handled it clears the judgement that was put off', async () => {
    const { bench, irq, dev, times } = await line({ thread: () => 'none', shared: true });
    let second: unknown = 'none';
    bench.irqs.request(dev, irq.virq, { hard: () => second, shared: true });
    times(1, 'wake');
    second = 'handled';
    times(1, 'wake');
    second = 'none';
    times(1, 'wake');
    expect(counters(irq)).toEqual([0, 0]);
    times(1, 'wake');
    expect(counters(irq)).toEqual([1, 1]);
    await bench.stop();
  });
});
