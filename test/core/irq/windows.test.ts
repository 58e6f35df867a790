import { describe, expect, test } from 'vitest';
import { Device } from '../../../core/device/index.js';
import { handleSimple } from '../../../core/irq/index.js';
import { PlatformDevice } from '../../../core/platform/index.js';
import { Errno } from '../../../core/lib/index.js';
import { Bench, type TestIrq } from './bench.js';

/** Interrupts that write their letter and CPU into `seen` when they come. */
async function letters(count: number, during: (name: string) => void = () => {}) {
  const bench = await Bench.open();
  const dev = bench.device();
  const seen: string[] = [];
  const irqs: TestIrq[] = [];
  for (let n = 0; n < count; n++) {
    const irq = bench.irq();
    const name = String.fromCodePoint(97 + n);
    bench.irqs.request(dev, irq.virq, () => {
      seen.push(`${name}${bench.irqCore.currentCpu}`);
      during(name);
    });
    irqs.push(irq);
  }
  return { bench, dev, seen, irqs };
}

describe('interrupt windows', () => {
  test('CPUs come in ascending order, on each the highest vector first', async () => {
    const { bench, seen, irqs } = await letters(3);
    const [a, b, c] = irqs as [TestIrq, TestIrq, TestIrq];
    a.post(2);
    c.post(2);
    a.post(0);
    b.post(0);
    c.post(3);
    b.post(1);
    bench.irqs.drain();
    expect(seen).toEqual(['b0', 'a0', 'b1', 'c2', 'a2', 'c3']);
    await bench.stop();
  });

  test('each CPU is served until nothing is left, then the lowest that has something again', async () => {
    let posts = 0;
    const { bench, seen, irqs } = await letters(2, (name) => {
      if (posts++ > 2) return;
      if (name === 'a') irqs[1]!.post(1);
      else irqs[0]!.post(0);
    });
    irqs[0]!.post(1);
    bench.irqs.drain();
    expect(seen).toEqual(['a1', 'b1', 'a0', 'b1']);
    await bench.stop();
  });

  test('what a handler posts comes after it, never inside it', async () => {
    const order: string[] = [];
    const { bench, irqs } = await letters(2, (name) => {
      order.push(`${name} begins`);
      if (name === 'a') {
        irqs[1]!.post();
        bench.irqs.drain();
        bench.publish({ call() {} }, 'call').call();
      }
      order.push(`${name} ends`);
    });
    irqs[0]!.raise();
    expect(order).toEqual(['a begins', 'a ends', 'b begins', 'b ends']);
    await bench.stop();
  });

  test('outside all sections they come in one microtask, also when many are posted', async () => {
    const { bench, seen, irqs } = await letters(2);
    irqs[0]!.post();
    irqs[1]!.post();
    irqs[0]!.post(1);
    expect(seen).toEqual([]);
    await Promise.resolve();
    expect(seen).toEqual(['b0', 'a0', 'a1']);
    await bench.stop();
  });

  test('a synchronous part of an operation that has waited is not interrupted by the operations within it', async () => {
    const { bench, seen, irqs } = await letters(1);
    const order: string[] = [];
    const { platform, core } = bench.kernel;
    for (const id of [0, 1]) await platform.add(new PlatformDevice({ name: 'part', id }));
    await platform.register({
      name: 'part',
      probe: (dev) => {
        if (dev.id === 0) return Promise.resolve();
        irqs[0]!.post();
        void core.addChild(dev, new Device({ name: 'inner', parent: dev, release: () => {} }));
        order.push(`probe ends after ${seen.length}`);
        return undefined;
      },
    });
    expect([order, seen]).toEqual([['probe ends after 0'], ['a0']]);
    await bench.stop();
  });

  test('they wait for the outermost operation of the core to return', async () => {
    const { bench, seen, irqs } = await letters(1);
    const order: string[] = [];
    const { kernel } = bench;
    await kernel.platform.register({
      name: 'poster',
      probe: (dev) => {
        irqs[0]!.post();
        void kernel.core.add(new Device({ name: 'inner', parent: dev, release: () => {} }));
        order.push(`probe ends after ${seen.length}`);
      },
      remove: () => {
        irqs[0]!.post();
        order.push(`remove ends after ${seen.length}`);
      },
    });
    const poster = new PlatformDevice({ name: 'poster' });
    void kernel.platform.add(poster);
    expect([order, seen]).toEqual([['probe ends after 0'], ['a0']]);
    void kernel.core.unbind(poster);
    expect([order, seen]).toEqual([
      ['probe ends after 0', 'remove ends after 1'],
      ['a0', 'a0'],
    ]);
    for (const child of poster.children) await kernel.core.remove(child);
    await kernel.core.remove(poster);
    await bench.stop();
  });

  test('a probe that is retried is a section too', async () => {
    const { bench, seen, irqs } = await letters(1);
    const { kernel } = bench;
    const order: string[] = [];
    let isReady = false;
    await kernel.platform.register({
      name: 'late',
      probe: (dev) => {
        if (!isReady) throw new Errno('EPROBE_DEFER', 'not yet');
        irqs[0]!.post();
        void kernel.core.add(new Device({ name: 'inner', parent: dev, release: () => {} }));
        order.push(`probe ends after ${seen.length}`);
      },
    });
    const late = new PlatformDevice({ name: 'late' });
    await kernel.platform.add(late);
    isReady = true;
    // Any bind brings the retry, after the operation that made it.
    await kernel.platform.register({ name: 'other', probe: () => {} });
    const other = new PlatformDevice({ name: 'other' });
    await kernel.platform.add(other);
    await kernel.core.settle();
    expect([order, seen]).toEqual([['probe ends after 0'], ['a0']]);
    for (const child of late.children) await kernel.core.remove(child);
    await kernel.core.remove(late);
    await kernel.core.remove(other);
    await bench.stop();
  });

  test('they wait for the call of a published object to return, the outermost one, whether it throws or not', async () => {
    const { bench, seen, irqs } = await letters(1);
    const order: string[] = [];
    const inner = bench.publish({ post: () => irqs[0]!.post() }, 'post');
    const fail = (): never => {
      throw new Errno('EIO', 'no');
    };
    const outer = bench.publish(
      {
        work(isBad: boolean): string {
          inner.post();
          order.push(`call ends after ${seen.length}`);
          return isBad ? fail() : 'done';
        },
      },
      'work',
    );
    expect([outer.work(false), seen]).toEqual(['done', ['a0']]);
    expect(() => outer.work(true)).toThrow('EIO: no');
    expect([order, seen]).toEqual([
      ['call ends after 0', 'call ends after 1'],
      ['a0', 'a0'],
    ]);
    await bench.stop();
  });

  test('they come after each event of the clock, before the next', async () => {
    const { bench, seen, irqs } = await letters(1);
    const at: string[] = [];
    for (const us of [10, 20]) {
      bench.clock.after(us, () => {
        irqs[0]!.post();
        at.push(`${us}: ${seen.length}`);
      });
    }
    bench.clock.elapse(30);
    expect([at, seen.length]).toEqual([['10: 0', '20: 1'], 2]);
    await bench.stop();
  });

  test('a busy-wait inside a section lets the hardware get on and delivers nothing', async () => {
    const { bench, seen, irqs } = await letters(1);
    bench.clock.after(5, () => irqs[0]!.post());
    const poller = bench.publish({ wait: () => [bench.kernel.clock.relax(), seen.length] }, 'wait');
    expect([poller.wait(), seen.length]).toEqual([[true, 0], 1]);
    await bench.stop();
  });

  test('thread halves come after all hard halves, each a section of its own, then what they posted', async () => {
    await using bench = await Bench.open();
    const dev = bench.device();
    const order: string[] = [];
    const [one, two, three] = [bench.irq(), bench.irq(), bench.irq()];
    const bell = bench.publish({ ring: () => three.post() }, 'ring');
    for (const [name, irq] of [
      ['one', one],
      ['two', two],
    ] as const) {
      const thread = (): void => {
        bell.ring();
        order.push(`${name} thread`);
      };
      bench.irqs.request(dev, irq.virq, { hard: () => (order.push(name), 'wake'), thread });
    }
    bench.irqs.request(dev, three.virq, () => void order.push('three'));
    one.post();
    two.post();
    bench.irqs.drain();
    expect(order).toEqual(['two', 'one', 'two thread', 'one thread', 'three']);
  });

  test('one CPU delivers in the middle of another’s handler, with its own number', async () => {
    const { bench, seen, irqs } = await letters(2, (name) => {
      if (name !== 'a') return;
      bench.pic.deliverNested(3, irqs[1]!.vector);
      seen.push(`back on ${bench.irqCore.currentCpu}`);
    });
    irqs[0]!.raise(1);
    expect([seen, bench.irqCore.currentCpu, bench.irqCore.windows.inHandler]).toEqual([['a1', 'b3', 'back on 1'], 0, false]);
    await bench.stop();
  });

  test('a chip that fails in one interrupt does not keep the others from theirs', async () => {
    await using bench = await Bench.open();
    const dev = bench.device();
    const bad = bench.irq({
      chip: {
        ack() {
          throw new Errno('EIO', 'bus');
        },
      },
    });
    const good = bench.irq();
    let count = 0;
    bench.irqs.request(dev, bad.virq, () => void (count += 100));
    bench.irqs.request(dev, good.virq, () => void count++);
    bad.post(0);
    good.post(1);
    bench.irqs.drain();
    expect([count, bench.violations]).toEqual([1, ['irq-flow-failed']]);
    expect(bench.said[0]).toBe(`irq ${bad.virq}: its chip failed in the interrupt: EIO: bus`);
    // By software as well.
    bench.irqs.inject(bad.virq);
    bench.irqs.inject(good.virq);
    bench.irqs.drain();
    expect([count, bench.violations.length]).toEqual([2, 2]);
  });

  test('a level that is never cleared is a storm: it is disabled, and the rest goes on', async () => {
    const bench = await Bench.open();
    const dev = bench.device();
    const storm = bench.irq();
    const other = bench.irq();
    let count = 0;
    let others = 0;
    bench.irqs.request(dev, storm.virq, () => {
      count++;
      storm.post();
    });
    bench.irqs.request(dev, other.virq, () => void others++);
    storm.post();
    other.post(1);
    bench.irqs.drain();
    expect([bench.violations, count, others, storm.desc.depth, storm.desc.masked]).toEqual([['irq-storm'], 250_000, 1, 1, true]);
    // As often as that, but not in one window, is none.
    for (let n = 0; n < 250_001; n++) other.raise();
    expect([bench.violations.length, others]).toEqual([1, 250_002]);
    await bench.stop();
  });

  test('a handler that raises itself by software for ever is one too', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq({ flow: handleSimple });
    let count = 0;
    bench.irqs.request(bench.device(), irq.virq, () => {
      count++;
      bench.irqs.inject(irq.virq);
    });
    irq.raise();
    expect([bench.violations, count <= 250_001, irq.desc.disabled]).toEqual([['irq-storm'], true, true]);
  });

  test('after the kernel has stopped nothing is delivered', async () => {
    const { bench, seen, irqs } = await letters(1);
    await bench.stop();
    irqs[0]!.post();
    await Promise.resolve();
    expect(seen).toEqual([]);
  });
});
