import { describe, expect, test } from 'vitest';
import {
  type FlowHandler,
  handleEdge,
  handleFasteoi,
  handleLevel,
  handlePerCpu,
  handleSimple,
  type IrqChip,
  type IrqSpec,
} from '../../../core/irq/index.js';
import * as S from '../../../core/irq/state.js';
import { Errno } from '../../../core/lib/index.js';
import { Bench, type IrqOptions } from './bench.js';

const ALL: (keyof IrqChip)[] = ['ack', 'mask', 'unmask', 'eoi'];

/** An interrupt of this flow with one user, `handler` in the trace. */
async function line(flow: FlowHandler, spec: IrqSpec = {}, options: IrqOptions = {}) {
  const bench = await Bench.open();
  const irq = bench.irq({ flow, records: ALL, ...options });
  const dev = bench.device();
  const hooks: { during?: (() => void) | undefined } = {};
  const hard = (): unknown => {
    bench.trace.push('handler');
    const { during } = hooks;
    hooks.during = undefined;
    during?.();
    return spec.thread === undefined ? 'handled' : 'wake';
  };
  const thread = spec.thread === undefined ? undefined : (): unknown => (bench.trace.push('thread'), spec.thread!(irq.virq));
  const handle = bench.irqs.request(dev, irq.virq, { hard, ...spec, thread });
  bench.look();
  return { bench, irq, handle, hooks, dev };
}

describe('edge flow', () => {
  test('acknowledges, then runs the handlers', async () => {
    const { bench, irq } = await line(handleEdge);
    irq.raise();
    expect([bench.look(), irq.desc.state & (S.IN_PROGRESS | S.PENDING)]).toEqual([['pic.ack', 'handler'], 0]);
    await bench.stop();
  });

  test('what comes while the handlers run is masked and acknowledged, and they run again, unmasked', async () => {
    const { bench, irq, hooks } = await line(handleEdge);
    hooks.during = () => {
      bench.pic.deliverNested(1, irq.vector);
      bench.pic.deliverNested(2, irq.vector);
      expect(irq.desc).toMatchObject({ pending: true, inProgress: true });
    };
    irq.raise();
    expect(bench.look()).toEqual(['pic.ack', 'handler', 'pic.mask', 'pic.ack', 'pic.ack', 'pic.unmask', 'handler']);
    expect(irq.desc).toMatchObject({ pending: false, inProgress: false, masked: false });
    // Those that only made it run again were not counted.
    expect(irq.desc.total).toBe(1);
    await bench.stop();
  });

  test('what comes while the handler runs that has disabled it stays pending until enable', async () => {
    const { bench, irq, hooks, handle } = await line(handleEdge);
    hooks.during = () => {
      bench.irqs.disableNosync(irq.virq);
      bench.pic.deliverNested(1, irq.vector);
    };
    irq.raise();
    expect([bench.look(), irq.desc.pending]).toEqual([['pic.ack', 'handler', 'pic.mask', 'pic.ack'], true]);
    handle.enable();
    bench.irqs.drain();
    expect(bench.look()).toEqual(['pic.unmask', 'pic.ack', 'handler']);
    await bench.stop();
  });

  test('disabling is lazy: the first that comes all the same is masked and remembered, and raised again by enable', async () => {
    const { bench, irq, handle } = await line(handleEdge);
    await handle.disable();
    expect(bench.look()).toEqual([]);
    irq.raise();
    irq.raise();
    expect([bench.look(), irq.desc.pending, irq.desc.total]).toEqual([['pic.mask', 'pic.ack', 'pic.ack'], true, 0]);
    handle.enable();
    expect([irq.desc.replay, irq.desc.pending]).toEqual([true, false]);
    bench.irqs.drain();
    expect([bench.look(), irq.desc.replay]).toEqual([['pic.unmask', 'pic.ack', 'handler'], false]);
    await bench.stop();
  });

  test('what comes before there is a handler is masked, and reaches the first one', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    irq.raise();
    expect([bench.look(), irq.desc.pending]).toEqual([['pic.ack'], true]);
    let count = 0;
    bench.irqs.request(bench.device(), irq.virq, () => void count++);
    bench.irqs.drain();
    expect(count).toBe(1);
  });

  test('a mask that fails leaves no CPU without its acknowledge', async () => {
    const { bench, irq, handle } = await line(
      handleEdge,
      {},
      {
        chip: {
          mask() {
            throw new Errno('EIO', 'slot');
          },
        },
      },
    );
    handle.disableNosync();
    irq.raise();
    expect([bench.look(), bench.violations]).toEqual([['pic.mask', 'pic.ack'], ['irq-flow-failed']]);
    handle.enable();
    bench.irqs.drain();
    expect(bench.look()).toContain('handler');
  });
});

