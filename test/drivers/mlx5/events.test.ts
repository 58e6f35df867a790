import { describe, expect, test } from 'vitest';
import type { Mlx5CqTarget } from '../../../drivers/mlx5/api.js';
import { CQE_SYNDROMES, CQ_ERROR_OVERRUN, EQE, EVENTS, UAR_EQ_ARM } from '../../../hw/regs/nic.js';
import { EQ_SPARE, EQ_STATES } from '../../../hw/regs/nic-contexts.js';
import { NicBench, codeOf } from './fixture.js';

/** A completion queue that counts. */
class Counter implements Mlx5CqTarget {
  completions = 0;
  readonly failures: number[] = [];
  onCompleted: (() => void) | undefined = undefined;
  completed(): void {
    this.completions++;
    this.onCompleted?.();
  }
  failed(syndrome: number): void {
    this.failures.push(syndrome);
  }
}

/** A bench with completion vector 0 and a completion queue on it that no hardware has. */
async function counting(): Promise<{ bench: NicBench; eqn: number; cq: Counter }> {
  const bench = await NicBench.start({ profile: { sfs: 0 }, recovers: false });
  const eqn = await bench.core.compEqn(0);
  const cq = new Counter();
  bench.core.addCq(eqn, 7, cq);
  return { bench, eqn, cq };
}

/** Until nothing is on its way: what is written, and what interrupts. */
function quiet({ sim }: NicBench): void {
  do sim.drain();
  while (sim.drain());
}

