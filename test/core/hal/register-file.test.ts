import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type FieldMode, field, reg16, reg32, reg64, reg8 } from '../../../core/hal/reg.js';
import { RegisterFile } from '../../../core/hal/register-file.js';

const STATUS = reg32('STATUS', 0x00, {
  rw: field(3, 0, 'rw', 5),
  ro: field(7, 4, 'ro', 9),
  wo: field(11, 8, 'wo'),
  w1c: field(15, 12, 'w1c', 0xf),
  w1s: field(19, 16, 'w1s'),
  rc: field(23, 20, 'rc', 6),
});
const BYTE = reg8('BYTE', 0x04);
const HALF = reg16('HALF', 0x06, {}, { reset: 0xabcd });
const WIDE = reg64('WIDE', 0x08, {
  low: field(7, 0, 'rw', 1),
  mid: field(39, 24, 'rw', 0x1234),
  high: field(63, 56, 'ro', 0x80),
});

function registers(): { file: RegisterFile; bad: string[]; out: Uint32Array } {
  const bad: string[] = [];
  const note = (kind: string, offset: number, bytes: number): void => void bad.push(`${kind} ${bytes} at ${offset}`);
  return { file: new RegisterFile([STATUS, BYTE, HALF, WIDE], 0x20, note), bad, out: new Uint32Array(2) };
}

