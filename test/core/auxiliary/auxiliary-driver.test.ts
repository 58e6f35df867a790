import { describe, expect, test } from 'vitest';
import { AuxName, type AuxiliaryDriver } from '../../../core/auxiliary/index.js';
import { Errno } from '../../../core/lib/errno.js';
import { errno, sync } from '../device/conformance/fixture.js';
import { AuxFixture, BAR, FOO } from './fixture.js';

const OTHER = new AuxName('other.foo');

describe('auxiliary driver', () => {
  test('AUX-08: without probe or ids it is refused and reported', () => {
    const f = new AuxFixture();
    const lame = (driver: unknown) => errno(() => f.aux.register(driver as AuxiliaryDriver));
    expect(lame({ name: 'a', ids: [FOO] })).toBe('-EINVAL');
    expect(lame({ name: 'b', probe: () => undefined })).toBe('-EINVAL');
    expect(lame({ name: 'c', ids: [], probe: () => undefined })).toBe('-EINVAL');
    expect(f.violations).toEqual(Array(3).fill('auxiliary-driver-incomplete'));
    expect(f.aux.drivers).toEqual([]);
  });

  test('AUX-09: a failing probe does not fail add', () => {
    const f = new AuxFixture();
    sync(
      f.aux.register(
        f.axdrv({
          probe: () => {
            throw new Errno('EIO', 'no answer');
          },
        }),
      ),
    );
    const dev = f.raw(f.add('par'), BAR, 7);
    expect(f.said(() => f.aux.add(dev))).toEqual(['L:err:probe_failed']);
    expect(dev.bound).toBe(false);
    expect(f.said(() => f.aux.remove(dev))).toEqual(['REL(pmod.bar.7)']);
  });

  test('AUX-19: remove and shutdown may be absent', () => {
    const f = new AuxFixture();
    sync(f.aux.register({ name: 'bare', ids: [BAR], probe: () => undefined }));
    const dev = f.raw(f.add('par'), BAR, 7);
    sync(f.aux.add(dev));
    expect(errno(() => f.core.shutdown())).toBeUndefined();
    expect(errno(() => f.aux.remove(dev))).toBeUndefined();
  });

  test('AUX-19: shutdown is called for bound devices alone', () => {
    const f = new AuxFixture();
    sync(f.aux.register(f.axdrv({ shutdown: () => undefined })));
    const par = f.add('par');
    sync(f.aux.add(f.raw(par, BAR, 7)));
    sync(f.aux.add(f.raw(par, OTHER, 7)));
    expect(f.trace(() => f.core.shutdown())).toEqual(['SH(pmod.bar.7)']);
  });

  test('AUX-25: a name that is taken is refused', () => {
    const f = new AuxFixture();
    sync(f.aux.register(f.axdrv()));
    expect(errno(() => f.aux.register(f.axdrv()))).toBe('-EBUSY');
  });

  test('binds the devices that were there before it, in their order', () => {
    const f = new AuxFixture();
    const par = f.add('par');
    for (const id of [2, 1]) sync(f.aux.add(f.raw(par, BAR, id)));
    expect(f.said(() => f.aux.register(f.axdrv()))).toEqual(['aP(pmod.bar.2) id=pmod.bar', 'aP(pmod.bar.1) id=pmod.bar']);
  });

  test('the first entry that is equal is handed to probe', () => {
    const f = new AuxFixture();
    const twin = new AuxName('pmod.bar');
    let got: unknown;
    sync(f.aux.register(f.axdrv({ ids: [FOO, BAR, twin], probe: (_dev, id) => void (got = id) })));
    sync(f.aux.add(f.raw(f.add('par'), twin, 1)));
    expect(got).toBe(BAR);
  });
});
