import { describe, expect, test } from 'vitest';
import { Commands } from '../../../drivers/idxd/commands.js';
import * as DSA from '../../../hw/regs/dsa.js';
import type { DsaProfile } from '../../../hw/models/dsa/index.js';
import { ADDRESS, Bench, stub } from './fixture.js';

const FIRST = 1;
const HANDLES = 0x7ffe;

/** A device whose first queue works on this many descriptors, which do nothing, one after the other. */
async function busy(descriptors: number, profile: DsaProfile): Promise<Bench> {
  const bench = await Bench.start({ profile: { commandCap: HANDLES, ...profile }, more: [stub] });
  await bench.configure();
  await bench.bind('dsa0');
  await bench.bind('wq0.0', 'stub');
  for (let i = 0; i < descriptors; i++) bench.post(0, DSA.OPCODES.noop);
  bench.takeWire();
  return bench;
}

describe('Commands', () => {
  test('D13 concurrent commands never overlap, run in the order they came, and each caller gets its own answer', async () => {
    await using bench = await busy(3, { descriptorUs: 1000 });
    const { commands } = bench.idxd;
    const answers = await Promise.all([
      commands.run('drainWq', FIRST),
      commands.run('requestHandle', 1),
      commands.run('requestHandle', 100),
      commands.run('enableWq', 9),
      commands.run('drainWq', FIRST),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([0, 0, DSA.ERRORS.tableIndex, DSA.ERRORS.wqIndex, 0]);
    expect(answers.map(({ result }) => result > 0)).toEqual([false, true, false, false, false]);
    const wire = bench.takeWire().filter((what) => /CMD/.test(what));
    const words = ['0x80800001', '0x80d00001', '0x80d00064', '0x80600009', '0x80800001'];
    expect(wire).toEqual(words.flatMap((word) => [`w32 CMD ${word}`, 'r32 CMDSTATUS']));
    expect([bench.sim.guestErrors, bench.sim.clock.now()]).toEqual([[], 3000]);
  });

  test('D13 a command that is polled waits for the one under way, whose caller gets its own answer all the same', async () => {
    await using bench = await busy(3, { descriptorUs: 1000 });
    const { commands } = bench.idxd;
    const drained = commands.run('drainWq', 0x2);
    const both = commands.run('drainWq', FIRST);
    await drained;
    await Promise.resolve();
    const polled = commands.runPolled('requestHandle', 2);
    expect([polled.status, polled.result > 0, bench.sim.clock.now()]).toEqual([0, true, 3000]);
    expect([await drained, await both]).toEqual([
      { status: DSA.ERRORS.wqNotEnabled, result: 0 },
      { status: 0, result: 0 },
    ]);
    expect(bench.sim.guestErrors).toEqual([]);
  });

  test('D13 one that fails does not stop those after it', async () => {
    await using bench = await busy(1, { descriptorUs: 35_000_000 });
    const { commands } = bench.idxd;
    const answers = await Promise.allSettled([commands.run('drainWq', FIRST), commands.run('requestHandle', 1)]);
    expect(answers.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
  });

  test('D14 a lost interrupt is found out by asking the device, and is logged', async () => {
    await using bench = await busy(0, {});
    bench.maskMessages(true);
    const before = bench.sim.clock.now();
    expect(await bench.idxd.commands.run('drainAll')).toEqual({ status: 0, result: 0 });
    expect([bench.sim.clock.now() - before, bench.logged('lost_interrupt').length]).toEqual([10_000, 1]);
  });

  test('D14 one that was late does not end the next command', async () => {
    await using bench = await busy(0, { descriptorUs: 1000 });
    const { commands } = bench.idxd;
    bench.maskMessages(true);
    await commands.run('drainAll');
    bench.post(0, DSA.OPCODES.noop);
    const drained = commands.run('drainWq', FIRST);
    await Promise.resolve();
    const before = bench.sim.clock.now();
    bench.maskMessages(false);
    expect(await drained).toEqual({ status: 0, result: 0 });
    expect([bench.sim.clock.now() - before, bench.silicon.queues[0]!.occupancy, bench.logged('lost_interrupt').length]).toEqual([
      1000, 0, 1,
    ]);
  });

  test('D14 a command that does not end is ETIMEDOUT, and the next one is not written before it has', async () => {
    await using bench = await busy(1, { descriptorUs: 50_000_000 });
    const { commands } = bench.idxd;
    await expect(commands.run('drainWq', FIRST)).rejects.toThrow(
      'ETIMEDOUT: 0000:00:05.0: command drainWq: not done within 30000000 us',
    );
    expect(bench.sim.clock.now()).toBe(30_000_000);
    expect((await commands.run('requestHandle', 1)).status).toBe(0);
    expect([bench.sim.clock.now(), bench.sim.guestErrors]).toEqual([50_000_000, []]);
  });

  test('D14 nor is one that is polled, and a device that never ends anything is ETIMEDOUT each time', async () => {
    await using bench = await busy(1, { descriptorUs: 200_000_000 });
    const { commands } = bench.idxd;
    const late = /^ETIMEDOUT: 0000:00:05.0: /;
    await expect(commands.run('drainWq', FIRST)).rejects.toThrow(late);
    await expect(commands.run('requestHandle', 1)).rejects.toThrow(late);
    expect(bench.takeWire().filter((what) => what.startsWith('w32 CMD'))).toEqual(['w32 CMD 0x80800001']);
    expect(commands.runPolled('requestHandle', 1).status).toBe(0);
    expect([bench.sim.clock.now(), bench.sim.guestErrors]).toEqual([200_000_000, []]);
  });

  test('a device that has halted refuses everything but its reset, unasked', async () => {
    await using bench = await busy(1, { descriptorUs: 1000 });
    const { commands } = bench.idxd;
    bench.maskMessages(true);
    bench.silicon.halt('flr');
    expect(await commands.run('drainAll')).toEqual({ status: DSA.ERRORS.hardware, result: 0 });
    expect(bench.takeWire()).toEqual(['r32 GENSTATUS']);
    bench.maskMessages(false);
    await bench.settle(200_000);
  });

  test('a device that halts while one that took too long is waited for refuses the next', async () => {
    await using bench = await busy(1, { descriptorUs: 200_000_000 });
    const { commands } = bench.idxd;
    await expect(commands.run('drainWq', FIRST)).rejects.toThrow('ETIMEDOUT');
    const next = commands.run('requestHandle', 1);
    await bench.settle(5000);
    bench.takeWire();
    bench.silicon.halt('cold');
    expect(await next).toEqual({ status: DSA.ERRORS.hardware, result: 0 });
    expect(bench.takeWire().filter((what) => what.startsWith('w32 CMD'))).toEqual([]);
  });

  test('a device that is gone is ENODEV', async () => {
    await using bench = await busy(0, {});
    const { commands } = bench.idxd;
    const removal = bench.sim.yank('00:05.0', { silent: true });
    await expect(commands.run('drainAll')).rejects.toThrow('ENODEV: 0000:00:05.0: command drainAll: the device is gone');
    expect(() => commands.runPolled('drainAll')).toThrow('ENODEV: 0000:00:05.0: command drainAll: the device is gone');
    removal.report();
    await bench.system.core.settle();
  });

  test('who waits when the driver goes is told so', async () => {
    await using bench = await busy(0, {});
    bench.maskMessages(true);
    const commands = new Commands(bench.idxd.dev, bench.idxd.regs);
    const waiting = commands.run('drainAll');
    await Promise.resolve();
    commands.stop();
    await expect(waiting).rejects.toThrow(`ENODEV: ${ADDRESS}: its driver is gone`);
  });
});