describe('level flow', () => {
  test('C-093 masks and acknowledges first, unmasks when it was handled', async () => {
    const { bench, irq } = await line(handleLevel);
    irq.raise();
    expect(bench.look()).toEqual(['pic.mask', 'pic.ack', 'handler', 'pic.unmask']);
    await bench.stop();
  });

  test('uses maskAck where the chip has it', async () => {
    const { bench, irq } = await line(handleLevel, {}, { records: [...ALL, 'maskAck'] });
    irq.raise();
    expect(bench.look()).toEqual(['pic.maskAck', 'handler', 'pic.unmask']);
    await bench.stop();
  });

  test('C-093 stays masked while it is disabled, and while a oneshot thread is not done', async () => {
    const { bench, irq, hooks } = await line(handleLevel, { thread: () => {}, oneshot: true });
    irq.raise();
    expect(bench.look()).toEqual(['pic.mask', 'pic.ack', 'handler', 'thread', 'pic.unmask']);
    hooks.during = () => bench.irqs.disableNosync(irq.virq);
    irq.raise();
    expect(bench.look()).toEqual(['pic.mask', 'pic.ack', 'handler', 'thread']);
    bench.irqs.enable(irq.virq);
    expect([bench.look(), irq.desc.masked]).toEqual([['pic.unmask'], false]);
    await bench.stop();
  });

  test('comes while it is handled: masked again, and unmasked once in the end', async () => {
    const { bench, irq, hooks } = await line(handleLevel);
    hooks.during = () => bench.pic.deliverNested(1, irq.vector);
    irq.raise();
    expect(bench.look()).toEqual(['pic.mask', 'pic.ack', 'handler', 'pic.ack', 'pic.unmask']);
    await bench.stop();
  });

  test('one that is disabled is masked and not handled', async () => {
    const { bench, irq, handle } = await line(handleLevel);
    handle.disableNosync();
    irq.raise();
    expect([bench.look(), irq.desc.pending, irq.desc.masked]).toEqual([['pic.mask', 'pic.ack'], true, true]);
    await bench.stop();
  });
});

describe('fasteoi flow', () => {
  test('C-093 runs the handlers, then tells the end', async () => {
    const { bench, irq } = await line(handleFasteoi);
    irq.raise();
    expect(bench.look()).toEqual(['handler', 'pic.eoi']);
    await bench.stop();
  });

  test('C-093 a oneshot one is masked first, and unmasked after the thread', async () => {
    const { bench, irq } = await line(handleFasteoi, { thread: () => {}, oneshot: true });
    irq.raise();
    expect(bench.look()).toEqual(['pic.mask', 'handler', 'pic.eoi', 'thread', 'pic.unmask']);
    await bench.stop();
  });

  test('a oneshot one that woke nobody is unmasked at once', async () => {
    const { bench, irq } = await line(handleFasteoi, { oneshot: true });
    irq.raise();
    expect(bench.look()).toEqual(['pic.mask', 'handler', 'pic.eoi', 'pic.unmask']);
    await bench.stop();
  });

  test('with eoiThreaded the end is told when the thread is done', async () => {
    const { bench, irq } = await line(handleFasteoi, { thread: () => {}, oneshot: true }, { chip: { eoiThreaded: true } });
    irq.raise();
    expect(bench.look()).toEqual(['pic.mask', 'handler', 'thread', 'pic.eoi', 'pic.unmask']);
    await bench.stop();
  });

  test.each([
    [false, ['pic.mask', 'pic.eoi']],
    [true, ['pic.mask']],
  ])('one that is disabled is masked and ended, with eoiIfHandled=%s', async (eoiIfHandled, expected) => {
    const { bench, irq, handle } = await line(handleFasteoi, {}, { chip: { eoiIfHandled } });
    handle.disableNosync();
    irq.raise();
    expect([bench.look(), irq.desc.pending]).toEqual([expected, true]);
    await bench.stop();
  });

  test('one that comes while it is handled is ended alone, and raised again only where the chip asks for that', async () => {
    const { bench, irq, hooks } = await line(handleFasteoi);
    const nested = (): void => bench.pic.deliverNested(1, irq.vector);
    hooks.during = nested;
    irq.raise();
    expect([bench.look(), irq.desc.pending]).toEqual([['handler', 'pic.eoi', 'pic.eoi'], false]);
    irq.desc.state |= S.RESEND_WHEN_IN_PROGRESS;
    hooks.during = nested;
    irq.raise();
    expect([bench.look(), irq.desc.total]).toEqual([['handler', 'pic.eoi', 'pic.eoi', 'handler', 'pic.eoi'], 3]);
    await bench.stop();
  });

  test('a mask that fails leaves no CPU without its end', async () => {
    const { bench, irq } = await line(
      handleFasteoi,
      { thread: () => {}, oneshot: true },
      {
        chip: {
          mask() {
            throw new Errno('EIO', 'slot');
          },
        },
      },
    );
    irq.raise();
    expect([bench.look(), bench.violations]).toEqual([['pic.mask', 'pic.eoi'], ['irq-flow-failed']]);
  });
});

