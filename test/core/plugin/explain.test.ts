import { describe, expect, test } from 'vitest';
import { Errno, PciDriver, type Plugin, System, defer, injectable, pciId } from '../../../core/index.js';
import { hostOf, partPlugin, plugin } from './fixture.js';

describe('explain', () => {
  const start = (...plugins: Plugin[]): Promise<System> => System.start(hostOf(1).plugin, ...plugins);
  const failing = (error: () => unknown): Plugin => {
    @injectable()
    class Failing implements PciDriver<void> {
      readonly name = 'failing';
      readonly ids = [pciId(0x1234, 1)];
      probe(): void {
        throw error();
      }
    }
    return plugin('failing', ({ bind }) => bind(PciDriver).to(Failing));
  };

  test('a bound device names its driver, and why the others are not it', async () => {
    await using system = await start(partPlugin('a', 1), partPlugin('b', 2), partPlugin('c', 1));
    const why = system.explain('0000:00:01.0');
    expect(why).toMatchObject({ state: 'bound', text: 'to driver a' });
    expect(why.drivers.map(({ driver, verdict }) => `${driver} ${verdict}`)).toEqual(['a bound', 'b differs', 'c matches']);
    expect(why.drivers[1]!.text).toContain('does not match: ');
    expect(why.drivers[2]!.text).toBe('matches, but a is bound');
    expect(String(why)).toContain('0000:00:01.0: bound: to driver a\n  a: is bound\n');
  });

  test('without any driver says so', async () => {
    await using system = await start();
    expect(String(system.explain('0000:00:01.0'))).toBe(
      '0000:00:01.0: unbound: bus pci has no driver: load a plugin that brings one\n',
    );
  });

  test('a probe that failed is quoted', async () => {
    await using system = await start(failing(() => new Errno('EIO', 'no answer')));
    const why = system.explain('0000:00:01.0');
    expect(why).toMatchObject({ state: 'unbound', text: 'a driver matches and is not bound' });
    expect(why.drivers[0]!.text).toBe('matches; at 0 us: probe of driver failing failed: EIO: no answer');
  });

  test('a deferral names the driver and its reason', async () => {
    await using system = await start(failing(() => defer('waiting for clk0')));
    expect(system.explain('0000:00:01.0')).toMatchObject({ state: 'deferred', text: 'failing: waiting for clk0' });
  });

  test('an override that names another driver is told', async () => {
    await using system = await start(partPlugin('b', 2));
    system.device('0000:00:01.0').driverOverride = 'vfio';
    expect(system.explain('0000:00:01.0').drivers).toEqual([
      { driver: 'b', verdict: 'overridden', text: 'driver_override names vfio' },
    ]);
  });

  test('a device that was removed is gone', async () => {
    await using system = await start();
    const dev = system.device('0000:00:01.0');
    await system.core.remove(dev);
    expect(system.explain(dev)).toMatchObject({ state: 'gone', drivers: [] });
  });

  test('a device on no bus says so', async () => {
    await using system = await start(partPlugin('a', 1));
    expect(system.explain('part0')).toMatchObject({ state: 'unbound', text: 'it is on no bus' });
  });
});
