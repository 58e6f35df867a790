import { describe, expect, test } from 'vitest';
import type { Device } from '../../../../core/device/index.js';
import { Fixture, asyncDriver, errno, errnoLater, gate, sync, turns } from './fixture.js';

describe('waiting for itself', () => {
  const refused = async (op: (fx: Fixture, dev: Device) => unknown, how: 'probe' | 'remove'): Promise<unknown[]> => {
    const fx = new Fixture();
    const results: unknown[] = [];
    const step = async (dev: Device): Promise<void> => {
      results.push(await errnoLater(async () => void (await op(fx, dev))));
      await Promise.resolve();
      results.push(await errnoLater(async () => void (await op(fx, dev))));
    };
    const driver = {
      name: 'A',
      ...(how === 'probe' ? { probe: async (dev: Device) => step(dev) } : { remove: async (dev: Device) => step(dev) }),
    };
    await fx.core.registerDriver(fx.nb, driver);
    const dev = fx.device('d1', { bus: fx.nb });
    await fx.core.add(dev);
    await fx.core.unbind(dev);
    expect([dev.busy, dev.driver]).toEqual([false, undefined]);
    return results;
  };
  const both = ['-EDEADLK', '-EDEADLK'];

  describe.each(['probe', 'remove'] as const)('in %s, before and after an await', (how) => {
    test('ASY-24: waiting for all probes is EDEADLK', async () => {
      expect(await refused((fx) => fx.core.settle(), how)).toEqual(both);
    });

    test('ASY-24: blocking probes is EDEADLK, and they are not blocked', async () => {
      const blocked: boolean[] = [];
      const op = async (fx: Fixture): Promise<void> => {
        blocked.push(fx.core.probingBlocked);
        await fx.core.blockProbing();
      };
      expect(await refused(op, how)).toEqual(both);
      expect(blocked).toEqual([false, false]);
    });

    test('UBL-04: removing or unbinding the own device is EDEADLK', async () => {
      expect(await refused((fx, dev) => fx.core.remove(dev), how)).toEqual(both);
      expect(await refused((fx, dev) => fx.core.unbind(dev), how)).toEqual(both);
      expect(await refused((fx, dev) => fx.core.attach(dev), how)).toEqual(both);
    });

    test('ASY-26: unregistering the own driver is EDEADLK', async () => {
      expect(await refused((fx) => fx.core.unregisterDriver(fx.nb, fx.nb.drivers[0]!), how)).toEqual(both);
    });
  });

  test('unbinding a device from its own notification is EDEADLK and reported', () => {
    const fx = new Fixture();
    const results: unknown[] = [];
    fx.register('A', 'd');
    fx.tb.notifier.on((event, dev) => {
      if (event === 'BOUND') results.push(errno(() => fx.core.unbind(dev)));
    });
    expect(fx.add('d1').bound).toBe(true);
    expect(results).toEqual(['-EDEADLK']);
  });

  test('a job that a probe left running is no part of it: it may remove the device', async () => {
    const fx = new Fixture();
    const hold = gate();
    const slow = gate();
    let late: Promise<unknown> | undefined;
    const driver = {
      name: 'A',
      probe: async (dev: Device): Promise<void> => {
        late = hold.wait.then(async () => {
          await fx.core.settle();
          await fx.core.remove(dev);
        });
        await Promise.resolve();
      },
      remove: () => slow.wait,
    };
    await fx.core.registerDriver(fx.nb, driver);
    const dev = fx.device('d1', { bus: fx.nb });
    await fx.core.add(dev);
    hold.open();
    slow.open();
    await late;
    expect(dev.registered).toBe(false);
  });

  test('an asynchronous probe that another probe set going is no part of it', async () => {
    const fx = new Fixture();
    sync(
      fx.core.registerDriver(
        fx.tb,
        asyncDriver(fx, 'K', 'kid', (dev) => void fx.core.unbind(dev.parent!)),
      ),
    );
    const driver = {
      name: 'A',
      probe: async (dev: Device): Promise<void> => {
        await Promise.resolve();
        await fx.core.add(fx.device('kid', { parent: dev }));
        await turns();
      },
    };
    await fx.core.registerDriver(fx.nb, driver);
    const dev = fx.device('d1', { bus: fx.nb });
    await fx.core.add(dev);
    await fx.core.settle();
    expect([fx.tb.find('kid')?.bound, dev.bound]).toEqual([true, false]);
  });
});