describe('event queues', () => {
  test('13 have the sizes of Linux', async () => {
    await using bench = await NicBench.start();
    const { core } = bench;
    await core.compEqn(0);
    const all = [...core.eqs.asyncEqs, ...core.eqs.completionEqs];
    expect(all.map(({ name, logSize }) => [name, logSize])).toEqual([
      ['cmd', 8],
      ['async', 13],
      ['pages', 8],
      ['comp0', 11],
    ]);
    expect(core.eqs.asyncEqs.map(({ eqn }) => bench.silicon.pf.eqs[eqn]?.state)).toEqual(Array(3).fill(EQ_STATES.armed));
  });

  test('13 there is none for pages where the firmware asks for none', async () => {
    await using bench = await NicBench.start({ profile: { pageRequests: false } });
    expect(bench.core.eqs.asyncEqs.map(({ name }) => name)).toEqual(['cmd', 'async']);
  });

  test('14 an entry is software’s when its owner is the parity of the rounds', async () => {
    const { bench, eqn, cq } = await counting();
    await using _ = bench;
    const [eq] = bench.core.eqs.completionEqs;
    const model = bench.silicon.pf.eqs[eqn]!;
    for (let n = 0; n < 2048; n++) {
      model.postCompletion(7);
      if (n % 100 === 99) bench.sim.drain();
    }
    bench.sim.drain();
    expect([eq!.consumer, cq.completions, eq!.hasEntry]).toEqual([2048, 2048, false]);
    model.postCompletion(7);
    expect(eq!.hasEntry).toBe(true);
    bench.sim.drain();
    expect([eq!.consumer, cq.completions]).toEqual([2049, 2049]);
  });

  test('no more than the spare entries are handled between two arms, and the rest comes with the next interrupt', async () => {
    const { bench, eqn, cq } = await counting();
    await using _ = bench;
    const [eq] = bench.core.eqs.completionEqs;
    const model = bench.silicon.pf.eqs[eqn]!;
    for (let n = 0; n < 300; n++) model.postCompletion(7);
    expect(bench.core.pollEq(eqn)).toBe(EQ_SPARE);
    quiet(bench);
    expect([eq!.consumer, cq.completions, model.state]).toEqual([300, 300, EQ_STATES.armed]);
  });

  test('16 a completion queue that is not there is a line for debugging, and no more', async () => {
    const { bench, eqn, cq } = await counting();
    await using _ = bench;
    const [eq] = bench.core.eqs.completionEqs;
    const model = bench.silicon.pf.eqs[eqn]!;
    model.postCompletion(99);
    quiet(bench);
    expect([eq!.consumer, cq.completions, model.state, model.consumer]).toEqual([1, 0, EQ_STATES.armed, 1]);
    expect(bench.logged('eq_unknown_cq')).toEqual([`completion event for cq 99, which is not on eq ${eqn}`]);
  });

  test('a completion vector has its event queue when it is asked for first, and one alone', async () => {
    await using bench = await NicBench.start({ profile: { sfs: 0 } });
    const { core } = bench;
    bench.takeCommands();
    expect([core.compVectorCount, core.compCpus(2)]).toEqual([8, undefined]);
    expect(() => core.irqOf(2)).toThrow(/ENOENT/);
    const eqns = await Promise.all([core.compEqn(2), core.compEqn(2), core.compEqn(0)]);
    expect(eqns[0]).toBe(eqns[1]);
    expect(bench.takeCommands()).toEqual(['CREATE_EQ', 'CREATE_EQ']);
    expect([String(core.compCpus(2)), core.irqOf(2) > 0, core.hasEq(eqns[2])]).toEqual(['2', true, true]);
    expect(await codeOf(core.compEqn(8))).toBe('EINVAL');
    expect(await codeOf(core.compEqn(-1))).toBe('EINVAL');
  });

  test('what fails on the way is given back, and it can be asked for again', async () => {
    await using bench = await NicBench.start({ profile: { sfs: 0 } });
    const { core, silicon } = bench;
    const before = [core.dev.devres.size, bench.sim.dma.allocatedBytes, core.pci.msixVectorsFree];
    using fault = silicon.inject({ opcode: 0x301, status: 0x08 });
    expect(await codeOf(core.compEqn(3))).toBe('ENOMEM');
    expect([core.dev.devres.size, bench.sim.dma.allocatedBytes, core.pci.msixVectorsFree]).toEqual(before);
    fault.cancel();
    expect(core.hasEq(await core.compEqn(3))).toBe(true);
  });

  test('one vector is enough where Ethernet could be had and is not wanted', async () => {
    await using bench = await NicBench.start({ options: { enableEth: false } });
    expect(bench.core.compVectorCount).toBe(1);
    expect(bench.core.parts.map(({ name }) => name)).toEqual(['mlx5_core.rdma.0']);
  });

  test('20 a completion queue on an event queue that is not there is refused without a command', async () => {
    const { bench, eqn } = await counting();
    await using _ = bench;
    bench.takeCommands();
    expect(() => bench.core.addCq(99, 8, new Counter())).toThrow(/ENOENT/);
    expect(() => bench.core.addCq(0, 8, new Counter())).toThrow(/ENOENT/);
    expect(() => bench.core.addCq(eqn, 7, new Counter())).toThrow(/EEXIST/);
    expect([bench.core.hasEq(99), bench.takeCommands()]).toEqual([false, []]);
  });

  test('one interrupt comes between two arms, and an event that came too late for one at once', async () => {
    const { bench, eqn, cq } = await counting();
    await using _ = bench;
    const model = bench.silicon.pf.eqs[eqn]!;
    let messages = 0;
    using _listener = bench.sim.onMessage(() => messages++);
    for (let n = 0; n < 5; n++) model.postCompletion(7);
    bench.sim.drain();
    expect([messages, cq.completions]).toEqual([1, 5]);
    // While the handler runs.
    cq.onCompleted = () => {
      cq.onCompleted = undefined;
      model.postCompletion(7);
    };
    model.postCompletion(7);
    bench.sim.drain();
    expect([messages, cq.completions]).toEqual([2, 7]);
  });

  test('events that were lost are found by hand', async () => {
    const { bench, eqn, cq } = await counting();
    await using _ = bench;
    bench.silicon.dropInterrupt(eqn);
    bench.silicon.pf.eqs[eqn]!.postCompletion(7);
    bench.sim.drain();
    expect(cq.completions).toBe(0);
    expect([bench.core.pollEq(eqn), cq.completions, bench.core.pollEq(eqn)]).toEqual([1, 1, 0]);
  });

  test('23 a completion queue that is removed while its handler runs is told of nothing more when that is over', async () => {
    const { bench, eqn, cq } = await counting();
    await using _ = bench;
    const { core, sim, silicon } = bench;
    const model = silicon.pf.eqs[eqn]!;
    const order: string[] = [];
    let removing: Promise<unknown> | undefined;
    cq.onCompleted = () => {
      order.push('handler begins');
      // On one thread another CPU gets to it when the handler has returned.
      removing = Promise.resolve()
        .then(() => sim.onCpu(5, () => core.removeCq(eqn, 7)))
        .then(() => order.push('removed'));
      order.push('handler ends');
    };
    model.postCompletion(7);
    sim.drain();
    await removing;
    expect(order).toEqual(['handler begins', 'handler ends', 'removed']);
    model.postCompletion(7);
    sim.drain();
    expect(cq.completions).toBe(1);
    model.fn.event(EVENTS.cqError, 0, (eqe) => eqe.setUint32(EQE.errorCqn, 7, true));
    sim.drain();
    expect(cq.failures).toEqual([]);
    await core.removeCq(eqn, 7);
  });

  test('a completion queue is told that it has failed', async () => {
    const { bench, cq } = await counting();
    await using _ = bench;
    bench.silicon.pf.event(EVENTS.cqError, 0, (eqe) => {
      eqe.setUint32(EQE.errorCqn, 7, true);
      eqe.setUint8(EQE.errorSyndrome, CQ_ERROR_OVERRUN);
    });
    bench.sim.drain();
    expect([cq.failures, CQE_SYNDROMES.flushed]).toEqual([[CQ_ERROR_OVERRUN], 5]);
  });

  test('listeners get what they listen to, those to everything after them, until they are disposed of', async () => {
    await using bench = await NicBench.start();
    const { core } = bench;
    const heard: string[] = [];
    const any = core.events.on('any', ({ type, subType }) => void heard.push(`any ${type} ${subType}`));
    using _port = core.events.on(EVENTS.portChange, (event) => void heard.push(`port ${event.read8(EQE.port) >> 4}`));
    const post = (): void => {
      bench.silicon.pf.event(EVENTS.portChange, 4, (eqe) => eqe.setUint8(EQE.port, 1 << 4));
      bench.sim.drain();
    };
    post();
    any.dispose();
    post();
    expect(heard).toEqual(['port 1', 'any 9 4', 'port 1']);
    expect(() => core.events.on(300, () => {})).toThrow(/ERANGE/);
  });

  test('an event queue that overflows fails the function', async () => {
    const { bench, eqn } = await counting();
    await using _ = bench;
    const { core, silicon } = bench;
    let told = 0;
    using _listener = core.onFailed(() => told++);
    core.eqs.completionEqs[0]!.detach();
    for (let n = 0; n < 2049; n++) silicon.pf.eqs[eqn]!.postCompletion(7);
    await bench.settle(2_000_000);
    expect([core.isFailed, told]).toEqual([true, 1]);
    expect(bench.logged('internal_error')).toEqual(['has failed: syndrome 0x0c']);
    expect(await codeOf(core.compEqn(1))).toBe('ENOLINK');
  });

  test('a doorbell page of one’s own is another one', async () => {
    await using bench = await NicBench.start();
    const uar = await bench.core.allocUar(bench.dev);
    expect(uar.index).not.toBe(bench.core.uar.index);
    expect([uar.offset, uar.barIndex]).toEqual([uar.index * 4096, 0]);
    const violations = bench.silicon.pf.uarViolations;
    uar.write32(UAR_EQ_ARM, (bench.core.eqs.asyncEqs[0]!.eqn << 24) >>> 0);
    bench.sim.drain();
    expect(bench.silicon.pf.uarViolations - violations).toBe(1);
  });
});
