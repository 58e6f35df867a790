import { describe, expect, test } from 'vitest';
import type { Device } from '../../../core/device/index.js';
import { DevresEntry } from '../../../core/devres/index.js';
import { Errno } from '../../../core/lib/errno.js';
import { ADD, BIND, Fixture, GONE, M, UNB, errno, sync } from '../device/conformance/fixture.js';
import { Ledger } from './ledger.js';

describe('managed resources', () => {
  test('RES-01: everything is released, last first, and counted', () => {
    const fx = new Ledger();
    fx.acts('A', 'B', 'C');
    expect(fx.all()).toEqual([3, 'dm(C)', 'dm(B)', 'dm(A)']);
    expect(fx.all()).toEqual([0]);
  });

  test('RES-02, 03: resources are found by release function and data, newest first, and taken out or released', () => {
    const fx = new Ledger();
    const { devres } = fx.r1;
    const rel1 = (n: number): void => void fx.tokens.push(`rel1(${n})`);
    const rel2 = (n: number): void => void fx.tokens.push(`rel2(${n})`);
    const is =
      (n: number) =>
      (data: number): boolean =>
        data === n;
    const entry = (n: number): DevresEntry => new DevresEntry(`rel1 ${n}`, rel1, n);
    devres.adopt('rel1 1', 1, rel1);
    devres.adopt('rel1 2', 2, rel1);
    devres.adopt('rel2 3', 3, rel2);
    const two = devres.find(rel1);
    expect(two?.data).toBe(2);
    expect(devres.find(rel1, is(1))?.data).toBe(1);
    expect(devres.find(rel1, is(9))).toBeUndefined();
    expect(devres.findOrAdd(entry(2), is(2))).toBe(two);
    const five = entry(5);
    expect(devres.findOrAdd(five, is(5))).toBe(five);
    expect(devres.size).toBe(4);

    expect(devres.remove(two!)).toBe(true);
    expect([two!.ledger, devres.remove(two!)]).toEqual([undefined, false]);
    expect(devres.remove(devres.find(rel1)!)).toBe(true);
    const one = devres.find(rel1)!;
    expect(fx.does(() => devres.releaseEntry(one))).toEqual([undefined, 'rel1(1)']);
    expect(fx.does(() => devres.releaseEntry(one))).toEqual(['-ENOENT']);
    expect(devres.find(rel1)).toBeUndefined();
    expect(fx.all()).toEqual([1, 'rel2(3)']);
  });

  test('RES-14: an action is known by its function and argument, the newest first', () => {
    const fx = new Ledger();
    const { devres } = fx.r1;
    const dm = (x: string): void => void fx.tokens.push(`dm(${x})`);
    const action = (x: string): DevresEntry | undefined => devres.find(dm, (arg) => arg === x);
    for (const x of ['A', 'B', 'A']) devres.adopt(x, x, dm);
    expect([action('A') !== undefined, action('C')]).toEqual([true, undefined]);
    expect(fx.does(() => devres.remove(action('A')!))).toEqual([true]);
    const last = action('A')!;
    expect(fx.does(() => devres.releaseEntry(last))).toEqual([undefined, 'dm(A)']);
    expect([action('A'), devres.remove(last)]).toEqual([undefined, false]);
    expect(fx.does(() => devres.releaseEntry(last))).toEqual(['-ENOENT']);
    expect(fx.all()).toEqual([1, 'dm(B)']);
  });

  test('RES-15: what a release acquires stays for the next sweep', () => {
    const fx = new Ledger();
    fx.acts('A');
    fx.act(fx.r1, 'X', () => fx.acts('added'));
    fx.acts('C');
    expect(fx.all()).toEqual([3, 'dm(C)', 'dm(X)', 'dm(A)']);
    expect(fx.all()).toEqual([1, 'dm(added)']);
  });

  test('RES-15, UBL-18: unbind sweeps again, and gives up on a release that acquires for ever', () => {
    const fx = new Fixture();
    fx.register('A', 'd');
    const d1 = fx.add('d1');
    fx.act(d1, 'X', () => void fx.act(d1, 'added'));
    expect(fx.trace(() => fx.core.unbind(d1))).toEqual(UNB('d1', 'A', 'X', 'added'));
    expect(d1.devres.size).toBe(0);

    const d2 = fx.add('d2');
    const again = (): void => void fx.act(d2, 'again', again);
    again();
    expect(errno(() => fx.core.unbind(d2))).toBe('-EINVAL');
    expect(fx.violations).toEqual(['acquire-in-release']);
    expect(d2.bound).toBe(false);
  });

  test('RES-16: a group that is being released with everything else can be released without harm', () => {
    const fx = new Ledger();
    const g = fx.r1.devres.group('g');
    fx.acts('A');
    g.close();
    let inner: unknown;
    fx.act(fx.r1, 'X', () => {
      inner = g.release();
    });
    expect(fx.all()).toEqual([2, 'dm(X)', 'dm(A)']);
    expect([inner, fx.violations]).toEqual([0, []]);
  });

  test('RES-17: an action cannot take a sibling out once everything is being released', () => {
    const fx = new Ledger();
    const sibling = fx.act(fx.r1, 'A');
    let result: unknown;
    fx.act(fx.r1, 'X', () => {
      result = [sibling.held, sibling.forget()];
    });
    expect(fx.all()).toEqual([2, 'dm(X)', 'dm(A)']);
    expect([result, fx.violations]).toEqual([[false, false], []]);
  });

  test('RES-18, UBL-09: what is released by its handle leaves the ledger; a second time is a violation', () => {
    const fx = new Ledger();
    const handle = fx.act(fx.r1, 'A');
    expect(fx.does(() => handle.release())).toEqual([undefined, 'dm(A)']);
    expect(fx.all()).toEqual([0]);
    expect(fx.does(() => handle.release())).toEqual(['-EINVAL']);
    expect(fx.violations).toEqual(['double-release']);
  });

  test('RES-20: a ledger sealed after a given-up callback refuses, and runs an action at once', () => {
    const fx = new Ledger();
    fx.r1.devres.sealed = 'probe of driver A was given up';
    expect(fx.does(() => fx.act(fx.r1, 'A'))).toEqual(['-ENODEV', 'dm(A)']);
    expect(fx.r1.devres.size).toBe(0);
  });

  test('RES-21: a device that was never added releases at its last put', () => {
    const fx = new Ledger();
    const dev = fx.bare('never');
    fx.act(dev, 'A');
    expect(fx.trace(() => dev.put())).toEqual(['dm(A)', 'REL(never)']);
  });

  test('RES-22, UBL-07: what others acquire goes with the binding; without a driver it keeps the device from being bound', () => {
    const fx = new Fixture();
    fx.register('A', 'd');
    const d1 = fx.add('d1');
    fx.act(d1, 'outside');
    expect(fx.trace(() => fx.core.unbind(d1))).toEqual(UNB('d1', 'A', 'outside'));
    expect(fx.trace(() => fx.act(d1, 'while'))).toEqual(['L:warn:acquired_unbound']);
    const attached: unknown[] = [];
    expect(fx.trace(() => attached.push(errno(() => fx.core.attach(d1))))).toEqual([M('d1', 'A'), 'L:crit:resources_present']);
    expect([attached, d1.linkStatus]).toEqual([['-EBUSY'], 'no-driver']);
    expect(fx.trace(() => fx.core.remove(d1))).toEqual(GONE('d1', 'dm(while)'));
  });

  test('RES-23: a reference that an action gives up does not keep the device', () => {
    const fx = new Fixture();
    const dev = fx.add('d1').get();
    fx.act(dev, 'put', () => dev.put());
    expect(fx.trace(() => fx.core.remove(dev))).toEqual(GONE('d1', 'dm(put)'));
    expect(dev.refs).toBe(0);
  });

  test('RES-24: a failed probe releases what it took, and the next one starts from an empty ledger', () => {
    const fx = new Fixture();
    const sizes: number[] = [];
    const probe = (dev: Device): void => {
      sizes.push(dev.devres.size);
      fx.act(dev, 'first');
      fx.act(dev, 'second');
      if (sizes.length === 1) throw new Errno('EIO', 'd1: no');
    };
    fx.register('A', 'd', probe);
    const trace = fx.trace(() => fx.add('d1'));
    expect(trace.slice(-4)).toEqual(['N:NOT_BOUND(d1)', 'DX(d1)', 'dm(second)', 'dm(first)']);
    expect(fx.core.attach(fx.tb.find('d1')!)).toBe(true);
    expect(sizes).toEqual([0, 0]);
  });

  test('RES-26: a failed probe releases after NOT_BOUND and dma_cleanup, with the driver still set', () => {
    const fx = new Fixture();
    const seen: unknown[] = [];
    fx.register('A', 'd', (dev) => {
      fx.act(dev, 'x', () => void seen.push(dev.driver?.name, dev.bound));
      throw new Errno('EIO', 'd1: no');
    });
    expect(fx.trace(() => fx.add('d1'))).toEqual([
      ...ADD('d1'),
      M('d1', 'A'),
      'DC(d1)',
      'N:BIND(d1)',
      'P(d1,A)=-EIO',
      'L:err:probe_failed',
      'N:NOT_BOUND(d1)',
      'DX(d1)',
      'dm(x)',
    ]);
    expect(seen).toEqual(['A', false]);
  });

  test('RES-27: a child that the driver added is gone before its remove; what it acquired is released after', () => {
    const fx = new Fixture();
    fx.register('K', 'kid');
    fx.register('A', 'd', (dev) => {
      sync(fx.core.addChild(dev, fx.device('kid1')));
      fx.act(dev, 'after');
    });
    const d1 = fx.add('d1');
    expect(fx.trace(() => fx.core.unbind(d1))).toEqual([
      'N:UNBIND(d1)',
      ...GONE('kid1', ...UNB('kid1', 'K')),
      'R(d1,A)',
      'DX(d1)',
      'dm(after)',
      'N:UNBOUND(d1)',
      'U:unbind(d1)',
    ]);
  });

  test('RES-28: a child of a probe that fails is gone before NOT_BOUND', () => {
    const fx = new Fixture({ skip: ['M'] });
    fx.register('K', 'kid');
    fx.register('A', 'd', (dev) => {
      sync(fx.core.addChild(dev, fx.device('kid1')));
      fx.act(dev, 'after');
      throw new Errno('EIO', 'd1: no');
    });
    expect(fx.trace(() => fx.add('d1'))).toEqual([
      ...ADD('d1'),
      'DC(d1)',
      'N:BIND(d1)',
      ...ADD('kid1'),
      ...BIND('kid1', 'K'),
      'P(d1,A)=-EIO',
      'L:err:probe_failed',
      ...GONE('kid1', ...UNB('kid1', 'K')),
      'N:NOT_BOUND(d1)',
      'DX(d1)',
      'dm(after)',
    ]);
  });

  test('RES-29: what is acquired on a removed device is released at the last put, before its release', () => {
    const fx = new Fixture();
    const d1 = fx.add('d1').get();
    sync(fx.core.remove(d1));
    fx.act(d1, 'late');
    expect(fx.trace(() => d1.put())).toEqual(['dm(late)', 'REL(d1)']);
  });

  test('RES-30: inside the releases of an unbind the driver and its state are still there', () => {
    const fx = new Fixture();
    const seen: unknown[] = [];
    fx.register('A', 'd', (dev) => {
      fx.act(dev, 'x', () => void seen.push(dev.driver?.name, dev.state, dev.bound));
      return 'state';
    });
    const d1 = fx.add('d1');
    sync(fx.core.unbind(d1));
    expect(seen).toEqual(['A', 'state', true]);
    expect([d1.driver, d1.state, d1.bound]).toEqual([undefined, undefined, false]);
  });

  test('RES-31: an entry is in one ledger, once', () => {
    const fx = new Ledger();
    const entry = new DevresEntry('x', () => {}, undefined);
    fx.r1.devres.add(entry);
    expect(fx.does(() => fx.r1.devres.add(entry))).toEqual(['-EEXIST']);
    expect(fx.violations).toEqual(['devres-added-twice']);
    expect(fx.all()).toEqual([1]);
    fx.r1.devres.add(entry);
    expect(fx.r1.devres.size).toBe(1);
  });

  test('RES-31: an entry that waits for its release cannot be added again', () => {
    const fx = new Ledger();
    const entry = new DevresEntry('x', () => void fx.tokens.push('x'), undefined);
    fx.r1.devres.add(entry);
    let again: unknown;
    fx.act(fx.r1, 'A', () => {
      again = errno(() => fx.r1.devres.add(entry));
    });
    expect(fx.all()).toEqual([2, 'dm(A)', 'x']);
    expect([again, fx.r1.devres.size]).toEqual(['-EEXIST', 0]);
  });

  test('RES-32: releases see an empty ledger', () => {
    const fx = new Ledger();
    const { devres } = fx.r1;
    const rel = (): void => {};
    devres.adopt('x', 1, rel);
    const seen: unknown[] = [];
    fx.act(fx.r1, 'A', () => void seen.push(devres.size, devres.find(rel), devres.entries()));
    fx.all();
    expect(seen).toEqual([0, undefined, []]);
  });
});
