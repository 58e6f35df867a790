import { describe, expect, test } from 'vitest';
import { Mmio, readSized } from '../../../core/hal/mmio.js';
import { field, reg16, reg32, reg64, reg8 } from '../../../core/hal/reg.js';
import type { Window } from '../../../core/hal/window.js';

/** Memory that logs each access. */
class Memory implements Window {
  readonly sizeBytes = 64;
  readonly log: string[] = [];
  readonly view = new DataView(new ArrayBuffer(64));
  read8(o: number): number {
    this.log.push(`r8 ${o}`);
    return this.view.getUint8(o);
  }
  read16(o: number): number {
    this.log.push(`r16 ${o}`);
    return this.view.getUint16(o, true);
  }
  read32(o: number): number {
    this.log.push(`r32 ${o}`);
    return this.view.getUint32(o, true);
  }
  read64(o: number, out: Uint32Array): void {
    this.log.push(`r64 ${o}`);
    out[0] = this.view.getUint32(o, true);
    out[1] = this.view.getUint32(o + 4, true);
  }
  write8(o: number, v: number): void {
    this.log.push(`w8 ${o}`);
    this.view.setUint8(o, v);
  }
  write16(o: number, v: number): void {
    this.log.push(`w16 ${o}`);
    this.view.setUint16(o, v, true);
  }
  write32(o: number, v: number): void {
    this.log.push(`w32 ${o}`);
    this.view.setUint32(o, v, true);
  }
  write64(o: number, lo: number, hi: number): void {
    this.log.push(`w64 ${o}`);
    this.view.setUint32(o, lo, true);
    this.view.setUint32(o + 4, hi, true);
  }
}

const R8 = reg8('R8', 0);
const R16 = reg16('R16', 2);
const R32 = reg32('R32', 4, { enable: field(0), count: field(31, 16) });
const R64 = reg64('R64', 8, { low: field(11, 0), across: field(39, 24), high: field(63, 40) });

describe('Mmio', () => {
  test('reads and writes each register with one access of its width', () => {
    const memory = new Memory();
    const regs = new Mmio(memory, 'd1: BAR 0');
    regs.write(R8, 0xa5);
    regs.write(R16, 0xbeef);
    regs.write(R32, 0xffff_ffff);
    regs.write(R64, 2 ** 40 + 5);
    expect([regs.read(R8), regs.read(R16), regs.read(R32), regs.read(R64)]).toEqual([0xa5, 0xbeef, 0xffff_ffff, 2 ** 40 + 5]);
    expect(memory.log).toEqual(['w8 0', 'w16 2', 'w32 4', 'w64 8', 'r8 0', 'r16 2', 'r32 4', 'r64 8']);
    expect(regs.sizeBytes).toBe(64);
  });

  test('writes named fields with the others 0, and modifies them with the others kept', () => {
    const memory = new Memory();
    const regs = new Mmio(memory, 'd1: BAR 0');
    regs.write(R32, { count: 0x8001 });
    expect(regs.read(R32)).toBe(0x8001_0000);
    regs.modify(R32, { enable: 1 });
    expect(regs.read(R32)).toBe(0x8001_0001);
    expect(memory.log).toEqual(['w32 4', 'r32 4', 'r32 4', 'w32 4', 'r32 4']);
  });

  test('reads every field of a 64-bit register exactly', () => {
    const memory = new Memory();
    const regs = new Mmio(memory, 'd1: BAR 0');
    regs.write64(8, 0xab12_3456, 0xfedc_ba98);
    const { low, across, high } = R64.fields;
    expect([low, across, high].map((f) => regs.readField(R64, f))).toEqual([0x456, 0x98ab, 0xfedcba]);
    expect(regs.readField(R64, field(63, 32) as typeof low)).toBe(0xfedc_ba98);
    expect(regs.readField(R64, field(63, 24) as typeof low)).toBe(0xfedcba98ab);
    regs.write32(4, 0x8001_0001);
    expect(regs.readField(R32, R32.fields.count)).toBe(0x8001);
  });

  test('refuses what does not fit, and writes nothing', () => {
    const memory = new Memory();
    const regs = new Mmio(memory, 'd1: BAR 0');
    for (const bad of [-1, 2 ** 32, 0.5, Number.NaN]) expect(() => regs.write(R32, bad)).toThrow('ERANGE: R32');
    expect(() => regs.write(R8, 256)).toThrow('ERANGE: R8: 256 does not fit 8 bits');
    expect(() => regs.write(R64, 2 ** 53)).toThrow('ERANGE');
    expect(() => regs.write(R32, { enable: 2 })).toThrow('ERANGE: enable');
    expect(memory.log).toEqual([]);
  });

  test('a modify of a 64-bit register keeps all 64 bits', () => {
    const memory = new Memory();
    const regs = new Mmio(memory, 'd1: BAR 0');
    regs.write64(8, 1, 0xffff_ffff);
    memory.log.length = 0;
    regs.modify(R64, { low: 2, across: 0x1234 });
    expect(memory.log).toEqual(['r64 8', 'w64 8']);
    const out = new Uint32Array(2);
    regs.read64(8, out);
    expect([...out]).toEqual([0x3400_0002, 0xffff_ff12]);
  });

  test('once revoked, every use throws and is told of', () => {
    const used: string[] = [];
    const regs = new Mmio(new Memory(), '0000:00:01.0: BAR 0', (what) => used.push(what));
    regs.revoke();
    regs.revoke();
    const out = new Uint32Array(2);
    const uses = [
      () => regs.read(R8),
      () => regs.read(R64),
      () => regs.write(R32, 0),
      () => regs.modify(R32, { enable: 1 }),
      () => regs.read8(0),
      () => regs.read16(0),
      () => regs.read32(0),
      () => regs.read64(0, out),
      () => regs.write8(0, 0),
      () => regs.write16(0, 0),
      () => regs.write32(0, 0),
      () => regs.write64(0, 0, 0),
      () => regs.movdir64b(0, new Uint32Array(16)),
    ];
    for (const use of uses) expect(use).toThrow('ENODEV: 0000:00:01.0: BAR 0 used after unbind');
    expect([used.length, regs.revoked]).toEqual([uses.length, true]);
  });
});

