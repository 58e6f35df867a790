import { describe, expect, test } from 'vitest';
import {
  type FlowHandler,
  type IrqChip,
  type IrqData,
  type IrqDesc,
  handleEdge,
  handleFasteoi,
  handleLevel,
  handleSimple,
  setChip,
} from '../../core/index.js';
import { Bench, Table, array, codeOf } from './interrupts-bench.js';

const loud = (log: string[]): IrqChip => ({
  name: 'test',
  mask: () => void log.push('mask'),
  unmask: () => void log.push('unmask'),
  ack: () => void log.push('ack'),
  eoi: () => void log.push('eoi'),
});

function line(bench: Bench, chip: IrqChip, flow: FlowHandler): IrqDesc {
  const { core } = bench.kernel.irqs;
  const desc = core.descs[core.allocDescs(1, {})]!;
  setChip(desc, chip, flow, 'test');
  return desc;
}

const storm = (bench: Bench, { virq }: IrqDesc, count: number): void => {
  for (let n = 0; n < count; n++) bench.kernel.irqs.handle(virq);
};

describe('G: flow, pending, resend, and interrupts that nobody wants', () => {
  test('C-090 an edge that comes while its handler runs is remembered, and it runs once more', async () => {
    await using bench = await Bench.start();
    const log: string[] = [];
    const desc = line(bench, loud(log), handleEdge);
    let runs = 0;
    const irq = bench.kernel.irqs.request(bench.dev, desc.virq, () => {
      log.push('handler');
      if (runs++ > 0) return;
      bench.kernel.irqs.handle(desc.virq);
      bench.kernel.irqs.handle(desc.virq);
      expect([desc.inProgress, desc.pending]).toEqual([true, true]);
    });
    log.length = 0;
    bench.kernel.irqs.handle(desc.virq);
    expect(log).toEqual(['ack', 'handler', 'mask', 'ack', 'ack', 'unmask', 'handler']);
    expect([runs, desc.pending, desc.masked]).toEqual([2, false, false]);
    void irq.free();
    bench.kernel.irqs.core.freeDescs(desc.virq, 1);
  });

  test('C-091 a disable is lazy: the next interrupt masks, and enabling raises it again once', async () => {
    await using bench = await Bench.start();
    const table = new Table();
    const domain = bench.domain(array(table));
    const map = domain.alloc();
    let count = 0;
    const irq = bench.kernel.irqs.request(bench.dev, map.virq, () => count++);
    table.log.length = 0;
    void irq.disable();
    expect(table.log).toEqual([]);
    bench.fire(domain, 0);
    bench.fire(domain, 0);
    expect([table.log.includes('mask'), irq.desc.pending, count]).toEqual([true, true, 0]);
    irq.enable();
    bench.machine.drain();
    expect([count, irq.desc.pending, irq.desc.masked]).toEqual([1, false, false]);
  });

  test('C-092 a resend: a level cannot, one under way is EBUSY, nothing pending is nothing', async () => {
    await using bench = await Bench.start();
    const { irqs } = bench.kernel;
    const level = line(bench, { ...loud([]), setType: () => {} }, handleLevel);
    const irq = irqs.request(bench.dev, level.virq, { hard: () => {}, trigger: 'high' });
    expect([level.activated, level.levelTriggered]).toEqual([true, true]);
    void irq.disable();
    irqs.handle(level.virq);
    expect(level.pending).toBe(true);
    expect([codeOf(() => irqs.inject(level.virq)), level.pending, level.replay]).toEqual(['EINVAL', false, false]);
    void irq.free();
    irqs.core.freeDescs(level.virq, 1);

    const domain = bench.ims();
    const map = domain.alloc();
    let count = 0;
    const own = irqs.request(bench.dev, map.virq, () => count++);
    void own.disable();
    own.enable();
    bench.machine.drain();
    expect([count, own.desc.replay]).toEqual([0, false]);
    irqs.inject(map.virq);
    expect([own.desc.replay, codeOf(() => irqs.inject(map.virq))]).toEqual([true, 'EBUSY']);
    bench.machine.drain();
    expect([count, own.desc.replay]).toEqual([1, false]);
    irqs.inject(map.virq);
    bench.machine.drain();
    expect(count).toBe(2);
  });

  test('C-092 one that may come in interrupt context alone, and that no level can raise, is EINVAL', async () => {
    await using bench = await Bench.start();
    const domain = bench.domain(array());
    const map = domain.alloc();
    bench.kernel.irqs.request(bench.dev, map.virq, () => {});
    for (let data: IrqData | undefined = bench.kernel.irqs.desc(map.virq).data; data !== undefined; data = data.parent) {
      const { retrigger: _retrigger, ...chip } = data.chip;
      data.chip = chip;
    }
    expect(codeOf(() => bench.kernel.irqs.inject(map.virq))).toBe('EINVAL');
  });

  test('C-093 what each flow does to its chip', async () => {
    await using bench = await Bench.start();
    const { irqs } = bench.kernel;
    const run = (flow: FlowHandler, oneshot = false): string[] => {
      const log: string[] = [];
      const desc = line(bench, loud(log), flow);
      const thread = oneshot ? { thread: () => void log.push('thread'), oneshot: true } : {};
      const irq = irqs.request(bench.dev, desc.virq, { hard: () => (log.push('run'), oneshot ? 'wake' : 'handled'), ...thread });
      log.length = 0;
      irqs.handle(desc.virq);
      irqs.drain();
      const seen = log.splice(0);
      void irq.free();
      irqs.core.freeDescs(desc.virq, 1);
      return seen;
    };
    expect(run(handleLevel)).toEqual(['mask', 'ack', 'run', 'unmask']);
    expect(run(handleLevel, true)).toEqual(['mask', 'ack', 'run', 'thread', 'unmask']);
    expect(run(handleFasteoi)).toEqual(['run', 'eoi']);
    expect(run(handleFasteoi, true)).toEqual(['mask', 'run', 'eoi', 'thread', 'unmask']);
    expect(run(handleSimple)).toEqual(['run']);
    expect(run(handleEdge)).toEqual(['ack', 'run']);
  });

  test('C-093 a level whose handler disables it stays masked', async () => {
    await using bench = await Bench.start();
    const log: string[] = [];
    const desc = line(bench, loud(log), handleLevel);
    const irq = bench.kernel.irqs.request(bench.dev, desc.virq, () => bench.kernel.irqs.disableNosync(desc.virq));
    log.length = 0;
    bench.kernel.irqs.handle(desc.virq);
    expect(log).toEqual(['mask', 'ack']);
    void irq.free();
    bench.kernel.irqs.core.freeDescs(desc.virq, 1);
  });

  test('C-094 one that hardware raises is refused outside interrupt context, and one that is not there is EINVAL', async () => {
    await using bench = await Bench.start();
    const map = bench.ims().alloc();
    const { irqs } = bench.kernel;
    let count = 0;
    irqs.request(bench.dev, map.virq, () => count++);
    expect(codeOf(() => irqs.handle(map.virq))).toBe('EPERM');
    expect([count, bench.take().length]).toEqual([0, 1]);
    const domain = bench.kernel.msi.domain(bench.dev, 'secondary')!.irqDomain;
    expect([codeOf(() => irqs.handle(9999)), codeOf(() => irqs.handleDomainIrq(domain, 3))]).toEqual(['EINVAL', 'EINVAL']);
  });

  test('C-095 of 100,000 from the first unhandled one on, 99,901 unhandled ones disable the line', async () => {
    await using bench = await Bench.start();
    const desc = line(bench, loud([]), handleEdge);
    let result = 'handled';
    const irq = bench.kernel.irqs.request(bench.dev, desc.virq, () => result);
    storm(bench, desc, 1000);
    expect([desc.count, desc.unhandled]).toEqual([0, 0]);
    result = 'none';
    storm(bench, desc, 99_900);
    result = 'handled';
    storm(bench, desc, 100);
    expect([desc.disabled, desc.count, desc.unhandled, bench.take()]).toEqual([false, 0, 0, []]);
    result = 'none';
    storm(bench, desc, 99_901);
    result = 'handled';
    storm(bench, desc, 98);
    expect(desc.spuriousDisabled).toBe(false);
    storm(bench, desc, 1);
    expect([desc.disabled, desc.depth, desc.spuriousDisabled, desc.count, desc.unhandled]).toEqual([true, 1, true, 0, 0]);
    expect(bench.take()).toEqual(['irq-nobody-cared']);
    void irq.free();
    bench.kernel.irqs.core.freeDescs(desc.virq, 1);
  });

  test('C-096 unhandled ones more than 100 ms apart begin a new count', async () => {
    await using bench = await Bench.start();
    const desc = line(bench, loud([]), handleEdge);
    const irq = bench.kernel.irqs.request(bench.dev, desc.virq, () => 'none');
    storm(bench, desc, 5);
    expect([desc.count, desc.unhandled]).toEqual([5, 5]);
    bench.machine.elapse(100_000);
    storm(bench, desc, 1);
    expect(desc.unhandled).toBe(6);
    bench.machine.elapse(100_001);
    storm(bench, desc, 1);
    expect([desc.count, desc.unhandled]).toEqual([7, 1]);
    void irq.free();
    bench.kernel.irqs.core.freeDescs(desc.virq, 1);
  });

  test('C-097 what is polled is not counted, and a shared line that was given up is polled', async () => {
    await using bench = await Bench.start();
    const polled = line(bench, loud([]), handleEdge);
    const first = bench.kernel.irqs.request(bench.dev, polled.virq, { hard: () => 'none', irqPoll: true });
    storm(bench, polled, 10);
    expect([polled.count, polled.unhandled]).toEqual([0, 0]);
    void first.free();
    const shared = line(bench, loud([]), handleEdge);
    let runs = 0;
    const irq = bench.kernel.irqs.request(bench.dev, shared.virq, { hard: () => (runs++, 'none'), shared: true });
    storm(bench, shared, 100_000);
    expect([shared.spuriousDisabled, bench.take()]).toEqual([true, ['irq-nobody-cared']]);
    bench.machine.elapse(350_000);
    expect([runs, shared.spuriousDisabled]).toEqual([100_003, true]);
    void irq.free();
    for (const { virq } of [polled, shared]) bench.kernel.irqs.core.freeDescs(virq, 1);
  });

  test('C-098 a new handler gives a line that was given up another chance', async () => {
    await using bench = await Bench.start();
    const desc = line(bench, loud([]), handleEdge);
    const { irqs } = bench.kernel;
    const one = irqs.request(bench.dev, desc.virq, { hard: () => 'none', shared: true });
    storm(bench, desc, 100_000);
    expect([desc.spuriousDisabled, desc.depth, bench.take().length]).toEqual([true, 1, 1]);
    let handled = 0;
    const two = irqs.request(bench.dev, desc.virq, { hard: () => void handled++, shared: true });
    expect([desc.spuriousDisabled, desc.disabled, desc.depth, desc.count, desc.unhandled]).toEqual([false, false, 0, 0, 0]);
    storm(bench, desc, 1);
    expect(handled).toBe(1);
    void one.free();
    void two.free();
    irqs.core.freeDescs(desc.virq, 1);
  });
});
