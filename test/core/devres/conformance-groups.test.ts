import { describe, expect, test } from 'vitest';
import { Ledger } from './ledger.js';

describe('groups of managed resources', () => {
  test('RES-04: a closed group is released without what came after it', () => {
    const fx = new Ledger();
    fx.acts('A');
    const g = fx.r1.devres.group('g');
    fx.acts('B', 'C');
    g.close();
    fx.acts('D');
    expect(fx.release(g)).toEqual([2, 'dm(C)', 'dm(B)']);
    expect(fx.all()).toEqual([2, 'dm(D)', 'dm(A)']);
  });

  test('RES-05: an open group reaches to the end of the ledger', () => {
    const fx = new Ledger();
    fx.acts('A');
    const g = fx.r1.devres.group('g');
    fx.acts('B', 'C');
    expect(fx.release(g)).toEqual([2, 'dm(C)', 'dm(B)']);
    expect(fx.all()).toEqual([1, 'dm(A)']);
  });

  test('RES-06: releasing a group releases the groups inside it', () => {
    const fx = new Ledger();
    const outer = fx.r1.devres.group('outer');
    fx.acts('A');
    const closed = fx.r1.devres.group('closed');
    fx.acts('B');
    closed.close();
    const open = fx.r1.devres.group('open');
    fx.acts('C');
    expect(fx.release(outer)).toEqual([3, 'dm(C)', 'dm(B)', 'dm(A)']);
    expect([outer.live, closed.live, open.live]).toEqual([false, false, false]);
    expect([fx.r1.devres.head, fx.r1.devres.tail]).toEqual([undefined, undefined]);
  });

  test('RES-07: releasing an inner group leaves the outer one', () => {
    const fx = new Ledger();
    const outer = fx.r1.devres.group('outer');
    fx.acts('A');
    const inner = fx.r1.devres.group('inner');
    fx.acts('B');
    expect(fx.release(inner)).toEqual([1, 'dm(B)']);
    fx.acts('C');
    expect(fx.release(outer)).toEqual([2, 'dm(C)', 'dm(A)']);
  });

  test('RES-08: a kept group is forgotten, its resources stay; releasing it afterwards is a violation', () => {
    const fx = new Ledger();
    const g = fx.r1.devres.group('g');
    fx.acts('A');
    g.close();
    expect(fx.does(() => g.keep())).toEqual([undefined]);
    expect(fx.release(g)).toEqual(['-EINVAL']);
    expect(fx.violations).toEqual(['unknown-group']);
    expect(fx.all()).toEqual([1, 'dm(A)']);
  });

  test('RES-09: marks of groups are not counted, and an empty group releases nothing', () => {
    const fx = new Ledger();
    const empty = fx.r1.devres.group('empty');
    empty.close();
    fx.r1.devres.group('open');
    fx.acts('A');
    expect(fx.r1.devres.size).toBe(1);
    expect(fx.release(empty)).toEqual([0]);
    expect(fx.all()).toEqual([1, 'dm(A)']);
  });

  for (const first of ['g1', 'g2'] as const) {
    test(`${first === 'g1' ? 'RES-10' : 'RES-11'}: of two overlapping groups, ${first} released first leaves the other its rest`, () => {
      const fx = new Ledger();
      const { devres } = fx.r1;
      const g1 = devres.group('g1');
      fx.acts('A');
      const g2 = devres.group('g2');
      fx.acts('B');
      g1.close();
      fx.acts('C');
      g2.close();
      fx.acts('D');
      if (first === 'g1') {
        expect(fx.release(g1)).toEqual([2, 'dm(B)', 'dm(A)']);
        expect(fx.release(g2)).toEqual([1, 'dm(C)']);
      } else {
        expect(fx.release(g2)).toEqual([2, 'dm(C)', 'dm(B)']);
        expect(fx.release(g1)).toEqual([1, 'dm(A)']);
      }
      expect(fx.all()).toEqual([1, 'dm(D)']);
    });
  }

  test('RES-12: a group that is gone: harmless with an empty ledger, else a violation', () => {
    const fx = new Ledger();
    const g = fx.r1.devres.group('g');
    g.keep();
    expect(fx.release(g)).toEqual([0]);
    expect(fx.violations).toEqual([]);
    fx.acts('A');
    expect(fx.release(g)).toEqual(['-EINVAL']);
    expect(fx.does(() => g.close())).toEqual(['-EINVAL']);
    expect(fx.does(() => g.keep())).toEqual(['-EINVAL']);
    expect(fx.violations).toEqual(['unknown-group', 'unknown-group', 'unknown-group']);
    expect(fx.r1.devres.size).toBe(1);
  });

  test('RES-13: a group is closed once', () => {
    const fx = new Ledger();
    const g = fx.r1.devres.group('g');
    g.close();
    expect(fx.does(() => g.close())).toEqual(['-EINVAL']);
    expect([fx.violations, g.live]).toEqual([['unknown-group'], true]);
  });
});
