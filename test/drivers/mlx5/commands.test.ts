import { describe, expect, test } from 'vitest';
import { EQN, HEADER, MANAGE_PAGES, OPCODES, STATUS } from '../../../hw/regs/nic-commands.js';
import { getWord, setWord } from '../../../hw/regs/nic-words.js';
import { NicBench, codeOf } from './fixture.js';

const { CREATE_CQ, MODIFY_CQ, NOP, QUERY_CQ } = OPCODES;
const none = (): Uint32Array => new Uint32Array(4);
/** A command that the device knows, and that it refuses where nothing is injected. */
const createCq = (): Uint32Array => new Uint32Array(0x120 / 4);

/** A page request of the firmware that is answered: the only command of the last slot. */
const givePages = (): Uint32Array => {
  const input = none();
  setWord(input, HEADER.opMod, MANAGE_PAGES.cannotGive);
  return input;
};

describe('commands', () => {
  test('6 a status is an error code, and readable to who asks for it', async () => {
    await using bench = await NicBench.start();
    const { core, silicon } = bench;
    const codes: string[] = [];
    const statuses: number[] = [];
    for (const status of [0x06, 0x08, 0x0f, 0x50, 0x77]) {
      using fault = silicon.inject({ opcode: CREATE_CQ, status });
      codes.push(await codeOf(core.exec(CREATE_CQ, createCq())));
      const output = none();
      expect(await codeOf(core.do(CREATE_CQ, createCq(), output))).toBe('EREMOTEIO');
      statuses.push(getWord(output, HEADER.status));
      fault.cancel();
    }
    expect(codes).toEqual(['EBUSY', 'ENOMEM', 'EAGAIN', 'EIO', 'EIO']);
    expect(statuses).toEqual([0x06, 0x08, 0x0f, 0x50, 0x77]);
  });

  test.each([
    [STATUS.internal, 'EIO'],
    [STATUS.badOpcode, 'EINVAL'],
    [STATUS.badParameter, 'EINVAL'],
    [STATUS.badSystemState, 'EIO'],
    [STATUS.badResource, 'EINVAL'],
    [STATUS.notReady, 'EAGAIN'],
    [STATUS.badResourceState, 'EINVAL'],
    [STATUS.index, 'EINVAL'],
    [STATUS.badQpState, 'EINVAL'],
    [STATUS.badPacket, 'EINVAL'],
    [STATUS.badSize, 'EINVAL'],
    [STATUS.outLength, 'EIO'],
  ])('6 status 0x%x is %s', async (status, code) => {
    await using bench = await NicBench.start();
    bench.silicon.inject({ opcode: NOP, status });
    expect(await codeOf(bench.core.exec(NOP, none()))).toBe(code);
  });

  test('7 a command that was not delivered is an error code', async () => {
    await using bench = await NicBench.start();
    const { core, silicon } = bench;
    const codes: string[] = [];
    for (const delivery of [1, 2, 3, 4, 5, 6, 7, 8, 9, 0x10, 0x20]) {
      using _fault = silicon.inject({ opcode: NOP, delivery });
      codes.push(await codeOf(core.exec(NOP, none())));
    }
    const faults = ['EFAULT', 'EFAULT', 'EFAULT'];
    expect(codes).toEqual(['EBADR', 'EBADR', ...faults, 'EIO', 'ENOMSG', 'ENOMSG', 'ENOMSG', 'ENOMSG', 'EINVAL']);
  });

  test('8 a command that is never answered times out after 5 seconds more, and its slot is not used again', async () => {
    await using bench = await NicBench.start();
    const { core, silicon, sim } = bench;
    silicon.inject({ opcode: QUERY_CQ, drop: true });
    const begin = sim.clock.now();
    expect(await codeOf(core.exec(QUERY_CQ, none()))).toBe('ETIMEDOUT');
    expect(sim.clock.now() - begin).toBe(core.commands.timeoutUs + 5_000_000);
    bench.commands.length = 0;
    await Promise.all(Array.from({ length: 40 }, () => core.exec(NOP, none())));
    const slots = new Set(bench.commands.map(({ slot }) => slot));
    expect([slots.has(0), slots.has(31), slots.size]).toEqual([false, false, 30]);
  });

  test('8 without any slot that answers there is no use in waiting', async () => {
    await using bench = await NicBench.start();
    bench.silicon.inject({ opcode: QUERY_CQ, drop: true });
    const lost = Array.from({ length: 31 }, () => codeOf(bench.core.exec(QUERY_CQ, none())));
    expect(new Set(await Promise.all(lost))).toEqual(new Set(['ETIMEDOUT']));
    expect(await codeOf(bench.core.exec(NOP, none()))).toBe('EAGAIN');
  });

  test('8 a late answer frees the slot, and nobody hears it', async () => {
    await using bench = await NicBench.start();
    const { core } = bench;
    bench.silicon.inject({ opcode: NOP, delayUs: core.commands.timeoutUs + 6_000_000, times: 1 });
    expect(await codeOf(core.exec(NOP, none()))).toBe('ETIMEDOUT');
    await bench.settle(2_000_000);
    bench.commands.length = 0;
    await core.exec(NOP, none());
    expect(bench.commands.map(({ slot }) => slot)).toEqual([0]);
  });

  test('8 an answer that comes when the driver is gone reaches no memory, and the next one has all slots', async () => {
    await using bench = await NicBench.start({ profile: { sfs: 0 } });
    const { core, dev, silicon, system } = bench;
    silicon.inject({ opcode: NOP, delayUs: core.commands.timeoutUs + 6_000_000, times: 1 });
    expect(await codeOf(core.exec(NOP, none()))).toBe('ETIMEDOUT');
    await system.core.unbind(dev);
    await bench.settle(10_000_000);
    expect([bench.sim.iommuFaults, bench.sim.dmaFaults, bench.sim.dma.allocatedBytes]).toEqual([[], [], 0]);
    await system.core.attach(dev);
    bench.commands.length = 0;
    await bench.core.exec(NOP, none());
    expect(bench.commands).toMatchObject([{ name: 'NOP', slot: 0 }]);
  });

  test('9 an interrupt that was lost is made good, and said', async () => {
    await using bench = await NicBench.start();
    const { core, silicon, sim } = bench;
    silicon.dropInterrupt(core.eqs.asyncEqs[0]!.eqn);
    const begin = sim.clock.now();
    await core.exec(NOP, none());
    expect(sim.clock.now() - begin).toBe(core.commands.timeoutUs);
    expect(bench.logged('cmd_eq_recovered')).toEqual(['Recovered 1 EQEs on cmd_eq']);
  });

  test('while the event queue of commands comes and goes, nothing else is let through', async () => {
    await using bench = await NicBench.start();
    const { commands } = bench.core;
    await commands.allow([OPCODES.DESTROY_EQ]);
    bench.commands.length = 0;
    expect(await codeOf(commands.do(NOP, none()))).toBe('ENXIO');
    expect(await codeOf(commands.exec(NOP, none()))).toBe('ENOLINK');
    expect(await codeOf(commands.exec(OPCODES.DEALLOC_UAR, none()))).toBe('none');
    expect(await codeOf(commands.exec(0xfff, none()))).toBe('EINVAL');
    expect(bench.commands).toEqual([]);
    const input = none();
    setWord(input, EQN, 60);
    expect(await codeOf(commands.exec(OPCODES.DESTROY_EQ, input))).toBe('EINVAL');
    expect(bench.takeCommands()).toEqual(['DESTROY_EQ']);
    await commands.allow(undefined);
  });

  test('what a function that has failed is asked for, is refused, and what undoes something succeeds', async () => {
    await using bench = await NicBench.start({ recovers: false });
    const { core } = bench;
    bench.silicon.inject({ opcode: QUERY_CQ, drop: true });
    const pending = codeOf(core.exec(QUERY_CQ, none()));
    await bench.settle();
    core.fail('of a test');
    expect(await pending).toBe('ENOLINK');
    const output = none();
    expect(await codeOf(core.exec(MODIFY_CQ, none(), output))).toBe('ENOLINK');
    expect([getWord(output, HEADER.status), getWord(output, HEADER.syndrome)]).toEqual([0xfe, 0xbadd00de]);
    expect(await codeOf(core.do(MODIFY_CQ, none()))).toBe('ENXIO');
    for (const opcode of [OPCODES.DESTROY_CQ, OPCODES.DEALLOC_PD, OPCODES.TEARDOWN_HCA]) {
      expect(await codeOf(core.exec(opcode, none()))).toBe('none');
    }
  });

  test('11 a command about pages has a slot of its own when all others are taken', async () => {
    await using bench = await NicBench.start();
    const { core, silicon, sim } = bench;
    const delayUs = core.commands.timeoutUs + 1_000_000;
    using _slow = silicon.inject({ opcode: QUERY_CQ, delayUs });
    bench.commands.length = 0;
    const slow = Array.from({ length: 31 }, () => codeOf(core.exec(QUERY_CQ, none())));
    await bench.settle();
    const more = Array.from({ length: 3 }, () => codeOf(core.exec(NOP, none())));
    const begin = sim.clock.now();
    await core.exec(OPCODES.MANAGE_PAGES, givePages());
    expect(sim.clock.now() - begin).toBeLessThan(1_000);
    expect(bench.commands.at(-1)).toMatchObject({ name: 'MANAGE_PAGES', slot: 31 });
    expect(bench.commands.filter(({ name }) => name === 'NOP')).toEqual([]);
    // Who is first in line waits for a slot, and the next after it; who is behind them waits for its turn.
    expect(await Promise.all(more)).toEqual(['EBUSY', 'none', 'ECANCELED']);
    expect(new Set(await Promise.all(slow))).toEqual(new Set(['EINVAL']));
  });

  test('what does not fit a descriptor goes and comes in mailboxes', async () => {
    await using bench = await NicBench.start();
    const { core } = bench;
    const pages = core.pages.count;
    bench.silicon.pf.pages.request(300);
    await bench.settle(10_000);
    expect(core.pages.count - pages).toBe(300);
    bench.silicon.pf.pages.request(-300);
    await bench.settle(10_000);
    expect(core.pages.count).toBe(pages);
    expect(bench.takeCommands().filter((name) => name === 'MANAGE_PAGES').length).toBe(4);
    expect(bench.sim.guestErrors).toEqual([]);
  });

  test('firmware that cannot be given what it wants is told so', async () => {
    await using bench = await NicBench.start({ machine: { memoryBytes: 16 * 2 ** 20 } });
    const { pf } = bench.silicon;
    const before = pf.pages.count;
    pf.pages.request(30_000);
    await bench.settle(100_000);
    expect(pf.pages.requested).toBe(0);
    expect(bench.core.pages.count).toBe(pf.pages.count);
    expect(pf.pages.count).toBeGreaterThanOrEqual(before);
    expect(bench.logged('page_request_failed').length).toBe(1);
  });
});
