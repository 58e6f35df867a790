import { describe, expect, test } from 'vitest';
import { PlatformDevice, SoftwareNode, u16, u32, u64, u8 } from '../../../core/platform/index.js';
import { errno } from '../device/conformance/fixture.js';

const TEN = [8, 9, 0, 0, 0, 0, 0, 0, 0, 0];

describe('software node', () => {
  test.each([
    [1, u8(...TEN)],
    [2, u16(...TEN)],
    [4, u32(...TEN)],
    [8, u64(...TEN)],
  ] as const)('KU-09: integers of %i bytes are read alone and in arrays', (bytes, value) => {
    const node = new SoftwareNode('n', { p: value });
    expect(node.integer('p', bytes)).toBe(8);
    expect(node.integers('p', bytes, 1)).toEqual([8]);
    expect(node.integers('p', bytes, 2)).toEqual([8, 9]);
    expect(errno(() => node.integers('p', bytes, 17))).toBe('-EOVERFLOW');
    expect(node.count('p', bytes)).toBe(10);
    expect(errno(() => node.integer('absent', bytes))).toBe('-EINVAL');
  });

  test('KU-09: another width counts the same bytes', () => {
    const node = new SoftwareNode('n', { wide: u64(...TEN), narrow: u16(...TEN) });
    expect([node.count('wide', 2), node.count('narrow', 8)]).toEqual([40, 2]);
    expect(node.integers('wide', 4, 3)).toEqual([8, 0, 9]);
  });

  test('the largest values of each width come back, and larger ones are refused', () => {
    const node = new SoftwareNode('n', { a: u8(255), b: u32(2 ** 32 - 1), c: u64(Number.MAX_SAFE_INTEGER), d: u32(1, 2 ** 31) });
    expect([node.integer('a', 1), node.integer('b', 4), node.integer('c', 8)]).toEqual([
      255,
      2 ** 32 - 1,
      Number.MAX_SAFE_INTEGER,
    ]);
    expect(errno(() => node.integer('d', 8))).toBe('-ERANGE');
    for (const wrong of [() => u8(256), () => u16(-1), () => u64(2 ** 53), () => u32(0.5)]) expect(errno(wrong)).toBe('-ERANGE');
  });

  test('KU-11: a flag is true when it is there', () => {
    const node = new SoftwareNode('n', { flag: true });
    expect([node.has('flag'), node.has('other')]).toEqual([true, false]);
  });

  test('strings are one or several', () => {
    const node = new SoftwareNode('n', { one: 'a', two: ['b', 'c'], number: u8(1) });
    expect([node.strings('one'), node.strings('two')]).toEqual([['a'], ['b', 'c']]);
    for (const name of ['number', 'absent']) expect(errno(() => node.strings(name))).toBe('-EINVAL');
    expect(errno(() => node.integer('one', 1))).toBe('-EINVAL');
  });

  test('KU-14: a reference has as many arguments as are wanted, missing ones being 0', () => {
    const [first, second] = [new SoftwareNode('first'), new SoftwareNode('second')];
    const node = new SoftwareNode('n', {
      bare: { node: first, args: [] },
      args: { node: second, args: [1, 2] },
      several: [
        { node: first, args: [] },
        { node: second, args: [3, 4] },
      ],
    });
    expect(node.reference('bare')).toEqual({ node: first, args: [] });
    expect(node.reference('args', 1)).toEqual({ node: second, args: [1] });
    expect(node.reference('args', 3)).toEqual({ node: second, args: [1, 2, 0] });
    expect(node.reference('several', 0, 0).node).toBe(first);
    expect(node.reference('several', 2, 1)).toEqual({ node: second, args: [3, 4] });
    for (const args of [0, 2]) expect(errno(() => node.reference('several', args, 2))).toBe('-ENOENT');
    expect(errno(() => node.reference('absent'))).toBe('-ENOENT');
    expect(errno(() => node.reference('args', 17))).toBe('-EINVAL');
  });

  test('a platform device has the one it was given, or an empty one', () => {
    const properties = new SoftwareNode('n', { flag: true });
    expect(new PlatformDevice({ name: 'a', properties }).properties).toBe(properties);
    expect(new PlatformDevice({ name: 'a' }).properties.has('flag')).toBe(false);
  });
});
