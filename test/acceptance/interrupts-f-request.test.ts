import { describe, expect, test } from 'vitest';
import {
  type FlowHandler,
  IRQ_NOTCONNECTED,
  type IrqChip,
  type IrqDesc,
  type IrqHandle,
  type IrqSpec,
  handleEdge,
  handleLevel,
  setChip,
} from '../../core/index.js';
import { Bench, codeOf } from './interrupts-bench.js';

/** A line of the test's own: no hardware behind it. */
function line(
  bench: Bench,
  chip: IrqChip = { name: 'test', mask() {}, unmask() {}, ack() {} },
  flow: FlowHandler = handleEdge,
): IrqDesc {
  const { core } = bench.kernel.irqs;
  const desc = core.descs[core.allocDescs(1, {})]!;
  setChip(desc, chip, flow, 'edge');
  return desc;
}

const request = (bench: Bench, { virq }: IrqDesc, spec: IrqSpec): IrqHandle => bench.kernel.irqs.request(bench.dev, virq, spec);
const refused = (bench: Bench, desc: IrqDesc, spec: IrqSpec): string => codeOf(() => request(bench, desc, spec));
const hard = (): void => {};

describe('F: request, free, share, enable and disable', () => {
  test('C-079 a number without a chip is ENOSYS', async () => {
    await using bench = await Bench.start();
    const { core } = bench.kernel.irqs;
    const virq = core.allocDescs(1, {});
    expect(codeOf(() => bench.kernel.irqs.request(bench.dev, virq, hard))).toBe('ENOSYS');
    core.freeDescs(virq, 1);
  });

  test('C-080 the arguments are looked at in order', async () => {
    await using bench = await Bench.start();
    const { irqs } = bench.kernel;
    const desc = line(bench);
    expect(codeOf(() => irqs.request(bench.dev, IRQ_NOTCONNECTED, { shared: true, noAutoEnable: true }))).toBe('ENOTCONN');
    expect(refused(bench, desc, { hard, shared: true, noAutoEnable: true })).toBe('EINVAL');
    expect(refused(bench, desc, { hard, condSuspend: true })).toBe('EINVAL');
    expect(refused(bench, desc, { hard, shared: true, noSuspend: true, condSuspend: true })).toBe('EINVAL');
    expect(codeOf(() => irqs.request(bench.dev, 9999, hard))).toBe('EINVAL');
    expect(refused(bench, desc, {})).toBe('EINVAL');
    expect([desc.actions, bench.take()]).toEqual([[], []]);
    irqs.core.freeDescs(desc.virq, 1);
  });

  test('C-081 a line is shared on the same terms, or EBUSY', async () => {
    await using bench = await Bench.start();
    const desc = line(bench);
    const first = request(bench, desc, { hard, shared: true, trigger: 'rising' });
    expect(refused(bench, desc, { hard })).toBe('EBUSY');
    expect(refused(bench, desc, { hard, shared: true, oneshot: true })).toBe('EBUSY');
    expect(refused(bench, desc, { hard, shared: true, perCpu: true })).toBe('EBUSY');
    const order: string[] = [];
    request(bench, desc, { hard: () => void order.push('second'), shared: true });
    request(bench, desc, { hard: () => void order.push('third'), shared: true });
    bench.kernel.irqs.handle(desc.virq);
    expect(order).toEqual(['second', 'third']);
    void first.free();
    bench.kernel.irqs.handle(desc.virq);
    expect(order).toHaveLength(4);
    await bench.kernel.core.unbind(bench.dev);
    bench.kernel.irqs.core.freeDescs(desc.virq, 1);
  });

  test('C-082 a thread half alone needs oneshot, unless its chip is safe without', async () => {
    await using bench = await Bench.start();
    const desc = line(bench);
    const thread = (): void => {};
    expect(refused(bench, desc, { thread })).toBe('EINVAL');
    expect(refused(bench, desc, { thread, oneshot: true })).toBe('ok');
    const { virq } = bench.ims().alloc();
    expect(codeOf(() => bench.kernel.irqs.request(bench.dev, virq, { thread }))).toBe('ok');
    await bench.kernel.core.unbind(bench.dev);
    bench.kernel.irqs.core.freeDescs(desc.virq, 1);
  });

  test('C-083 a failing request gives its resources back', async () => {
    await using bench = await Bench.start();
    const log: string[] = [];
    const chip: IrqChip = {
      name: 'test',
      mask() {},
      unmask() {},
      requestResources: () => void log.push('request'),
      releaseResources: () => void log.push('release'),
      busLock: () => void log.push('lock'),
      busSyncUnlock: () => void log.push('unlock'),
    };
    const desc = line(bench, chip);
    expect(refused(bench, desc, { thread: () => {} })).toBe('EINVAL');
    expect(log.splice(0)).toEqual(['lock', 'request', 'release', 'unlock']);
    const one = request(bench, desc, { hard, shared: true });
    const two = request(bench, desc, { hard, shared: true });
    void one.free();
    void two.free();
    expect(log.filter((step) => /re/.test(step))).toEqual(['request', 'release']);
    bench.kernel.irqs.core.freeDescs(desc.virq, 1);
  });

  test('C-084 without automatic enable it is requested with depth 1, and enabled later', async () => {
    await using bench = await Bench.start();
    const domain = bench.ims();
    const map = domain.alloc();
    let count = 0;
    const irq = bench.kernel.irqs.request(bench.dev, map.virq, { hard: () => count++, noAutoEnable: true });
    expect([irq.desc.depth, irq.desc.started, irq.desc.activated]).toEqual([1, false, true]);
    irq.enable();
    expect([irq.desc.depth, irq.desc.started]).toEqual([0, true]);
    bench.fire(domain, 0);
    expect(count).toBe(1);
  });

  test('C-085, C-086 disabling nests, and one enable too many breaks a rule', async () => {
    await using bench = await Bench.start();
    const domain = bench.ims();
    const map = domain.alloc();
    let count = 0;
    const irq = bench.kernel.irqs.request(bench.dev, map.virq, () => count++);
    void irq.disable();
    irq.disableNosync();
    expect(irq.desc.depth).toBe(2);
    irq.enable();
    bench.fire(domain, 0);
    expect([irq.desc.depth, count]).toEqual([1, 0]);
    irq.enable();
    bench.machine.drain();
    expect([irq.desc.depth, count, bench.take()]).toEqual([0, 1, []]);
    expect(codeOf(() => irq.enable())).toBe('EINVAL');
    expect([irq.desc.depth, bench.take().length]).toEqual([0, 1]);
  });

  test('C-087 a free gives the name, and a second one breaks a rule', async () => {
    await using bench = await Bench.start();
    const { virq } = bench.ims().alloc();
    const irq = bench.kernel.irqs.request(bench.dev, virq, { hard, name: 'portal' });
    expect(await irq.free()).toBe('portal');
    expect(bench.kernel.irqs.desc(virq).actions).toEqual([]);
    expect(codeOf(() => irq.free())).toBe('EINVAL');
    expect(bench.take()).toHaveLength(1);
  });

  test('C-088 a thread half that is not there is told once; one that is runs once for all wakes', async () => {
    await using bench = await Bench.start();
    const desc = line(bench);
    const { irqs } = bench.kernel;
    const irq = request(bench, desc, { hard: () => 'wake' });
    irqs.handle(desc.virq);
    irqs.handle(desc.virq);
    expect(bench.take()).toHaveLength(1);
    void irq.free();
    let runs = 0;
    const threaded = request(bench, desc, { hard: () => 'wake', thread: () => runs++ });
    for (let n = 0; n < 3; n++) irqs.handle(desc.virq);
    irqs.drain();
    expect(runs).toBe(1);
    irqs.handle(desc.virq);
    irqs.drain();
    expect(runs).toBe(2);
    await threaded.free();
    irqs.core.freeDescs(desc.virq, 1);
  });

  test('C-088 a wake while the thread half waits makes it run once more', async () => {
    await using bench = await Bench.start();
    const desc = line(bench);
    const { irqs } = bench.kernel;
    let open!: () => void;
    const gate = new Promise<void>((resolve) => (open = resolve));
    let runs = 0;
    const irq = request(bench, desc, {
      hard: () => 'wake',
      thread: async () => {
        runs++;
        await gate;
      },
    });
    irqs.handle(desc.virq);
    irqs.drain();
    for (let n = 0; n < 3; n++) irqs.handle(desc.virq);
    irqs.drain();
    expect(runs).toBe(1);
    const free = irq.free();
    expect(free).toBeInstanceOf(Promise);
    open();
    await free;
    expect(runs).toBeLessThanOrEqual(2);
    irqs.core.freeDescs(desc.virq, 1);
  });

  test('C-089 a handler that frees or waits for itself breaks a rule', async () => {
    await using bench = await Bench.start();
    const domain = bench.ims();
    const { virq } = domain.alloc();
    const codes: string[] = [];
    const irq: IrqHandle = bench.kernel.irqs.request(bench.dev, virq, () => {
      codes.push(
        codeOf(() => irq.free()),
        codeOf(() => irq.synchronize()),
        codeOf(() => irq.disable()),
      );
    });
    bench.fire(domain, 0);
    expect(codes).toEqual(['EINVAL', 'EINVAL', 'EINVAL']);
    expect([...new Set(bench.take())].toSorted()).toEqual(['free-in-handler', 'synchronize-in-handler']);
    expect([irq.held, irq.desc.depth]).toEqual([true, 0]);
  });

  test('C-089 a level stays masked until its oneshot thread half is done', async () => {
    await using bench = await Bench.start();
    const log: string[] = [];
    const chip: IrqChip = { name: 'test', mask: () => void log.push('mask'), unmask: () => void log.push('unmask'), ack() {} };
    const desc = line(bench, chip, handleLevel);
    const irq = request(bench, desc, { thread: () => void log.push('thread'), oneshot: true, trigger: 'high' });
    log.length = 0;
    bench.kernel.irqs.handle(desc.virq);
    expect(log).toEqual(['mask']);
    bench.kernel.irqs.drain();
    expect(log).toEqual(['mask', 'thread', 'unmask']);
    await irq.free();
    bench.kernel.irqs.core.freeDescs(desc.virq, 1);
  });
});
