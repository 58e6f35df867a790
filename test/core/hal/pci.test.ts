import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { devfn, formatBdf, parseBdf } from '../../../core/hal/pci.js';

test('an address is written as Linux does, and read with and without its segment', () => {
  expect(formatBdf(0, 0, devfn(5, 0))).toBe('0000:00:05.0');
  expect(formatBdf(0x10000, 0xe1, devfn(31, 7))).toBe('10000:e1:1f.7');
  expect(parseBdf('00:05.1')).toEqual({ segment: 0, bus: 0, devfn: 0x29 });
  expect(parseBdf('0001:AF:1f.7')).toEqual({ segment: 1, bus: 0xaf, devfn: 0xff });
});

test('what is no address is refused', () => {
  for (const bad of ['', '00:05', '00:20.0', '00:05.8', '0:05.0', '000:00:05.0', '0000:00:05.0\n', 'x00:05.0']) {
    expect(() => parseBdf(bad)).toThrow('EINVAL');
  }
});

test('what was written is read back', () => {
  fc.assert(
    fc.property(fc.nat(0xffff_ffff), fc.nat(255), fc.nat(255), (segment, bus, at) => {
      expect(parseBdf(formatBdf(segment, bus, at))).toEqual({ segment, bus, devfn: at });
    }),
    { seed: 1 },
  );
});
