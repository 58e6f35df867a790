import { describe, expect, test } from 'vitest';
import { offlineCpu, onlineCpu } from '../../../core/index.js';
import type { Mlx5Core } from '../../../drivers/mlx5/mlx5-core.js';
import { SF_BASE_ID } from '../../../hw/regs/nic.js';
import { NicBench, codeOf, openSf } from './fixture.js';

const refs = (bench: NicBench): unknown[] =>
  bench.core.irqTable.pcif.list().map(({ name, refs: count, cpus }) => [name, count, cpus]);

describe('vectors of a function', () => {
  test('34 with one vector everything shares it', async () => {
    await using bench = await NicBench.start({ profile: { msix: 1, sfs: 4 }, machine: { cpus: 4 } });
    await bench.core.compEqn(0);
    expect(refs(bench)).toEqual([['mlx5_combined0@pci:0000:06:00.0', 6, '0']]);
    expect(bench.core.compVectorCount).toBe(1);
  });

  test('35 names, references and CPUs', async () => {
    await using bench = await NicBench.start();
    await bench.core.compEqn(0);
    await bench.core.compEqn(1);
    const control = bench.core.eqs.asyncEqs[0]!.lease;
    expect(String(bench.system.kernel.irqs.affinity(control.virq))).toBe('0-7');
    expect(refs(bench).map((one) => (one as unknown[]).slice(0, 2))).toEqual([
      ['mlx5_async0@pci:0000:06:00.0', 4],
      ['mlx5_comp0@pci:0000:06:00.0', 2],
      ['mlx5_comp1@pci:0000:06:00.0', 2],
    ]);
    expect([0, 1].map((n) => String(bench.core.compCpus(n)))).toEqual(['0', '1']);
  });

  test('35 three references are left where the firmware asks for no pages', async () => {
    await using bench = await NicBench.start({ profile: { pageRequests: false } });
    expect(refs(bench).map((one) => (one as unknown[])[1])).toEqual([3]);
  });

  test('they are given back with their queues', async () => {
    await using bench = await NicBench.start({ profile: { sfs: 0 } });
    await bench.core.compEqn(3);
    await bench.core.down();
    expect(bench.core.irqTable.pcif.list()).toEqual([]);
    expect(bench.core.pci.msixVectorsFree).toBe(63);
  });

  test('36 two sub-functions share a control vector before there is a new one, then all the least loaded', async () => {
    await using bench = await NicBench.start({ profile: { sfs: 256, msix: 2048 }, options: { eventEqSize: 64 } });
    for (let index = 0; index < 10; index++) await openSf(bench, index);
    expect(bench.core.irqTable.sfControl!.list().map(({ name, refs: count }) => [name.split('@')[0], count])).toEqual([
      ['mlx5_sf_ctrl9', 12],
      ['mlx5_sf_ctrl10', 12],
      ['mlx5_sf_ctrl11', 8],
      ['mlx5_sf_ctrl12', 8],
    ]);
  });

  test('completion vectors of a sub-function are on CPUs of their own, and its own', async () => {
    await using bench = await NicBench.start({ profile: { sfs: 4 } });
    const sf = await openSf(bench, 0);
    sf.params.enableEth = true;
    await sf.down();
    await sf.up();
    expect([sf.compVectorCount, sf.isSf, sf.vport, sf.sfnum]).toEqual([8, true, SF_BASE_ID, 0]);
    for (const vector of [0, 1, 2]) await sf.compEqn(vector);
    expect([0, 1, 2].map((n) => String(sf.compCpus(n)))).toEqual(['0', '1', '2']);
    expect(bench.core.irqTable.sfCompletion!.count).toBe(3);
    expect(sf.parts.map(({ name }) => name)).toEqual(['mlx5_core.eth.1']);
    await sf.down();
    expect([bench.core.irqTable.sfCompletion!.count, bench.core.irqTable.sfControl!.count]).toEqual([0, 0]);
  });

  test('a completion vector that could not be had is there once it can', async () => {
    await using bench = await NicBench.start({ profile: { sfs: 0, msix: 6 }, machine: { cpus: 4 } });
    const { core } = bench;
    const taken = Array.from({ length: 5 }, () => core.pci.msixAllocAt());
    for (let n = 0; n < 2; n++) expect(await codeOf(core.compEqn(1))).toBe('EBUSY');
    core.pci.msixFree(taken[0]!);
    expect(await codeOf(core.compEqn(1))).toBe('none');
    expect(await codeOf(core.compEqn(2))).toBe('EBUSY');
  });

  test('when a CPU goes offline its queues go on elsewhere, and who comes then has no queue there', async () => {
    await using bench = await NicBench.start({ profile: { sfs: 4, imsCapacity: 64 }, machine: { cpus: 4 } });
    const { core: irqs } = bench.system.kernel.irqs;
    const up = async (index: number): Promise<Mlx5Core> => {
      const sf = await openSf(bench, index);
      sf.params.enableEth = true;
      await sf.down();
      await sf.up();
      for (let n = 0; n < sf.compVectorCount; n++) await sf.compEqn(n);
      return sf;
    };
    const cpus = (sf: Mlx5Core): string[] => sf.eqs.completionEqs.map(({ lease }) => String(lease.affinity));
    const first = await up(0);
    expect(cpus(first)).toEqual(['0', '1', '2', '3']);
    offlineCpu(irqs, 2);
    expect(cpus(first)).not.toContain('2');
    const second = await up(1);
    expect(cpus(second)).toEqual(['0', '1', '3']);
    for (const sf of [first, second]) {
      const heard: number[] = [];
      for (const [n, { eqn }] of sf.eqs.completionEqs.entries()) {
        sf.addCq(eqn, 1 + n, { completed: () => heard.push(n), failed: () => {} });
        bench.silicon.functionOf(sf.vport)!.eqs[eqn]!.postCompletion(1 + n);
      }
      do bench.sim.drain();
      while (bench.sim.drain());
      expect(new Set(heard)).toEqual(new Set(sf.eqs.completionEqs.keys()));
      expect(heard).toHaveLength(sf.eqs.completionEqs.length);
    }
    onlineCpu(irqs, 2);
    const third = await up(2);
    // Vectors that were made for each CPU decide, not where they are.
    expect([new Set(cpus(third)).size, bench.core.irqTable.sfCompletion!.accounts]).toEqual([4, [3, 3, 2, 3]]);
  });

  test('52 a message in memory interrupts as an entry of the table does, and so it does when it was moved', async () => {
    await using bench = await NicBench.start({ profile: { sfs: 4, msix: 1, imsCapacity: 64 }, machine: { cpus: 4 } });
    const { core } = bench;
    const eqn = await core.compEqn(0);
    const sf = await openSf(bench, 0);
    expect([core.compVectorCount, core.irqTable.pcif.last]).toEqual([4, 4]);
    let completions = 0;
    core.addCq(eqn, 1, { completed: () => completions++, failed: () => {} });
    const post = (): void => {
      bench.silicon.pf.eqs[eqn]!.postCompletion(1);
      do bench.sim.drain();
      while (bench.sim.drain());
    };
    post();
    bench.system.kernel.irqs.setAffinity(core.irqOf(0), [3]);
    post();
    expect([completions, core.irqTable.pcif.list().map(({ source }) => source)]).toEqual([2, ['msix', 'memory']]);
    expect(sf.eqs.asyncEqs[0]!.lease.target.kind).toBe('memory');
  });
});
