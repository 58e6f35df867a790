import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConfigSpace } from '../../../hw/endpoint/index.js';

describe('ConfigSpace', () => {
  test('bits keep their modes whatever the width of the access', () => {
    const space = new ConfigSpace();
    space.define32(0x10, 0x1234_5678, 0x00ff_0000, 0x0000_ff00);
    space.write32(0x10, 0xffff_ffff);
    expect(space.read32(0x10)).toBe(0x12ff_0078);
    space.write16(0x12, 0x0042);
    expect(space.read32(0x10)).toBe(0x1242_0078);
    space.write8(0x13, 0xff);
    expect(space.read8(0x13)).toBe(0x12);
  });

  test.each([[1], [-4], [0xfe], [0x100]])('4 bytes at offset %i read all ones and write nothing', (offset) => {
    const space = new ConfigSpace();
    space.define32(0, 0, 0xffff_ffff);
    space.write32(offset, 0x5a5a_5a5a);
    expect(space.read32(offset)).toBe(0xffff_ffff);
    expect(space.read32(0)).toBe(0);
  });

  test('an 8-byte access is none', () => {
    const space = new ConfigSpace();
    const out = new Uint32Array(2);
    space.read64(0, out);
    expect([...out]).toEqual([0xffff_ffff, 0xffff_ffff]);
  });

  test('a hook is called for writes that touch its bytes, and not for others', () => {
    const space = new ConfigSpace();
    let calls = 0;
    space.onWrite(0x06, 2, () => calls++);
    space.write16(0x04, 0);
    space.write8(0x08, 0);
    expect(calls).toBe(0);
    space.write32(0x04, 0);
    space.write8(0x07, 0);
    expect(calls).toBe(2);
  });

  test('reset brings back what was defined', () => {
    const space = new ConfigSpace();
    space.define16(0x04, 0x10, 0xff);
    space.write16(0x04, 0x42);
    space.set16(0x06, 0x8, 0x8);
    space.reset();
    expect([space.read16(0x04), space.read16(0x06)]).toEqual([0x10, 0]);
  });

  test('one wide write does what its bytes do one by one', () => {
    const word = fc.integer({ min: 0, max: 0xffff_ffff });
    fc.assert(
      fc.property(word, word, word, word, (value, writable, w1c, written) => {
        const [one, four] = [new ConfigSpace(), new ConfigSpace()];
        for (const space of [one, four]) space.define32(0x40, value, writable, (w1c & ~writable) >>> 0);
        one.write32(0x40, written);
        for (let i = 0; i < 4; i++) four.write8(0x40 + i, (written >>> (8 * i)) & 0xff);
        expect(four.read32(0x40)).toBe(one.read32(0x40));
      }),
      { seed: 1 },
    );
  });
});
