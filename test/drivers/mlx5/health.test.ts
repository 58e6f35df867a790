import { describe, expect, test } from 'vitest';
import { type Devlink, Devlinks } from '../../../core/index.js';
import { SYNDROMES } from '../../../hw/regs/nic.js';
import { OPCODES, STATUS } from '../../../hw/regs/nic-commands.js';
import { ADDRESS, NicBench, codeOf, openSf } from './fixture.js';

const POLL_US = 2_000_000;
const nop = (bench: NicBench): Promise<string> => codeOf(bench.core.exec(OPCODES.NOP, new Uint32Array(4)));
const devlinkOf = ({ system }: NicBench): Devlink => Devlinks.get(system.core, `pci/${ADDRESS}`);

describe('health', () => {
  test('a function that is well is left alone', async () => {
    await using bench = await NicBench.start();
    await bench.settle(20 * POLL_US);
    expect([bench.core.isFailed, bench.core.health.misses, await nop(bench)]).toEqual([false, 0, 'none']);
  });

  test('firmware that is dead is found out when its counter has stood still for three looks; who waits for it is told', async () => {
    await using bench = await NicBench.start({ recovers: false });
    const { core, silicon } = bench;
    silicon.pf.health.stall();
    const pending = nop(bench);
    await bench.settle(3 * POLL_US);
    expect(core.isFailed).toBe(false);
    await bench.settle(POLL_US);
    expect([core.isFailed, await pending, await nop(bench)]).toEqual([true, 'ENOLINK', 'ENOLINK']);
    expect(bench.logged('internal_error')[0]).toMatch(/^has failed: its health counter stands still at \d+$/);
  });

  test('a syndrome is said once, and is the end', async () => {
    await using bench = await NicBench.start({ recovers: false });
    bench.silicon.pf.health.report(SYNDROMES.fatalHardware, 0x12);
    await bench.settle(5 * POLL_US);
    expect(bench.logged('health')).toEqual(['health: syndrome 0x0b (fatalHardware), extension 0x0012, firmware 0x10000']);
    expect(bench.logged('internal_error')).toEqual(['has failed: syndrome 0x0b']);
  });

  test('an event queue that overruns, as its interrupts are lost, ends the function, which comes back', async () => {
    await using bench = await NicBench.start({ options: { eventEqSize: 64 } });
    const { core, silicon } = bench;
    const { ports } = silicon.engine.switch;
    for (const { eqn } of core.eqs.asyncEqs) silicon.dropInterrupt(eqn, 0, 1000);
    // An entry for each; the queue has 256.
    for (let n = 0; n < 257; n++) ports.setCarrier(n % 2 === 1);
    await bench.settle(3 * POLL_US);
    expect(bench.logged('health')[0]).toMatch(/^health: syndrome 0x0c \(eqOverrun\)/);
    expect(bench.logged('internal_error')).toEqual(['has failed: syndrome 0x0c']);
    expect(devlinkOf(bench).reporters()).toMatchObject([{ state: 'healthy', errors: 1, recoveries: 1 }]);
    expect([bench.core.isUp, bench.core.isFailed, await nop(bench)]).toEqual([true, false, 'none']);
  });

  test('heat is said, and no more', async () => {
    await using bench = await NicBench.start();
    bench.silicon.pf.health.report(SYNDROMES.temperature);
    await bench.settle(5 * POLL_US);
    expect([bench.logged('health').length, bench.core.isFailed, await nop(bench)]).toEqual([1, false, 'none']);
  });

  test('a function that does not answer any more is found out, and what waits for it goes on', async () => {
    await using bench = await NicBench.start({ recovers: false });
    const { core, sim } = bench;
    bench.silicon.inject({ opcode: OPCODES.NOP, drop: true });
    const pending = nop(bench);
    await bench.settle();
    sim.yank('06:00.0', { silent: true });
    await bench.settle(POLL_US);
    expect([core.isFailed, await pending]).toEqual([true, 'ENOLINK']);
    expect(bench.logged('internal_error')).toEqual(['has failed: it does not answer']);
  });

  test('a function that has failed goes down without its firmware, is reset, and comes up again', async () => {
    await using bench = await NicBench.start({ recovers: false, profile: { sfs: 0 } });
    const { core } = bench;
    core.fail('of a test');
    bench.takeCommands();
    await core.down();
    expect([bench.takeCommands(), core.pages.count]).toEqual([[], 0]);
    await core.up();
    expect([core.isFailed, core.isUp, await nop(bench)]).toEqual([false, true, 'none']);
  });

  test('with a function that fails, its sub-functions do', async () => {
    await using bench = await NicBench.start({ recovers: false, profile: { sfs: 2 } });
    const sf = await openSf(bench, 0);
    bench.core.fail('of a test');
    expect(sf.isFailed).toBe(true);
    expect(await codeOf(sf.exec(OPCODES.NOP, new Uint32Array(4)))).toBe('ENOLINK');
    await sf.down();
    bench.core.fail('again');
    expect(bench.logged('internal_error')).toEqual(['has failed: of a test', 'has failed: so has the function that it is of']);
  });

  test('what is not undone in time may be alive: the function has failed, and reaches no memory', async () => {
    await using bench = await NicBench.start({ recovers: false, profile: { sfs: 0 } });
    const { core, dev, silicon, sim, system } = bench;
    const eqn = await core.compEqn(0);
    const model = silicon.pf.eqs[eqn]!;
    silicon.inject({ opcode: OPCODES.DESTROY_EQ, drop: true, times: 1 });
    await system.core.unbind(dev);
    expect(bench.logged('internal_error')).toEqual(['has failed: DESTROY_EQ(0x302) was not answered']);
    model.postCompletion(1);
    expect([sim.iommuFaults, sim.dma.allocatedBytes]).toEqual([[], 0]);
    await system.core.attach(dev);
    expect(bench.core.isUp).toBe(true);
  });
});