/** Memory that takes 64 bytes at once, and no more than one of them. */
class Portal extends Memory {
  movdir64b(o: number, words: Uint32Array, at: number): void {
    this.log.push(`m64 ${o} ${words[at]} ${words[at + 15]}`);
  }
  enqcmd(o: number, words: Uint32Array, at: number): boolean {
    this.movdir64b(o, words, at);
    return this.log.length > 1;
  }
}

describe('64 bytes at once', () => {
  const words = Uint32Array.from({ length: 18 }, (_, i) => 100 + i);

  test('are one write where there is such a write', () => {
    const portal = new Portal();
    new Mmio(portal, 'd1: BAR 2').movdir64b(0, words, 2);
    expect(portal.log).toEqual(['m64 0 102 117']);
  });

  test('are eight writes of 8 bytes, ascending, where there is none', () => {
    const memory = new Memory();
    new Mmio(memory, 'd1: BAR 2').movdir64b(0, words);
    expect(memory.log).toEqual([0, 8, 16, 24, 32, 40, 48, 56].map((offset) => `w64 ${offset}`));
    expect(new Uint32Array(memory.view.buffer)).toEqual(words.subarray(0, 16));
  });

  test('with an answer: true to try again', () => {
    const portal = new Mmio(new Portal(), 'd1: BAR 2');
    expect([portal.hasEnqcmd, portal.enqcmd(0, words), portal.enqcmd(0, words)]).toEqual([true, false, true]);
  });

  test('with an answer, where nobody gives one: EOPNOTSUPP', () => {
    const memory = new Mmio(new Memory(), 'd1: BAR 2');
    expect(memory.hasEnqcmd).toBe(false);
    expect(() => memory.enqcmd(0, words)).toThrow('EOPNOTSUPP: d1: BAR 2: no writes with an answer on the way there');
  });

  test.each([
    [8, 0],
    [0, 3],
    [0, -1],
  ])('at %i from word %i: refused, and nothing is written', (offset, at) => {
    const memory = new Memory();
    expect(() => new Mmio(memory, 'd1: BAR 2').movdir64b(offset, words, at)).toThrow('must be a multiple of 64, and 16 words');
    expect(memory.log).toEqual([]);
  });
});

test('readSized takes the width as data', () => {
  const memory = new Memory();
  memory.write64(8, 0x89ab_cdef, 0x0000_0123);
  expect(([1, 2, 4, 8] as const).map((bytes) => readSized(memory, 8, bytes))).toEqual([
    0xef, 0xcdef, 0x89ab_cdef, 0x123_89ab_cdef,
  ]);
});
