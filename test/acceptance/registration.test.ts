import { Bus, Class, Device, deviceCreate, rootDevice } from 'backplane';
import { describe, expect, test } from 'vitest';
import { ADD, BIND, FAIL, Fixture, GONE, UNB, code, driver } from './fixture.js';

describe('registration of devices', () => {
  test('REG-06: a slash in a name becomes an exclamation mark', () => {
    const fx = new Fixture();
    const dev = fx.add('a/b/c');
    expect(dev.name).toBe('a!b!c');
    expect(fx.tb.find('a!b!c')).toBe(dev);
    expect(dev.path).toBe('/devices/a!b!c');
  });

  test('REG-10: a driver that is there first gets each device as it is added', () => {
    const fx = new Fixture();
    fx.reg(driver('A', 'd'));
    fx.take();
    fx.add('d1');
    expect(fx.take()).toEqual([...ADD('d1'), 'M(d1,A)=1', ...BIND('d1', 'A')]);
    fx.add('e1');
    expect(fx.take()).toEqual([...ADD('e1'), 'M(e1,A)=0']);
  });

  test('REG-11: a device without any driver is added and stays unbound', () => {
    const fx = new Fixture();
    const dev = fx.add('d1');
    expect(fx.take()).toEqual(ADD('d1'));
    expect([dev.registered, dev.bound, dev.driver, dev.dead]).toEqual([true, false, undefined, false]);
  });

  test('REG-12: removal of an unbound and of a bound device', () => {
    const fx = new Fixture();
    fx.reg(driver('A', 'd'));
    const [d1, e1] = [fx.add('d1'), fx.add('e1')];
    fx.take();
    void fx.core.remove(e1);
    expect(fx.take()).toEqual(GONE('e1'));
    void fx.core.remove(d1);
    expect(fx.take()).toEqual(GONE('d1', ...UNB('d1', 'A')));
    expect([d1.dead, d1.registered]).toEqual([true, false]);
  });

  test('REG-15: a driver that failed on every device is registered, and can be unregistered', () => {
    const fx = new Fixture();
    fx.add('d1');
    fx.add('d2');
    fx.take();
    const a = fx.reg(driver('A', 'd', { results: ['EIO', 'ENODEV'] }));
    expect(fx.take(true)).toEqual([...FAIL('d1', 'A', 'EIO'), ...FAIL('d2', 'A', 'ENODEV')]);
    expect(fx.tb.findDriver('A')).toBe(a);
    void fx.core.unregisterDriver(fx.tb, a);
    expect(fx.take()).toEqual([]);
    expect(fx.tb.findDriver('A')).toBeUndefined();
  });

  test('REG-19: removing the bound child first, then the parent, releases each at its own end', () => {
    const fx = new Fixture();
    fx.reg(driver('A', 'kid'));
    const par = fx.add('par');
    const kid = fx.add('kid1', { parent: par });
    fx.take();
    void fx.core.remove(kid);
    expect(fx.take()).toEqual(GONE('kid1', ...UNB('kid1', 'A')));
    void fx.core.remove(par);
    expect(fx.take()).toEqual(GONE('par'));
    expect(fx.violations).toEqual([]);
  });

  test('REG-21: a driver on a bus that is not registered is EINVAL, with an error in the log', async () => {
    const fx = new Fixture();
    const bus = new Bus('nowhere');
    expect(await code(() => fx.core.registerDriver(bus, driver('A', 'd')))).toBe('EINVAL');
    expect(fx.take()).toEqual(['L:err:bus_unregistered']);
    expect(await code(() => bus.register(driver('A', 'd')))).toBe('EINVAL');
  });

  test('REG-27: a device is released once, and a put too many is reported', async () => {
    const fx = new Fixture();
    const dev = fx.add('d1');
    void fx.core.remove(dev);
    expect(fx.take().filter((t) => t === 'REL(d1)')).toHaveLength(1);
    expect(await code(() => dev.put())).toBe('EINVAL');
    expect(await code(() => dev.get())).toBe('EINVAL');
    expect(fx.violations).toEqual(['put-twice', 'used-after-release']);
  });

  test('REG-29: a device of another type and of a class takes its release from there', () => {
    const fx = new Fixture();
    const log: string[] = [];
    const type = { name: 't', release: (d: Device) => void log.push(`type ${d.name}`) };
    const dev = new Device({ bus: fx.tb, name: 'd1', type });
    void fx.core.add(dev);
    void fx.core.remove(dev);
    const cls = new Class('c', { devRelease: (d) => void log.push(`class ${d.name}`) });
    fx.core.registerClass(cls);
    const inClass = new Device({ class: cls, name: 'c0' });
    void fx.core.add(inClass);
    void fx.core.remove(inClass);
    expect(log).toEqual(['type d1', 'class c0']);
  });

  test('REG-37: a remove that unregisters a younger sibling of its own driver does not break the walk', () => {
    const fx = new Fixture();
    const devs: Device[] = [];
    const a = fx.reg(
      driver('A', 'd', {
        remove: (dev: Device) => {
          if (dev.name === 'd3') void fx.core.remove(devs[1]!);
        },
      }),
    );
    devs.push(fx.add('d1'), fx.add('d2'), fx.add('d3'));
    fx.take();
    void fx.core.unregisterDriver(fx.tb, a);
    expect(fx.take()).toEqual([
      'N:UNBIND(d3)',
      'R(d3,A)',
      ...GONE('d2', ...UNB('d2', 'A')),
      'DX(d3)',
      'N:UNBOUND(d3)',
      'U:unbind(d3)',
      ...UNB('d1', 'A'),
    ]);
  });

  test('the same driver name is fine on two buses', async () => {
    const fx = new Fixture();
    const other = new Bus('ob');
    fx.core.registerBus(other);
    fx.reg(driver('A', 'd'));
    expect(await code(() => fx.core.registerDriver(other, driver('A', 'd')))).toBe('ok');
  });

  test('the same device name is fine on two buses below different parents', async () => {
    const fx = new Fixture();
    const other = new Bus('ob');
    fx.core.registerBus(other);
    const pa = fx.add('pa');
    fx.add('x');
    expect(await code(() => fx.core.add(new Device({ bus: other, name: 'x', parent: pa, release: () => {} })))).toBe('ok');
  });

  test('a failed add leaves nothing but the put, which releases', async () => {
    const fx = new Fixture();
    const par = fx.add('par');
    fx.add('dup', { parent: par });
    fx.take();
    const second = fx.dev('dup', { parent: par });
    expect(await code(() => fx.core.add(second))).toBe('EEXIST');
    expect(await code(() => fx.core.remove(second))).toBe('EINVAL');
    expect(await code(() => fx.core.add(second))).toBe('EINVAL');
    second.put();
    expect(fx.take().filter((t) => !t.startsWith('L:'))).toEqual(['REL(dup)']);
    expect(par.children.map((c) => c.name)).toEqual(['dup']);
  });

  test('a late driver_register never sees a removed device, nor does attach', async () => {
    const fx = new Fixture();
    const dev = fx.add('d1').get();
    void fx.core.remove(dev);
    fx.take();
    const a = fx.reg(driver('A', 'd'));
    expect(await fx.core.attach(dev)).toBe(false);
    expect(await fx.core.reprobe(dev)).toBe(false);
    expect(await code(() => fx.core.bind(dev, a))).toBe('ENODEV');
    expect(fx.take()).toEqual([]);
    dev.put();
    expect(fx.take()).toEqual(['REL(d1)']);
  });

  test('SUB-18: a root device has neither bus nor driver, sends no events and releases what it holds', () => {
    const fx = new Fixture();
    const root = rootDevice(fx.core, 'test');
    const log: string[] = [];
    root.get();
    root.devres.defer('action', () => {
      log.push('action');
      root.put();
    });
    void fx.core.remove(root);
    expect(log).toEqual(['action']);
    expect(fx.take().filter((t) => t.startsWith('U:') || t.startsWith('REL'))).toEqual(['REL(test)']);
    expect(fx.violations).toEqual([]);
  });

  test('SUB-04: an interface hears of existing devices when it comes and when it goes', async () => {
    const fx = new Fixture();
    const cls = new Class('ocls');
    expect(await code(() => fx.core.registerInterface(cls, {}))).toBe('EINVAL');
    fx.core.registerClass(cls);
    deviceCreate(fx.core, cls, { name: 'c0' });
    const log: string[] = [];
    const face = { addDev: (d: Device) => void log.push(`+${d.name}`), removeDev: (d: Device) => void log.push(`-${d.name}`) };
    fx.core.registerInterface(cls, face);
    const c1 = deviceCreate(fx.core, cls, { name: 'c1' });
    void fx.core.remove(c1);
    fx.core.unregisterInterface(cls, face);
    deviceCreate(fx.core, cls, { name: 'c2' });
    expect(log).toEqual(['+c0', '+c1', '-c1', '-c0']);
    expect(await code(() => deviceCreate(fx.core, undefined, { name: 'x' }))).toBe('ENODEV');
  });

  test('SUB: a class device of a class device hangs directly below it, of a bus device in a glue directory', () => {
    const fx = new Fixture();
    const cls = new Class('ocls');
    fx.core.registerClass(cls);
    const par = fx.add('par');
    const c1 = deviceCreate(fx.core, cls, { name: 'c1', parent: par });
    const c2 = deviceCreate(fx.core, cls, { name: 'c2', parent: c1 });
    const c0 = deviceCreate(fx.core, cls, { name: 'c0' });
    expect([c0.path, c1.path, c2.path]).toEqual(['/devices/virtual/ocls/c0', '/devices/par/ocls/c1', '/devices/par/ocls/c1/c2']);
  });
});
