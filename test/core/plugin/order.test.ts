import { describe, expect, test } from 'vitest';
import { Plugin } from '../../../core/index.js';
import { orderOf } from '../../../core/plugin/order.js';
import { empty } from './fixture.js';

const names = (plugins: readonly Plugin[]): string[] => plugins.map((p) => p.name);
const loaded = (...plugins: Plugin[]): Map<string, Plugin> => new Map(plugins.map((p) => [p.name, p]));

describe('orderOf', () => {
  test('keeps the order given where nothing requires another', () => {
    expect(names(orderOf([empty('b'), empty('a')], loaded()))).toEqual(['b', 'a']);
  });

  test('puts what is required first', () => {
    const a = empty('a', { requires: ['c', 'b'] });
    const b = empty('b', { requires: ['c'] });
    expect(names(orderOf([a, b, empty('c')], loaded()))).toEqual(['c', 'b', 'a']);
  });

  test('leaves out what is loaded', () => {
    expect(names(orderOf([empty('a', { requires: ['b'] })], loaded(empty('b'))))).toEqual(['a']);
  });

  test('brings in what is required as a plugin, once', () => {
    const c = empty('c');
    const b = empty('b', { requires: [c] });
    expect(names(orderOf([empty('a', { requires: [b, c] })], loaded()))).toEqual(['c', 'b', 'a']);
    expect(names(orderOf([empty('a', { requires: [b] })], loaded(b)))).toEqual(['a']);
  });

  test('a missing requirement is ENOENT with the way to it', () => {
    const b = empty('b', { requires: ['c'] });
    expect(() => orderOf([empty('a', { requires: [b] })], loaded())).toThrow(
      'ENOENT: plugin a -> b -> c: is missing: load plugin c with it',
    );
  });

  test('a cycle is ELOOP with the whole of it', () => {
    const plugins = [empty('x', { requires: ['a'] }), empty('a', { requires: ['b'] }), empty('b', { requires: ['a'] })];
    expect(() => orderOf(plugins, loaded())).toThrow('ELOOP: plugin a: requires itself: a -> b -> a');
  });

  test.each([
    ['given twice', [empty('a'), empty('a')], []],
    ['there already', [empty('a')], [empty('a')]],
  ])('a name that is %s is EEXIST', (_how, given, there) => {
    expect(() => orderOf(given, loaded(...there))).toThrow('EEXIST: plugin a: is loaded already');
  });

  test('a version that does not fit is EINVAL with both sides', () => {
    const edu = empty('edu', { version: '2.0.0' });
    const user = empty('user', { requires: ['edu@^1'] });
    expect(() => orderOf([user, edu], loaded())).toThrow(
      'EINVAL: plugin user -> edu: is version 2.0.0, and ^1 is required: load another version',
    );
    expect(names(orderOf([empty('user', { requires: ['edu@^2'] })], loaded(edu)))).toEqual(['user']);
  });

  test('a plugin for another version of Backplane is EINVAL', () => {
    expect(() => orderOf([empty('old', { backplane: '^0.0.1' })], loaded())).toThrow(
      'EINVAL: plugin old: works with Backplane ^0.0.1, and this is 0.1.0: load another version of it',
    );
    expect(names(orderOf([empty('new', { backplane: '>=0.1' })], loaded()))).toEqual(['new']);
  });
});

describe('Plugin', () => {
  test.each(['', 'Edu', '1st', 'a b', 'a@1'])('the name %j is EINVAL', (name) => {
    expect(() => empty(name)).toThrow(`EINVAL: plugin '${name}': a name is lower-case letters, digits and hyphens`);
  });

  test.each(['Edu', 'edu@', '@^1', ''])('the requirement %j is EINVAL', (wanted) => {
    expect(() => empty('a', { requires: [wanted] })).toThrow(`EINVAL: plugin a: requires '${wanted}'`);
  });

  test('a version that is none is EINVAL', () => {
    expect(() => empty('a', { version: '1' })).toThrow("EINVAL: plugin a: version '1' is not major.minor.patch");
  });
});
