import { describe, expect, test } from 'vitest';
import { Class, type ClassInterface, type Device, deviceCreate, rootDevice } from '../../../core/device/index.js';
import { Fixture, errno, sync } from './conformance/fixture.js';

/** A class whose callbacks, and an interface whose calls, are noted. */
function ocls(f: Fixture): { cls: Class; face: ClassInterface; said: string[] } {
  const said: string[] = [];
  const cls = new Class('ocls', {
    uevent: (dev, env) => void said.push(`uevent ${env.get('ACTION')}(${dev.name})`),
    devRelease: (dev) => void said.push(`release(${dev.name})`),
  });
  const face: ClassInterface = {
    addDev: (dev) => void said.push(`add_dev(${dev.name})`),
    removeDev: (dev) => void said.push(`remove_dev(${dev.name})`),
  };
  f.core.registerClass(cls);
  return { cls, face, said };
}

describe('class', () => {
  test('SUB-01: is registered once', () => {
    const f = new Fixture();
    const { cls } = ocls(f);
    expect(errno(() => f.core.registerClass(cls))).toBe('-EEXIST');
    expect(errno(() => f.core.registerClass(new Class('ocls')))).toBe('-EEXIST');
  });

  test('SUB-01: a device without parent hangs below /devices/virtual, as long as it is there', () => {
    const f = new Fixture();
    const { cls, face, said } = ocls(f);
    f.core.registerInterface(cls, face);
    const cd0 = deviceCreate(f.core, cls, { name: 'cd0' });
    expect(cd0.path).toBe('/devices/virtual/ocls/cd0');
    expect(f.core.virtualDirs()).toEqual(['ocls']);
    expect([...cls.devices]).toEqual([cd0]);
    expect(said.splice(0)).toEqual(['uevent add(cd0)', 'add_dev(cd0)']);
    sync(f.core.remove(cd0));
    expect(said).toEqual(['remove_dev(cd0)', 'uevent remove(cd0)', 'release(cd0)']);
    expect(f.core.virtualDirs()).toEqual([]);
  });

  test('SUB-02: below a device of a bus it hangs in a directory of its class', () => {
    const f = new Fixture();
    const { cls } = ocls(f);
    const par = f.add('par');
    const cd1 = deviceCreate(f.core, cls, { name: 'cd1', parent: par });
    expect(cd1.path).toBe(`${par.path}/ocls/cd1`);
    expect(deviceCreate(f.core, cls, { name: 'below', parent: cd1 }).path).toBe(`${cd1.path}/below`);
  });

  test('SUB-02: an interface hears of the devices there, when it comes and when it goes', () => {
    const f = new Fixture();
    const { cls, face, said } = ocls(f);
    const devices = ['cd0', 'cd1'].map((name) => deviceCreate(f.core, cls, { name }));
    said.length = 0;
    f.core.registerInterface(cls, face);
    f.core.unregisterInterface(cls, face);
    expect(said.splice(0)).toEqual(['add_dev(cd0)', 'add_dev(cd1)', 'remove_dev(cd0)', 'remove_dev(cd1)']);
    sync(f.core.remove(devices[0]!));
    expect(said).not.toContain('remove_dev(cd0)');
  });

  test('SUB-03: a class that is not registered serves, lists nothing and tells nobody', () => {
    const f = new Fixture();
    const cls = new Class('loose');
    const dev = deviceCreate(f.core, cls, { name: 'cd0', data: 7 });
    expect(dev.path).toBe('/devices/cd0');
    expect(dev.platformData).toBe(7);
    expect(cls.devices.size).toBe(0);
    expect(errno(() => f.core.remove(dev))).toBeUndefined();
    expect(f.violations).toEqual([]);
  });

  test('SUB-03: without class there is no device', () => {
    const f = new Fixture();
    expect(errno(() => void deviceCreate(f.core, undefined, { name: 'cd0' }))).toBe('-ENODEV');
  });

  test('a name that is taken leaves nothing', () => {
    const f = new Fixture();
    const { cls, said } = ocls(f);
    deviceCreate(f.core, cls, { name: 'cd0' });
    said.length = 0;
    expect(errno(() => void deviceCreate(f.core, cls, { name: 'cd0' }))).toBe('-EEXIST');
    expect(said.filter((s) => s.startsWith('release'))).toEqual(['release(cd0)']);
    expect(cls.devices.size).toBe(1);
  });

  test('SUB-05: an interface needs a registered class', () => {
    const f = new Fixture();
    expect(errno(() => f.core.registerInterface(new Class('loose'), {}))).toBe('-EINVAL');
  });

  test('it is not unregistered while it has devices', () => {
    const f = new Fixture();
    const { cls } = ocls(f);
    const dev = deviceCreate(f.core, cls, { name: 'cd0' });
    expect(errno(() => f.core.unregisterClass(cls))).toBe('-EBUSY');
    sync(f.core.remove(dev));
    expect(errno(() => f.core.unregisterClass(cls))).toBeUndefined();
  });
});

describe('root device', () => {
  test('SUB-18: has no bus and no driver, and is a parent', () => {
    const f = new Fixture();
    const root = rootDevice(f.core, 'test');
    expect([root.path, root.bus, root.driver]).toEqual(['/devices/test', undefined, undefined]);
    expect(f.add('kid', { parent: root }).path).toBe('/devices/test/kid');
    expect(errno(() => void rootDevice(f.core, 'test'))).toBe('-EEXIST');
    expect(f.violations).toEqual([]);
  });

  test('SUB-18, KU-01: its managed actions run when it is removed', () => {
    const f = new Fixture();
    const root = rootDevice(f.core, 'test');
    f.act(root, 'x');
    expect(f.trace(() => f.core.remove(root))).toEqual(['dm(x)']);
  });

  test('SUB-18, KU-02: also when an action is what holds a reference', () => {
    const f = new Fixture();
    const root: Device = rootDevice(f.core, 'test').get();
    f.act(root, 'x', () => root.put());
    expect(f.trace(() => f.core.remove(root))).toEqual(['dm(x)']);
    expect(root.phase).toBe('released');
  });
});
