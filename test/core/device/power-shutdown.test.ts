import { describe, expect, test } from 'vitest';
import { Bus, Class, Device, type Driver, deviceCreate } from '../../../core/device/index.js';
import { Errno } from '../../../core/lib/errno.js';
import { Fixture, errno, sync } from './conformance/fixture.js';

describe('shutdown', () => {
  test('goes backwards and leaves every driver bound', () => {
    const f = new Fixture({ skip: ['M'] });
    const driver = f.register('A', 'p');
    for (const name of ['p1', 'p2']) f.add(name);
    expect(f.trace(() => f.core.shutdown())).toEqual(['SH(p2)', 'SH(p1)']);
    expect(f.tb.devicesOf(driver).map((d) => d.name)).toEqual(['p1', 'p2']);
  });

  test('PM-02: per device the class comes first, then the bus or else the driver, under the locks of parent and device', () => {
    const f = new Fixture();
    const said: string[] = [];
    const note = (word: string, dev: Device): void => {
      const busy = [dev.parent, dev].filter((d) => d?.busy === true).map((d) => d?.name);
      said.push(`${word}(${dev.name}) locked ${busy.join(' ')}`);
    };
    const bus = new Bus('own', { shutdown: (dev) => note('bus', dev) });
    const cls = new Class('cls', { shutdownPre: (dev) => note('class', dev), devRelease: () => {} });
    f.core.registerBus(bus);
    f.core.registerClass(cls);
    const a = f.register('A', 'p');
    a.onShutdown = (dev) => note('driver', dev);
    sync(bus.register({ name: 'B', match: () => true, shutdown: (dev: Device) => note('never', dev) } as Driver));
    const par = f.add('p1');
    f.add('p2', { parent: par });
    sync(bus.add(new Device({ name: 'b1', release: () => {} })));
    deviceCreate(f.core, cls, { name: 'c1', parent: par });
    sync(f.core.shutdown());
    expect(said).toEqual(['class(c1) locked p1 c1', 'bus(b1) locked b1', 'driver(p2) locked p1 p2', 'driver(p1) locked p1']);
  });

  test('a bus is asked for unbound devices too, a driver is not', () => {
    const f = new Fixture({ skip: ['M'] });
    const said: string[] = [];
    const bus = new Bus('own', { shutdown: (dev) => void said.push(dev.name) });
    f.core.registerBus(bus);
    sync(bus.add(new Device({ name: 'b1', release: () => {} })));
    const driver = f.register('A', 'p');
    sync(f.core.unbind(f.add('p1'), driver));
    sync(f.core.shutdown());
    expect(said).toEqual(['b1']);
    expect(f.take()).not.toContain('SH(p1)');
  });

  test('what is added afterwards is deferred', () => {
    const f = new Fixture();
    f.register('A', 'p');
    sync(f.core.shutdown());
    expect(f.add('p1').bound).toBe(false);
    expect(f.deferred()).toEqual(['p1']);
  });

  test('queued probes are made before it begins', async () => {
    const f = new Fixture({ skip: ['M', 'N', 'U', 'DC'] });
    const driver = f.driver('A', 'p');
    driver.probeType = 'prefer-asynchronous';
    sync(f.core.registerDriver(f.tb, driver));
    f.add('p1');
    await f.core.shutdown();
    expect(f.take()).toEqual(['P(p1,A)=0', 'SH(p1)']);
  });

  test('every device is called, whatever fails, and no error is lost', () => {
    const f = new Fixture();
    const driver = f.register('A', 'p');
    driver.onShutdown = (dev) => {
      throw new Errno('EIO', dev.name);
    };
    for (const name of ['p1', 'p2']) f.add(name);
    let caught: unknown;
    const tokens = f.trace(() => {
      try {
        sync(f.core.shutdown());
      } catch (error) {
        caught = error;
      }
    });
    expect((caught as AggregateError).errors.map(String)).toEqual(['Errno: EIO: p2', 'Errno: EIO: p1']);
    expect(tokens).toEqual(['SH(p2)', 'L:err:shutdown_failed', 'SH(p1)', 'L:err:shutdown_failed']);
  });

  test('a second one does not call a device again', () => {
    const f = new Fixture({ skip: ['M'] });
    f.register('A', 'p');
    f.add('p1');
    sync(f.core.shutdown());
    expect(f.trace(() => f.core.shutdown())).toEqual([]);
  });

  test('from inside a callback it is refused', () => {
    const f = new Fixture();
    let inside: unknown;
    f.register('A', 'p', () => void (inside = errno(() => f.core.shutdown())));
    f.add('p1');
    expect(inside).toBe('-EDEADLK');
    expect(f.core.probingBlocked).toBe(false);
  });
});
