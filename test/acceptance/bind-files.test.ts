import { Device } from 'backplane';
import { describe, expect, test } from 'vitest';
import { ADD, BIND, FAIL, Fixture, bound, code, driver } from './fixture.js';

/** A bus with overrides, drivers ovA("obdev") and ovB("zzz"), and obdev7. */
function overriding(): { fx: Fixture; dev: Device } {
  const fx = new Fixture({ driverOverride: true, devName: 'obdev' });
  fx.reg(driver('ovA', 'obdev'));
  fx.reg(driver('ovB', 'zzz'));
  const dev = new Device({ bus: fx.tb, id: 7, release: () => {} });
  void fx.core.add(dev);
  fx.take();
  return { fx, dev };
}

describe('bind and unbind files', () => {
  test('SYS-02: unbind of an unknown and of an unbound device is ENODEV', async () => {
    const fx = bound();
    void fx.core.unbind(fx.tb.find('d1')!);
    fx.take();
    expect(await code(() => fx.write('A', 'unbind', 'nope'))).toBe('ENODEV');
    expect(await code(() => fx.write('A', 'unbind', 'd1'))).toBe('ENODEV');
    expect(fx.take()).toEqual([]);
  });

  test('SYS-04: an empty name is no device', async () => {
    const fx = bound();
    for (const text of ['', '\n', ' d1', 'd1\n\n']) {
      expect(await code(() => fx.write('A', 'unbind', text))).toBe('ENODEV');
      expect(await code(() => fx.write('A', 'bind', text))).toBe('ENODEV');
    }
    expect(fx.take()).toEqual([]);
  });

  test('SYS-06: bind of a bound device is EBUSY', async () => {
    const fx = bound();
    expect(await code(() => fx.write('A', 'bind', 'd1'))).toBe('EBUSY');
    expect(fx.take()).toEqual(['M(d1,A)=1']);
  });

  test('SYS-07: bind to a driver that does not match is ENODEV', async () => {
    const fx = bound();
    void fx.core.unbind(fx.tb.find('d1')!);
    fx.take();
    expect(await code(() => fx.write('B', 'bind', 'd1'))).toBe('ENODEV');
    expect(fx.take()).toEqual(['M(d1,B)=0']);
  });

  test('SYS-11: drivers_probe of an unknown device is ENODEV, of a bound one nothing', async () => {
    const fx = bound();
    expect(await code(() => fx.tb.attributes.write('drivers_probe', 'nope'))).toBe('ENODEV');
    expect(await fx.tb.attributes.write('drivers_probe', 'd1\n')).toBe(3);
    expect(fx.take()).toEqual([]);
  });

  test('SYS-13: drivers_probe asks the drivers in order until one binds', async () => {
    const fx = bound();
    void fx.core.unbind(fx.tb.find('e1')!);
    fx.take();
    expect(await fx.tb.attributes.write('drivers_probe', 'e1')).toBe(2);
    expect(fx.take()).toEqual(['M(e1,A)=0', 'M(e1,B)=1', ...BIND('e1', 'B')]);
  });

  test('bind whose probe refuses gives its error, and nobody else is tried', async () => {
    const fx = new Fixture();
    fx.tb.autoprobe = false;
    fx.reg(driver('A', 'd', { results: ['ENXIO', 'ENOMEM'] }));
    fx.reg(driver('B', 'd'));
    fx.add('d1');
    fx.take();
    expect(await code(() => fx.write('A', 'bind', 'd1'))).toBe('ENXIO');
    expect(fx.take()).toEqual(['M(d1,A)=1', ...FAIL('d1', 'A', 'ENXIO')]);
    expect(await code(() => fx.write('A', 'bind', 'd1'))).toBe('ENOMEM');
  });

  test('SYS-45: files of a driver that was unregistered while open are ENODEV', async () => {
    const fx = bound();
    const a = fx.tb.findDriver('A')!;
    const file = fx.tb.attributesOf(a).open('unbind', 'w');
    void fx.core.unregisterDriver(fx.tb, a);
    expect(await code(() => file.write('d1'))).toBe('ENODEV');
    expect(await code(() => fx.tb.attributesOf(a))).toBe('ENODEV');
  });

  test('write-only and read-only files', async () => {
    const fx = bound();
    const files = fx.tb.attributesOf(fx.tb.findDriver('A')!);
    expect(files.paths().sort()).toEqual(['bind', 'uevent', 'unbind']);
    expect([files.mode('bind'), fx.tb.attributes.mode('drivers_autoprobe')]).toEqual([0o200, 0o644]);
    expect(await code(() => files.read('bind'))).toBe('EACCES');
    expect(await code(() => files.read('nope'))).toBe('ENOENT');
  });
});