describe('simple flow', () => {
  test('C-093 calls the chip never', async () => {
    const { bench, irq, hooks, handle } = await line(handleSimple);
    hooks.during = () => bench.pic.deliverNested(1, irq.vector);
    irq.raise();
    handle.disableNosync();
    irq.raise();
    expect([bench.look(), irq.desc.pending, irq.desc.total]).toEqual([['handler'], true, 1]);
    await bench.stop();
  });
});

describe('per-CPU flow', () => {
  test('acknowledges and ends around the handlers, which run on several CPUs at once', async () => {
    const { bench, irq, hooks } = await line(handlePerCpu, { perCpu: true });
    hooks.during = () => bench.pic.deliverNested(1, irq.vector);
    irq.raise();
    expect(bench.look()).toEqual(['pic.ack', 'handler', 'pic.ack', 'handler', 'pic.eoi', 'pic.eoi']);
    expect([irq.desc.countOn(0), irq.desc.countOn(1)]).toEqual([1, 1]);
    await bench.stop();
  });
});

describe('handlers', () => {
  test('all of a line run, in the order of their requests, on the CPU that took the vector', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    const dev = bench.device();
    const seen: string[] = [];
    for (const [name, result] of [
      ['none', 'none'],
      ['handled', 'handled'],
      ['nothing', undefined],
    ]) {
      const hard = (virq: number): unknown => (seen.push(`${name} ${virq === irq.virq} cpu${bench.irqCore.currentCpu}`), result);
      bench.irqs.request(dev, irq.virq, { hard, shared: true });
    }
    irq.raise(2);
    expect(seen).toEqual(['none true cpu2', 'handled true cpu2', 'nothing true cpu2']);
    expect(bench.irqCore.currentCpu).toBe(0);
  });

  test('one that throws breaks a rule and counts as not handled; the others run, and it runs again', async () => {
    await using bench = await Bench.open();
    const irq = bench.irq();
    const dev = bench.device();
    let count = 0;
    const bad = (): never => {
      throw new TypeError('status of undefined');
    };
    bench.irqs.request(dev, irq.virq, { hard: bad, shared: true, name: 'bad' });
    bench.irqs.request(dev, irq.virq, { hard: () => (count++, 'none'), shared: true });
    irq.raise();
    irq.raise();
    expect([count, bench.violations, irq.desc.inProgress, irq.desc.unhandled]).toEqual([
      2,
      ['callback-threw', 'callback-threw'],
      false,
      2,
    ]);
    expect(bench.said[0]).toBe(`irq ${irq.virq}: handler bad threw: TypeError: status of undefined`);
  });

  test('a vector that is nobody’s is ended, counted and logged', async () => {
    await using bench = await Bench.open();
    bench.pic.send(1, 200);
    bench.irqs.drain();
    expect([bench.pic.eois, bench.irqCore.unexpectedCount]).toEqual([1, 1]);
    expect(bench.kernel.core.log.records().map(({ text }) => text)).toContain('cpu 1: no interrupt for vector 200');
  });

  test('one that nobody has set up is acknowledged, counted and logged', async () => {
    await using bench = await Bench.open();
    const virq = bench.irqCore.allocDescs(1, {});
    bench.irqCore.setVector(0, 201, bench.irqs.desc(virq));
    bench.pic.send(0, 201);
    bench.irqs.drain();
    expect([bench.irqs.desc(virq).total, bench.irqCore.unexpectedCount]).toEqual([1, 1]);
    bench.irqCore.setVector(0, 201, undefined);
    bench.irqCore.freeDescs(virq, 1);
  });
});
