import { expect } from 'vitest';
import type { Fixture } from './fixture.js';

/** The verified profile, by offset: registers of 64 bits, then of 32. */
const WIDE: [number, bigint][] = [
  [0x10, 0x0000_0000_835f_2106n],
  [0x20, 0x001b_0000_0008_0080n],
  [0x30, 0x0000_0000_0003_6004n],
  [0x38, 0x4n],
  [0x40, 0x0000_0001_003f_027fn],
  [0x48, 0n],
  [0x50, 0n],
  [0x58, 0n],
  [0x60, 0x0080_0003_0008_0004n],
  [0x68, 0n],
  [0xc0, 0n],
  [0xc8, 0n],
  [0xd0, 0n],
  [0xd8, 0n],
  [0xe0, 0n],
  [0xe8, 0n],
  [0xf0, 0n],
  [0x180, 0n],
];
const NARROW: [number, number][] = [
  [0x00, 0x100],
  [0x80, 0],
  [0x88, 0],
  [0x90, 0],
  [0x98, 0],
  [0xa8, 0],
  [0xb0, 0],
];

/** All registers are as after power-on. */
export function expectReset(f: Fixture): void {
  for (const [offset, value] of WIDE) {
    expect(f.r64(offset), `0x${offset.toString(16)}`).toBe(value);
    expect((BigInt(f.r32(offset + 4)) << 32n) | BigInt(f.r32(offset))).toBe(value);
  }
  for (const [offset, value] of NARROW) expect(f.r32(offset), `0x${offset.toString(16)}`).toBe(value);
  for (let offset = 0x300; offset < 0x900; offset += 4) expect(f.r32(offset), `0x${offset.toString(16)}`).toBe(0);
  for (let slot = 0; slot < 256; slot++) {
    expect([0, 4, 8, 12].map((word) => f.r32(0x8000 + 16 * slot + word))).toEqual([0, 0, 0, 1]);
  }
}