describe('driver_override', () => {
  test('SYS-18: unset it reads (null); the device is named by its bus', () => {
    const { dev } = overriding();
    expect([dev.name, dev.attributes.read('driver_override')]).toEqual(['obdev7', '(null)\n']);
  });

  test('SYS-19: setting it does not touch the binding, and survives an unbind', async () => {
    const { fx, dev } = overriding();
    expect(await dev.attributes.write('driver_override', 'ovB\n')).toBe(4);
    expect(dev.attributes.read('driver_override')).toBe('ovB\n');
    expect(fx.take()).toEqual([]);
    expect(dev.driver?.name).toBe('ovA');
    void fx.core.unbind(dev);
    expect(dev.attributes.read('driver_override')).toBe('ovB\n');
  });

  test('SYS-20: bind of a driver that the override does not name is ENODEV', async () => {
    const { fx, dev } = overriding();
    await dev.attributes.write('driver_override', 'ovB');
    await fx.core.unbind(dev);
    fx.take();
    expect(await code(() => fx.write('ovA', 'bind', 'obdev7'))).toBe('ENODEV');
    expect(fx.take()).toEqual(['M(obdev7,ovA)=0']);
    expect(await fx.write('ovB', 'bind', 'obdev7')).toBe(6);
    expect(fx.take()).toEqual(['M(obdev7,ovB)=1', ...BIND('obdev7', 'ovB')]);
  });

  test('SYS-22, SYS-23: an empty line clears it, and matching is as before', async () => {
    const { fx, dev } = overriding();
    for (const [text, length] of [
      ['', 0],
      ['\n', 1],
    ] as const) {
      await dev.attributes.write('driver_override', 'ovB');
      expect(await dev.attributes.write('driver_override', text)).toBe(length);
      expect(dev.attributes.read('driver_override')).toBe('(null)\n');
    }
    await fx.core.unbind(dev);
    fx.take();
    await fx.tb.attributes.write('drivers_probe', 'obdev7');
    expect(fx.take()).toEqual(['M(obdev7,ovA)=1', ...BIND('obdev7', 'ovA')]);
  });

  test('SYS-26: 4094 characters are taken, 4095 are EINVAL and change nothing', async () => {
    const { dev } = overriding();
    expect(await dev.attributes.write('driver_override', 'x'.repeat(4094))).toBe(4094);
    expect(await code(() => dev.attributes.write('driver_override', 'y'.repeat(4095)))).toBe('EINVAL');
    expect(dev.attributes.read('driver_override')).toBe(`${'x'.repeat(4094)}\n`);
  });

  test('a driver registered later takes the device that names it, and no other', () => {
    const { fx } = overriding();
    const other = fx.dev('obdev9');
    other.driverOverride = 'late';
    void fx.core.add(other);
    expect(fx.take()).toEqual([...ADD('obdev9'), 'M(obdev9,ovA)=0', 'M(obdev9,ovB)=0']);
    fx.reg(driver('late', 'nothing'));
    expect(fx.take()).toEqual(['M(obdev7,late)=0', 'M(obdev9,late)=1', ...BIND('obdev9', 'late')]);
  });
});
