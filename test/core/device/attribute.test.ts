import { describe, expect, test } from 'vitest';
import { ATTRIBUTE_BYTES, type Attribute, AttributeSet } from '../../../core/device/index.js';
import { Errno } from '../../../core/lib/errno.js';
import { errno } from './conformance/fixture.js';

interface Owner {
  value: string;
}

const VALUE: Attribute<Owner> = {
  name: 'value',
  show: (owner) => `${owner.value}\n`,
  store: (owner, text) => {
    if (text === 'bad') throw new Errno('ERANGE', 'value: bad');
    owner.value = text;
  },
};
const make = () => new AttributeSet<Owner>({ value: 'a' }, 'thing');

describe('attributes', () => {
  test('show gives the text, store takes it and counts all characters', () => {
    const set = make();
    set.add(VALUE);
    expect(errno(() => set.write('value', 'bcd'))).toBe(3);
    expect(set.read('value')).toBe('bcd\n');
    expect(errno(() => set.write('value', 'bad'))).toBe('-ERANGE');
  });

  test('a store that waits is waited for', async () => {
    const set = make();
    set.add({ name: 'slow', store: async (owner, text) => void (owner.value = text) });
    expect(await set.write('slow', 'xy')).toBe(2);
    expect(set.owner.value).toBe('xy');
  });

  test.each<[string, Partial<Attribute<Owner>>, number]>([
    ['show alone', { show: () => '' }, 0o444],
    ['store alone', { store: () => {} }, 0o200],
    ['both', { show: () => '', store: () => {} }, 0o644],
    ['a mode of its own', { mode: 0o600, show: () => '' }, 0o600],
  ])('the permission bits with %s', (_what, methods, mode) => {
    const set = make();
    set.add({ name: 'x', ...methods });
    expect(set.mode('x')).toBe(mode);
  });

  test('opening against the permission bits is EACCES', () => {
    const set = make();
    set.add({ name: 'ro', show: () => '' });
    set.add({ name: 'wo', store: () => {} });
    expect([errno(() => set.write('ro', 'x')), errno(() => set.read('wo')), errno(() => set.open('ro'))]).toEqual([
      '-EACCES',
      '-EACCES',
      '-EACCES',
    ]);
  });

  test('what the mode allows and no method does is EIO', () => {
    const set = make();
    set.add({ name: 'x', mode: 0o644 });
    expect([errno(() => set.read('x')), errno(() => set.write('x', 'y'))]).toEqual(['-EIO', '-EIO']);
  });

  test('a text of more than a page is refused either way', () => {
    const set = make();
    set.add(VALUE);
    expect(errno(() => set.write('value', 'x'.repeat(ATTRIBUTE_BYTES)))).toBe(ATTRIBUTE_BYTES);
    expect(errno(() => set.read('value'))).toBe('-EIO');
    expect(errno(() => set.write('value', 'x'.repeat(ATTRIBUTE_BYTES + 1)))).toBe('-EINVAL');
  });

  test('an unknown name is ENOENT, a taken one EEXIST', () => {
    const set = make();
    set.add(VALUE);
    expect([errno(() => set.read('nope')), errno(() => set.add(VALUE))]).toEqual(['-ENOENT', '-EEXIST']);
    expect(set.remove('nope')).toBe(false);
  });

  test('a named group is a directory, and groups are added all or none', () => {
    const set = make();
    set.addGroups([{ name: 'g', attributes: [VALUE] }]);
    expect(set.paths()).toEqual(['g/value']);
    const clash = [{ attributes: [VALUE, { name: 'other' }] }, { name: 'g', attributes: [VALUE] }];
    expect(errno(() => set.addGroups(clash))).toBe('-EEXIST');
    expect(set.paths()).toEqual(['g/value']);
    void set.removeGroups(clash);
    expect(set.paths()).toEqual([]);
  });

  test('what is open when its attribute goes gives ENODEV, also when one of the same name comes', () => {
    const set = make();
    set.add(VALUE);
    const open = set.open('value');
    void set.clear();
    set.add(VALUE);
    expect([errno(() => open.read()), errno(() => open.write('x'))]).toEqual(['-ENODEV', '-ENODEV']);
    expect(set.read('value')).toBe('a\n');
  });

  test('an owner that is gone takes no attributes', () => {
    let gone = false;
    const set = new AttributeSet<Owner>({ value: 'a' }, 'thing', () => (gone ? new Errno('EINVAL', 'gone') : undefined));
    set.add(VALUE);
    gone = true;
    expect(errno(() => set.add({ name: 'late' }))).toBe('-EINVAL');
    expect(set.paths()).toEqual(['value']);
  });
});
