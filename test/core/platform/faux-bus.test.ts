import { describe, expect, test } from 'vitest';
import { Errno, defer } from '../../../core/lib/errno.js';
import { FauxBus, type FauxOps } from '../../../core/platform/index.js';
import { Fixture, errno, errnoLater, gate, sync } from '../device/conformance/fixture.js';

function fixture(): { f: Fixture; faux: FauxBus; said: string[]; ops: FauxOps<number> } {
  const f = new Fixture({ skip: ['M', 'U'] });
  const said: string[] = [];
  const ops: FauxOps<number> = {
    probe: (dev) => {
      said.push(`probe(${dev.name})`);
      return 7;
    },
    remove: (dev, state) => void said.push(`remove(${dev.name}) ${state}`),
  };
  return { f, faux: new FauxBus(f.core), said, ops };
}

describe('faux device', () => {
  test('SUB-11: is bound when it is made, below the root device faux', () => {
    const { faux, said, ops } = fixture();
    const dev = sync(faux.create('fx0', ops));
    expect(said).toEqual(['probe(fx0)']);
    expect([dev.bound, dev.path, dev.driver?.name]).toEqual([true, '/devices/faux/fx0', 'faux_driver']);
  });

  test('SUB-11: a name that is taken leaves the first one alone', () => {
    const { f, faux, said, ops } = fixture();
    const first = sync(faux.create('fx0', ops));
    expect(errno(() => faux.create('fx0', ops))).toBe('-EEXIST');
    expect(faux.devices).toEqual([first]);
    expect(said).toEqual(['probe(fx0)']);
    expect(f.violations).toEqual([]);
  });

  test('SUB-11: destroy calls remove with the state of probe, and takes undefined', () => {
    const { faux, said, ops } = fixture();
    const dev = sync(faux.create('fx0', ops));
    sync(faux.destroy(dev));
    sync(faux.destroy(undefined));
    expect(said).toEqual(['probe(fx0)', 'remove(fx0) 7']);
    expect([faux.devices, dev.phase]).toEqual([[], 'released']);
  });

  test('SUB-12: a probe that fails or is deferred leaves no device', () => {
    const { f, faux } = fixture();
    const failing = (error: Errno) =>
      errno(() =>
        faux.create('fx0', {
          probe: () => {
            throw error;
          },
        }),
      );
    expect(failing(new Errno('EIO', 'no'))).toBe('-EIO');
    expect(failing(defer('later'))).toBe('-EAGAIN');
    expect([faux.devices, f.deferred()]).toEqual([[], []]);
  });

  test('SUB-12: may do nothing at all', () => {
    const { faux } = fixture();
    expect(sync(faux.create('fx0')).bound).toBe(true);
  });

  test('SUB-12: has its attributes after probe and before remove', () => {
    const { faux } = fixture();
    const groups = [{ name: 'g', attributes: [{ name: 'a', show: () => '1\n' }] }];
    const seen: boolean[] = [];
    const look: FauxOps = {
      probe: (dev) => void seen.push(dev.attributes.has('g/a')),
      remove: (dev) => void seen.push(dev.attributesIfAny?.has('g/a') === true),
    };
    const dev = sync(faux.create('fx0', look, { groups }));
    expect(dev.attributes.read('g/a')).toBe('1\n');
    sync(faux.destroy(dev));
    expect(seen).toEqual([false, false]);
  });

  test('SUB-12: when its attributes clash, remove is called and there is no device', () => {
    const { faux, said, ops } = fixture();
    const groups = [{ attributes: [{ name: 'uevent', show: () => '' }] }];
    expect(errno(() => faux.create('fx0', ops, { groups }))).toBe('-EEXIST');
    expect(said).toEqual(['probe(fx0)', 'remove(fx0) 7']);
    expect(faux.devices).toEqual([]);
  });

  test('is no supplier of a link, and its driver has no bind files', () => {
    const { f, faux } = fixture();
    const dev = sync(faux.create('fx0'));
    expect(f.core.link(f.add('con'), dev)).toBeUndefined();
    const files = f.files(dev.driver!, f.core.buses.get('faux'));
    expect(files.has('bind')).toBe(false);
  });

  test('a probe that waits is waited for', async () => {
    const { faux } = fixture();
    const slow = gate();
    const making = faux.create('fx0', { probe: () => slow.wait });
    slow.open();
    expect((await making).bound).toBe(true);
    const failing = gate();
    const failed = errnoLater(() => faux.create('fx1', { probe: () => failing.wait }));
    failing.fail(new Errno('EIO', 'no'));
    expect(await failed).toBe('-EIO');
    expect(faux.devices.map((d) => d.name)).toEqual(['fx0']);
  });

  test('a parent may be given', () => {
    const { f, faux } = fixture();
    expect(sync(faux.create('fx0', {}, { parent: f.add('par') })).path).toBe('/devices/par/fx0');
  });
});

describe('faux bus', () => {
  test('closes when it is empty, and leaves nothing', () => {
    const { f, faux } = fixture();
    const dev = sync(faux.create('fx0'));
    expect(errno(() => faux.close())).toBe('-EBUSY');
    sync(faux.destroy(dev));
    faux.close();
    expect([f.core.buses.has('faux'), f.core.order.size]).toEqual([false, 0]);
  });
});
