import { describe, expect, test } from 'vitest';
import { type Driver, Errno, type PciDriver, System, describeError } from 'backplane';
import { hostSim } from 'backplane/plugins/host-sim';
import { ID, machineWith, plain, pluginOf } from './fixture.js';

/** What `throw` takes and hardly anybody expects. */
const odd: readonly (readonly [string, unknown])[] = [
  ['undefined', undefined],
  // oxlint-disable-next-line unicorn/no-null -- what others throw
  ['null', null],
  ['a string', 'boo'],
  ['a frozen object', Object.freeze({})],
  ['an object without prototype', Object.create(null)],
  [
    'an object whose text throws',
    {
      toString: () => {
        throw new Error('no text');
      },
    },
  ],
];

describe('describeError', () => {
  test.each(odd)('has a line for %s', (_name, value) => {
    expect(describeError(value)).toMatch(/./);
    expect(describeError(new AggregateError([value]))).toMatch(/./);
  });
});

describe.each(odd)('a driver that throws %s', (_name, value) => {
  const thrower = (): never => {
    throw value;
  };
  const cases: Record<string, Partial<Driver>> = {
    probe: { probe: thrower },
    'asynchronous probe': { probe: async () => thrower() },
    remove: { remove: thrower },
    release: { probe: (dev) => void dev.devres.defer('throws', thrower) },
    syncState: { syncState: thrower },
  };
  test.each(Object.entries(cases))('in %s leaves nothing behind', async (_where, callbacks) => {
    const driver = { name: 'odd', ids: [ID], probe: () => {}, ...callbacks } as PciDriver;
    const system = await System.start(machineWith(plain).plugin);
    await system.load(pluginOf(driver, 'odd'));
    await system.unload('odd').catch(() => {});
    expect(system.tree().toString()).not.toContain('odd');
    expect(system.kernel.pci.bus.drivers).toEqual([]);
    await system.stop();
    expect([system.core.buses.size, system.core.order.size, system.core.idle]).toEqual([0, 0, true]);
  });
});

describe('a listener that throws', () => {
  const thrower = (): never => {
    throw new Error('listener');
  };

  test('on violations does not replace the error of who broke the rule', async () => {
    await using system = await System.start(machineWith(plain).plugin);
    system.core.violations.on(thrower);
    const dev = system.device('0000:00:01.0');
    expect(() => system.core.add(dev)).toThrow('EINVAL: 0000:00:01.0: was added before');
  });

  test('on the log does not reach who writes to it, and is told in it', async () => {
    await using system = await System.start(hostSim().plugin);
    const { log } = system.core;
    log.follow(thrower);
    log.write('info', 'test', 'hello');
    expect(log.records().slice(-2)).toMatchObject([{ text: 'hello' }, { who: 'log', text: 'a follower threw: Error: listener' }]);
  });
});

test('an Errno of a callback is thrown as it is', async () => {
  await using system = await System.start(machineWith(plain).plugin);
  const error = new Errno('EIO', 'probe: no');
  const driver = {
    name: 'fails',
    ids: [ID],
    probe: () => {
      throw error;
    },
  };
  await system.kernel.pci.register(driver);
  await expect(async () => system.core.bind(system.device('0000:00:01.0'), driver)).rejects.toBe(error);
});