describe('recovery of a function that has failed', () => {
  test('is made at once: it is reset, comes up with its parts, and works', async () => {
    await using bench = await NicBench.start({ profile: { sfs: 0 } });
    const { core, silicon } = bench;
    const eqn = await core.compEqn(0);
    const parts = core.parts.map(({ name }) => name);
    silicon.pf.health.report(SYNDROMES.fatalHardware);
    await bench.settle(2 * POLL_US);
    expect(bench.logged('internal_error')).toEqual(['has failed: syndrome 0x0b']);
    expect(bench.logged('recovery')).toEqual(['starting health recovery flow', 'health recovery succeeded']);
    expect([core.isFailed, core.isUp, core.parts.map(({ name }) => name), await nop(bench)]).toEqual([
      false,
      true,
      parts,
      'none',
    ]);
    expect([core.hasEq(eqn), await core.compEqn(0), core.health.syndrome]).toEqual([false, eqn, SYNDROMES.none]);
    expect(devlinkOf(bench).reporters()).toEqual([
      { name: 'fw_fatal', state: 'healthy', errors: 1, recoveries: 1, gracePeriodMs: 60_000, autoRecover: true },
    ]);
  });

  test('is not made again within a minute; after that it is, and by hand always', async () => {
    await using bench = await NicBench.start({ profile: { sfs: 0 } });
    const { core } = bench;
    const devlink = devlinkOf(bench);
    const fail = async (): Promise<boolean> => {
      core.fail('of a test');
      await bench.settle(1_000_000);
      return core.isFailed;
    };
    expect([await fail(), await fail(), await nop(bench)]).toEqual([false, true, 'ENOLINK']);
    expect(bench.logged('not_recovered')).toEqual([
      'is not recovered: ECANCELED: health reporter fw_fatal: has failed again: not recovered',
    ]);
    expect(devlink.reporters()).toMatchObject([{ state: 'error', errors: 2, recoveries: 1 }]);
    await devlink.recover('fw_fatal');
    expect([core.isFailed, await nop(bench)]).toEqual([false, 'none']);
    await bench.settle(60_000_000);
    expect([await fail(), await nop(bench)]).toEqual([false, 'none']);
    expect(devlink.reporters()).toMatchObject([{ state: 'healthy', errors: 3, recoveries: 3 }]);
  });

  test('is not tried on one that is gone', async () => {
    await using bench = await NicBench.start({ profile: { sfs: 0 } });
    bench.sim.yank('06:00.0', { silent: true });
    await bench.settle(2 * POLL_US);
    expect([bench.core.isFailed, bench.logged('recovery')]).toEqual([true, []]);
    expect(bench.logged('not_recovered')).toEqual([
      'is not recovered: EIO: health recovery flow aborted, PCI reads still not working',
    ]);
  });

  test('that does not work leaves it down; it can be started anew', async () => {
    await using bench = await NicBench.start({ profile: { sfs: 0 } });
    const { core, silicon } = bench;
    silicon.inject({ opcode: OPCODES.INIT_HCA, status: STATUS.internal, times: 1 });
    core.fail('of a test');
    await bench.settle(1_000_000);
    expect([core.isUp, core.parts, devlinkOf(bench).reporters()[0]!.state]).toEqual([false, [], 'error']);
    expect(bench.logged('not_recovered')[0]).toMatch(/^is not recovered: EIO: .*INIT_HCA/);
    await devlinkOf(bench).reload();
    expect([core.isUp, await nop(bench)]).toEqual([true, 'none']);
    const commands = bench.takeCommands().length;
    await devlinkOf(bench).recover('fw_fatal');
    // It is up already.
    expect([bench.takeCommands(), commands > 0, devlinkOf(bench).reporters()[0]!.state]).toEqual([[], true, 'healthy']);
  });

  test('and its unbinding do not get into each other’s way', async () => {
    for (const turns of [0, 1, 2, 5, 20, 100]) {
      const bench = await NicBench.start({ profile: { sfs: 2 } });
      bench.core.fail('of a test');
      for (let n = 0; n < turns; n++) await Promise.resolve();
      await bench.system.core.unbind(bench.dev);
      expect([bench.dev.devres.size, bench.sim.dma.allocatedBytes]).toEqual([0, 0]);
      await bench[Symbol.asyncDispose]();
    }
  });
});