describe('RegisterFile', () => {
  test('each mode does what it says on reading and writing', () => {
    const { file } = registers();
    const initial = 5 + 0x90 + 0xf000 + 0x60_0000;
    expect(file.read32(0)).toBe(initial);
    expect(file.read32(0)).toBe(initial - 0x60_0000); // rc is gone
    file.write32(0, 0xffff_ffff);
    expect(file.read32(0)).toBe(0xf + 0x90 + 0xf_0000); // wo hidden, w1c cleared, w1s set, ro and rsvd as they were
    expect(file.get(STATUS)).toBe(0xf + 0x90 + 0xf00 + 0xf_0000);
    file.write32(0, 0);
    expect(file.read32(0)).toBe(0x90 + 0xf_0000);
  });

  test('w1c clears only what is written as one', () => {
    const { file } = registers();
    file.write32(0, 0x5000);
    expect(file.read32(0) & 0xf000).toBe(0xa000);
  });

  test("reset puts everything back, and the device's own side disregards modes", () => {
    const { file } = registers();
    const initial = file.get(STATUS);
    file.set(STATUS, 0xf0);
    expect(file.get(STATUS)).toBe(0xf0);
    file.set(WIDE, 2 ** 40 + 7);
    expect(file.get(WIDE)).toBe(2 ** 40 + 7);
    file.reset();
    expect(file.get(STATUS)).toBe(initial);
  });

  test('a 64-bit register is one access of eight bytes or two of four, with fields across the halves', () => {
    const { file, out, bad } = registers();
    file.read64(8, out);
    expect([...out]).toEqual([0x3400_0001, 0x8000_0012]);
    expect([file.read32(8), file.read32(12)]).toEqual([0x3400_0001, 0x8000_0012]);
    file.write64(8, 0xffff_ffff, 0xffff_ffff);
    file.read64(8, out);
    expect([...out]).toEqual([0xff00_00ff, 0x8000_00ff]);
    file.write32(12, 0);
    expect(file.read32(12)).toBe(0x8000_0000);
    expect(bad).toEqual([]);
  });

  test('8- and 16-bit registers keep their width', () => {
    const { file } = registers();
    file.write8(4, 0x1ff);
    file.write16(6, 0x1_2345);
    expect([file.read8(4), file.read16(6)]).toEqual([0xff, 0x2345]);
  });

  test('an access of another width or place reads all ones, writes nothing and is told of', () => {
    const { file, bad, out } = registers();
    expect([file.read8(0), file.read16(2), file.read32(4), file.read32(0x18)]).toEqual([0xff, 0xffff, 0xffff_ffff, 0xffff_ffff]);
    file.read64(0, out);
    expect([...out]).toEqual([0xffff_ffff, 0xffff_ffff]);
    file.write32(4, 0);
    file.write64(0, 0, 0);
    file.write16(8, 0);
    expect(bad).toEqual([
      'read 1 at 0',
      'read 2 at 2',
      'read 4 at 4',
      'read 4 at 24',
      'read 8 at 0',
      'write 4 at 4',
      'write 8 at 0',
      'write 2 at 8',
    ]);
    expect(file.get(STATUS)).toBe(0x60_f095);
  });

  test('hooks replace what is read and hear what was written, the whole of a 64-bit write', () => {
    const { file } = registers();
    const log: string[] = [];
    file.onRead(BYTE, (stored) => stored + 1);
    file.onWrite(BYTE, (value, written) => log.push(`byte ${value} ${written}`));
    file.onWrite(WIDE, () => log.push(`low sees 0x${file.get(WIDE).toString(16)}`));
    file.onWrite(WIDE, (value) => log.push(`high 0x${value.toString(16)}`), 'hi');
    file.write8(4, 7);
    expect([file.read8(4), file.get(BYTE)]).toEqual([8, 7]);
    file.write64(8, 1, 2);
    file.write32(12, 3);
    expect(log).toEqual(['byte 7 7', 'low sees 0x8000000200000000', 'high 0x80000002', 'high 0x80000003']);
  });

  test('any mixture of modes behaves bit by bit as each mode says', () => {
    const modes: FieldMode[] = ['rw', 'ro', 'wo', 'w1c', 'w1s', 'rc', 'rsvd'];
    const access = fc.oneof(fc.constant(undefined), fc.nat(0xffff_ffff));
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...modes), { minLength: 32, maxLength: 32 }),
        fc.nat(0xffff_ffff),
        fc.array(access, { maxLength: 8 }),
        (mode, reset, accesses) => {
          const fields = Object.fromEntries(mode.map((m, n) => [`b${n}`, field(n, n, m)]));
          const file = new RegisterFile([reg32('R', 0, fields, { reset })], 4);
          const model = mode.map((_, n) => Math.floor(reset / 2 ** n) % 2);
          const word = (bit: (m: FieldMode, n: number) => number): number =>
            mode.reduce((sum, m, n) => sum + bit(m, n) * 2 ** n, 0);
          for (const written of accesses) {
            if (written === undefined) {
              expect(file.read32(0)).toBe(word((m, n) => (m === 'wo' || m === 'rsvd' ? 0 : model[n]!)));
              for (const [n, m] of mode.entries()) if (m === 'rc') model[n] = 0;
            } else {
              file.write32(0, written);
              for (const [n, m] of mode.entries()) {
                const one = Math.floor(written / 2 ** n) % 2;
                if (m === 'rw' || m === 'wo') model[n] = one;
                else if (m === 'w1c' && one === 1) model[n] = 0;
                else if (m === 'w1s' && one === 1) model[n] = 1;
              }
            }
          }
          expect(file.get(file.regs[0]!)).toBe(word((_m, n) => model[n]!));
        },
      ),
      { seed: 1, numRuns: 300 },
    );
  });

  test('registers must fit the window, and may not share a byte', () => {
    expect(() => new RegisterFile([HALF], 7)).toThrow('EINVAL: HALF: ends at 8, outside a window of 7 bytes');
    expect(() => new RegisterFile([WIDE, reg32('OTHER', 0x0c)], 0x20)).toThrow('EEXIST: OTHER: WIDE is at offset 0x8 already');
    expect(() => new RegisterFile([BYTE, reg8('SAME', 4)], 0x20)).toThrow('EEXIST');
    expect(() => registers().file.get(reg32('NONE', 0x1c))).toThrow('ENOENT: NONE: not a register of this file');
  });
});
