import { describe, expect, test } from 'vitest';
import { formatMac, isDeviceMac, parseMac } from '../../../core/class/index.js';

describe('an Ethernet address', () => {
  test('is read and written', () => {
    expect([...parseMac('02:1a:00:FF:7f:01')]).toEqual([2, 0x1a, 0, 0xff, 0x7f, 1]);
    expect(formatMac(Uint8Array.of(2, 0x1a, 0, 0xff, 0x7f, 1))).toBe('02:1a:00:ff:7f:01');
  });

  test.each(['', '02:1a:00:ff:7f', '02:1a:00:ff:7f:01:02', '2:1a:00:ff:7f:01', '02-1a-00-ff-7f-01', '0g:1a:00:ff:7f:01'])(
    'is not %j',
    (text) => expect(() => parseMac(text)).toThrow(/EINVAL.*is no Ethernet address/),
  );

  test('is that of one device unless it is of a group, or nothing', () => {
    const of = (text: string): boolean => isDeviceMac(parseMac(text));
    expect([of('02:00:00:00:00:01'), of('03:00:00:00:00:01'), of('ff:ff:ff:ff:ff:ff'), of('00:00:00:00:00:00')]).toEqual([
      true,
      false,
      false,
      false,
    ]);
    expect(isDeviceMac(Uint8Array.of(2, 0, 0))).toBe(false);
  });
});
