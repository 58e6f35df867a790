import { describe, expect, test } from 'vitest';
import type { DsaDevice } from '../../../hw/models/dsa/index.js';
import * as DSA from '../../../hw/regs/dsa.js';
import { ADDRESS, Bench, stub } from './fixture.js';
import { SMALL } from './harness.js';

const SLOW = { descriptorUs: 1000, commandCap: 0x7ffe };

/** Queues 0 and 1 are enabled. */
async function enabled(): Promise<Bench> {
  const bench = await Bench.start({ profile: SLOW, more: [stub] });
  await bench.configure(0);
  await bench.configure(1, { size: 8, group_id: 0, name: 'second' });
  await bench.write('group0.0', 'read_buffers_reserved', 8);
  await bench.bind('dsa0');
  for (const name of ['wq0.0', 'wq0.1']) await bench.bind(name, 'stub');
  bench.takeWire();
  return bench;
}

const states = (bench: Bench): string[] => ['dsa0', 'wq0.0', 'wq0.1'].map((name) => bench.read(name, 'state'));

describe('recovery from a halt', () => {
  test('D25 a software reset leaves the device as probe does: disabled, without configuration, and ready for one', async () => {
    await using bench = await enabled();
    bench.silicon.halt('software');
    bench.sim.drain();
    expect(states(bench)).toEqual(['halted', 'enabled', 'enabled']);
    await bench.settle(1000);
    expect(states(bench)).toEqual(['disabled', 'disabled', 'disabled']);
    expect([bench.read('wq0.1', 'size'), bench.read('engine0.0', 'group_id')]).toEqual(['0', '-1']);
    const wire = bench.takeWire().filter((what) => /w32 (CMD|GENCTRL)/.test(what));
    expect(wire).toEqual(['w32 GENCTRL 0x3', 'w32 CMD 0x80500000', 'w32 GENCTRL 0x3']);
    await bench.configure();
    await bench.bind('dsa0');
    await bench.bind('wq0.0', 'stub');
    expect([states(bench)[1], bench.logged('halted')]).toEqual(['enabled', ['dsa0: has halted: needs a software reset']]);
  });

  test('D25 after a function-level reset configuration and drivers are as they were', async () => {
    await using bench = await enabled();
    bench.silicon.halt('flr');
    await bench.settle(200_000);
    expect(states(bench)).toEqual(['enabled', 'enabled', 'enabled']);
    expect([bench.read('wq0.1', 'size'), bench.read('wq0.1', 'name'), bench.read('group0.0', 'read_buffers_reserved')]).toEqual([
      '8',
      'second',
      '8',
    ]);
    bench.post(1, DSA.OPCODES.noop);
    expect(await bench.idxd.commands.run('drainWq', 2)).toEqual({ status: 0, result: 0 });
  });

  test('D25 a queue that does not come back after a function-level reset keeps the others from nothing', async () => {
    await using bench = await enabled();
    bench.silicon.halt('flr');
    await bench.settle(50_000);
    // Its driver is not there any more when the device is.
    await bench.system.unload('stub');
    await bench.settle(200_000);
    expect(states(bench)).toEqual(['enabled', 'disabled', 'disabled']);
    expect(bench.logged('rebind_failed')).toHaveLength(2);
  });

  test.each([0, 3, 6, 9, 12])(
    'D25 a halt in the middle of a recovery, %d turns after the reset, ends in one that is configured as before',
    async (turns) => {
      await using bench = await enabled();
      bench.silicon.halt('flr');
      await bench.settle(10);
      while (bench.read('dsa0', 'state') === 'halted') {
        bench.sim.elapse(1000);
        await Promise.resolve();
      }
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      expect(bench.wq(1).isEnabled).toBe(false);
      bench.silicon.halt('flr');
      await bench.settle(400_000);
      expect(states(bench)[0]).not.toBe('halted');
      expect([bench.read('wq0.1', 'size'), bench.read('wq0.1', 'name')]).toEqual(['8', 'second']);
      for (const [name, driver] of [
        ['dsa0', 'idxd'],
        ['wq0.0', 'stub'],
        ['wq0.1', 'stub'],
      ] as const) {
        if (!bench.part(name).bound) await bench.bind(name, driver);
      }
      expect(states(bench)).toEqual(['enabled', 'enabled', 'enabled']);
    },
  );

  test.each(['warm', 'cold'] as const)('D25 a device that needs a %s reset stays halted, and can be unbound', async (needed) => {
    await using bench = await enabled();
    bench.silicon.halt(needed);
    await bench.settle(200_000);
    expect(states(bench)).toEqual(['halted', 'enabled', 'enabled']);
    await expect(bench.bind('wq0.0', 'stub')).rejects.toThrow('EBUSY');
    await bench.unbind('dsa0');
    expect(states(bench)).toEqual(['halted', 'disabled', 'disabled']);
    await expect(bench.bind('dsa0')).rejects.toThrow('ENXIO: dsa0: is halted, not disabled');
    await expect(bench.bind('wq0.0', 'stub')).rejects.toThrow('ENXIO: wq0.0: dsa0 is halted');
    expect(bench.takeWire().filter((what) => what.includes('CMD'))).toEqual([]);
  });

  test.each(['software', 'flr', 'cold'] as const)(
    'D25 commands that are under way and queued when it needs a %s reset end',
    async (needed) => {
      await using bench = await enabled();
      bench.post(0, DSA.OPCODES.noop);
      const { commands } = bench.idxd;
      const answers = Promise.all([commands.run('drainWq', 1), commands.run('drainAll'), commands.run('requestHandle', 1)]);
      await bench.settle(10);
      bench.silicon.halt(needed);
      expect((await answers).map(({ status }) => status)).toEqual(Array(3).fill(DSA.ERRORS.hardware));
      await bench.settle(200_000);
    },
  );

  test('a device that refuses to be disabled is cut off from memory before that of its log goes, and is reset', async () => {
    await using bench = await enabled();
    const { commands } = bench.idxd;
    const run = commands.run.bind(commands);
    commands.run = (command, operand) =>
      command === 'disableDevice' ? Promise.resolve({ status: 3, result: 0 }) : run(command, operand);
    await expect(bench.unbind('dsa0')).rejects.toThrow('EIO: dsa0: not disabled: status 0x3');
    commands.run = run;
    expect([bench.logged('cut_off').length, bench.silicon.context.endpoint.busMaster, states(bench)[0]]).toEqual([
      1,
      false,
      'halted',
    ]);
    await bench.settle(200_000);
    expect([bench.silicon.context.endpoint.busMaster, states(bench)]).toEqual([true, ['disabled', 'disabled', 'disabled']]);
    await bench.configure();
    await bench.bind('dsa0');
    await bench.bind('wq0.0', 'stub');
    expect(states(bench)).toEqual(['enabled', 'enabled', 'disabled']);
  });

  test('D25 a halt while the device is being enabled fails that, and is recovered from', async () => {
    await using bench = await Bench.start();
    await bench.configure();
    const bound = bench.bind('dsa0');
    bench.silicon.halt('software');
    await expect(bound).rejects.toThrow('ENXIO: dsa0');
    await bench.settle(1000);
    expect([bench.read('dsa0', 'state'), bench.part('dsa0').bound]).toEqual(['disabled', false]);
    await bench.configure();
    await bench.bind('dsa0');
    expect(bench.read('dsa0', 'state')).toBe('enabled');
  });

  test('D25 a halt at any turn of a probe that enables the device leaves it unbound, disabled, or as it was, and nothing behind', async () => {
    const ends: string[] = [];
    for (let turns = 0; turns < 40; turns++) {
      let silicon: DsaDevice | undefined;
      const starting = Bench.start({ profile: { ...SMALL, readOnlyConfig: true }, prepare: (made) => (silicon = made) });
      while (silicon === undefined) await Promise.resolve();
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      silicon.halt('flr');
      await using bench = await starting;
      await bench.settle(200_000);
      ends.push(bench.system.device(ADDRESS).bound ? bench.read('dsa0', 'state') : 'unbound');
    }
    expect([...new Set(ends)]).toEqual(['unbound', 'disabled', 'enabled']);
  });

  test('D25 a halt of a device that is disabled is recovered from as well, and leaves what was configured to nobody', async () => {
    await using bench = await Bench.start();
    await bench.configure();
    bench.silicon.halt('software');
    await bench.settle(1000);
    expect([bench.read('dsa0', 'state'), bench.read('wq0.0', 'size')]).toEqual(['disabled', '0']);
  });

  test('a driver that goes in the middle of a recovery waits for it', async () => {
    await using bench = await enabled();
    bench.silicon.halt('flr');
    await bench.settle(50_000);
    const before = bench.sim.clock.now();
    await bench.system.unload('stub');
    await bench.system.unload('idxd');
    expect([bench.sim.clock.now() - before > 40_000, bench.system.kernel.irqs.list()]).toEqual([true, []]);
  });
});
