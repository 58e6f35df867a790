import { describe, expect, test } from 'vitest';
import { AuxName, AuxiliaryDevice } from '../../../core/auxiliary/index.js';
import { errno, sync } from '../device/conformance/fixture.js';
import { AuxFixture, BAR, FOO } from './fixture.js';

const OTHER = new AuxName('other.foo');

describe('auxiliary device', () => {
  test('AUX-01: without parent or name nothing is made', () => {
    const f = new AuxFixture();
    const par = f.add('par');
    const make = (options: unknown) => () => new AuxiliaryDevice(options as ConstructorParameters<typeof AuxiliaryDevice>[0]);
    expect(errno(make({ name: FOO, id: 1 }))).toBe('-EINVAL');
    expect(errno(make({ parent: par, id: 1 }))).toBe('-EINVAL');
    expect(f.take().filter((t) => t.startsWith('REL'))).toEqual([]);
  });

  test('AUX-02: a name has a module and a device, and at most 39 characters', () => {
    for (const key of ['foo', '.foo', 'pmod.', '', `pmod.${'x'.repeat(35)}`]) {
      expect(errno(() => void new AuxName(key))).toBe('-EINVAL');
    }
    expect(new AuxName(`pmod.${'x'.repeat(34)}`).key).toHaveLength(39);
  });

  test('AUX-02: a device that was never added is released by put', () => {
    const f = new AuxFixture();
    const dev = f.raw(f.add('par'), BAR, 1);
    expect(f.said(() => dev.put())).toEqual(['REL(pmod.bar.1)']);
  });

  test('AUX-03: a second device of one name and id is refused, and the first stays as it is', () => {
    const f = new AuxFixture();
    const par = f.add('par');
    const first = f.raw(par, BAR, 1);
    sync(f.aux.add(first));
    const second = f.raw(par, BAR, 1);
    expect(errno(() => f.aux.add(second))).toBe('-EEXIST');
    expect(f.said(() => second.put())).toEqual(['REL(pmod.bar.1)']);
    expect(f.aux.find('pmod.bar.1')).toBe(first);
  });

  test('AUX-05: add, delete and put give probe, remove and release', () => {
    const f = new AuxFixture();
    const par = f.add('par');
    sync(f.aux.register(f.axdrv()));
    const dev = f.raw(par, BAR, 7);
    expect(f.said(() => f.aux.add(dev))).toEqual(['aP(pmod.bar.7) id=pmod.bar']);
    expect(f.said(() => f.core.delete(dev))).toEqual(['aR(pmod.bar.7)']);
    expect(f.said(() => dev.put())).toEqual(['REL(pmod.bar.7)']);
  });

  test('AUX-05: a device of another module does not match', () => {
    const f = new AuxFixture();
    sync(f.aux.register(f.axdrv()));
    const dev = f.raw(f.add('par'), OTHER, 7);
    expect(f.said(() => f.aux.add(dev))).toEqual([]);
    expect(dev.bound).toBe(false);
  });

  test('AUX-06: the whole name up to the last dot is compared, not a prefix', () => {
    const f = new AuxFixture();
    sync(f.aux.register(f.axdrv()));
    const dev = f.raw(f.add('par'), new AuxName('pmod.foo.x'), 7);
    sync(f.aux.add(dev));
    expect(dev.name).toBe('pmod.foo.x.7');
    expect(dev.bound).toBe(false);
  });

  test('AUX-07: a reference keeps a removed device', () => {
    const f = new AuxFixture();
    sync(f.aux.register(f.axdrv()));
    const dev = f.raw(f.add('par'), BAR, 7);
    sync(f.aux.add(dev));
    dev.get();
    expect(f.said(() => f.aux.remove(dev))).toEqual(['aR(pmod.bar.7)']);
    expect(f.said(() => dev.put())).toEqual(['REL(pmod.bar.7)']);
  });

  test('AUX-15: a parent that goes first is reported and lives as long as its part', () => {
    const f = new AuxFixture();
    const par = f.add('par');
    const dev = f.raw(par, BAR, 7);
    sync(f.aux.add(dev));
    sync(f.core.remove(par));
    expect(f.violations).toEqual(['orphaned-children']);
    expect(dev.registered).toBe(true);
    expect(f.said(() => f.aux.remove(dev))).toEqual(['REL(par)', 'REL(pmod.bar.7)']);
  });

  test('AUX-16: the id is unsigned and printed signed', () => {
    const f = new AuxFixture();
    expect(f.raw(f.add('par'), BAR, 0xffff_ffff).name).toBe('pmod.bar.-1');
  });

  test('an id that is no unsigned 32-bit integer is refused', () => {
    const f = new AuxFixture();
    const par = f.add('par');
    for (const id of [-1, 1.5, 2 ** 32, Number.NaN]) expect(errno(() => void f.raw(par, BAR, id))).toBe('-ERANGE');
  });

  test('AUX-17: names are global on the bus', () => {
    const f = new AuxFixture();
    sync(f.aux.add(f.raw(f.add('par'), BAR, 1)));
    const other = f.raw(f.add('other'), BAR, 1);
    expect(errno(() => f.aux.add(other))).toBe('-EEXIST');
  });

  test('its events carry MODALIAS', () => {
    const f = new AuxFixture();
    const par = f.add('par');
    const seen: (string | undefined)[] = [];
    f.core.uevents.on(({ env }) => seen.push(env.get('MODALIAS')));
    sync(f.aux.add(f.raw(par, BAR, 1)));
    expect(seen).toEqual(['auxiliary:pmod.bar']);
  });
});

