import { describe, expect, test } from 'vitest';
import { SYNDROMES } from '../../../hw/regs/nic.js';
import { OPCODES } from '../../../hw/regs/nic-commands.js';
import { NicBench, codeOf, openSf } from './fixture.js';

const POLL_US = 2_000_000;
const nop = (bench: NicBench): Promise<string> => codeOf(bench.core.exec(OPCODES.NOP, new Uint32Array(4)));

describe('health', () => {
  test('a function that is well is left alone', async () => {
    await using bench = await NicBench.start();
    await bench.settle(20 * POLL_US);
    expect([bench.core.isFailed, bench.core.health.misses, await nop(bench)]).toEqual([false, 0, 'none']);
  });

  test('firmware that is dead is found out when its counter has stood still for three looks; who waits for it is told', async () => {
    await using bench = await NicBench.start();
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
    await using bench = await NicBench.start();
    bench.silicon.pf.health.report(SYNDROMES.fatalHardware, 0x12);
    await bench.settle(5 * POLL_US);
    expect(bench.logged('health')).toEqual(['health: syndrome 0x08 (fatalHardware), extension 0x0012, firmware 0x10000']);
    expect(bench.logged('internal_error')).toEqual(['has failed: syndrome 0x08']);
  });

  test('heat is said, and no more', async () => {
    await using bench = await NicBench.start();
    bench.silicon.pf.health.report(SYNDROMES.temperature);
    await bench.settle(5 * POLL_US);
    expect([bench.logged('health').length, bench.core.isFailed, await nop(bench)]).toEqual([1, false, 'none']);
  });

  test('a function that does not answer any more is found out, and what waits for it goes on', async () => {
    await using bench = await NicBench.start();
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
    await using bench = await NicBench.start({ profile: { sfs: 0 } });
    const { core } = bench;
    core.fail('of a test');
    bench.takeCommands();
    await core.down();
    expect([bench.takeCommands(), core.pages.count]).toEqual([[], 0]);
    await core.up();
    expect([core.isFailed, core.isUp, await nop(bench)]).toEqual([false, true, 'none']);
  });

  test('with a function that fails, its sub-functions do', async () => {
    await using bench = await NicBench.start({ profile: { sfs: 2 } });
    const sf = await openSf(bench, 0);
    bench.core.fail('of a test');
    expect(sf.isFailed).toBe(true);
    expect(await codeOf(sf.exec(OPCODES.NOP, new Uint32Array(4)))).toBe('ENOLINK');
    await sf.down();
    bench.core.fail('again');
    expect(bench.logged('internal_error')).toEqual(['has failed: of a test', 'has failed: so has the function that it is of']);
  });

  test('what is not undone in time may be alive: the function has failed, and reaches no memory', async () => {
    await using bench = await NicBench.start({ profile: { sfs: 0 } });
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