describe('irq attributes', () => {
  const bound = (): { f: AuxFixture; dev: AuxiliaryDevice<undefined> } => {
    const f = new AuxFixture();
    sync(f.aux.register(f.axdrv()));
    const dev = f.raw(f.add('par'), BAR, 1);
    sync(f.aux.add(dev));
    f.take();
    return { f, dev };
  };

  test('AUX-12: each irq is a file that nobody can read, once', () => {
    const { f, dev } = bound();
    dev.addIrq(33);
    expect(dev.attributes.has('irqs/33')).toBe(true);
    expect(errno(() => dev.addIrq(33))).toBe('-EBUSY');
    expect(errno(() => dev.attributes.open('irqs/33', 'r'))).toBe('-EACCES');
    dev.addIrq(34);
    dev.removeIrq(33);
    expect(dev.attributes.paths().filter((p) => p.startsWith('irqs'))).toEqual(['irqs/34']);
    expect(f.trace(() => dev.removeIrq(33))).toEqual(['L:err:irq_unknown']);
  });

  test('an interrupt that is taken away while its device is unbound is no error', () => {
    const { f, dev } = bound();
    dev.addIrq(33);
    dev.devres.defer('vector', () => dev.removeIrq(33));
    expect(f.trace(() => sync(f.core.unbind(dev))).filter((line) => line.includes('irq_unknown'))).toEqual([]);
    expect(dev.attributes.has('irqs/33')).toBe(false);
  });

  test('AUX-13: an unbound device shows none, so that nothing blocks its next probe', () => {
    const { f, dev } = bound();
    sync(f.core.unbind(dev));
    expect(errno(() => dev.addIrq(33))).toBe('-ENODEV');
    expect(sync(f.core.attach(dev))).toBe(true);
  });

  test('AUX-14: after unbind and rebind another irq can be shown', () => {
    const { f, dev } = bound();
    dev.addIrq(33);
    dev.removeIrq(33);
    dev.addIrq(35);
    sync(f.core.unbind(dev));
    expect(dev.attributes.paths().filter((p) => p.startsWith('irqs'))).toEqual([]);
    sync(f.core.attach(dev));
    dev.addIrq(34);
    expect(dev.attributes.has('irqs/34')).toBe(true);
  });
});
