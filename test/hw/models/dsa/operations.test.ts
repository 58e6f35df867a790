import { describe, expect, test } from 'vitest';
import * as DSA from '../../../../hw/regs/dsa.js';
import { CR, DESTINATION, type Desc, RCR, SOURCE, encode, working } from './fixture.js';

const { FLAGS, OPCODES } = DSA;
const PAGE = 4096;
const OTHER = 0x3_0000;
const MOVE: Desc = { op: OPCODES.move, source: SOURCE, destination: DESTINATION, size: 64 };

describe('dsa operations', () => {
  test('a no-op and a cache flush succeed and change nothing', () => {
    const f = working();
    expect([f.run({}).status, f.run({ op: OPCODES.cacheFlush, destination: SOURCE, size: 64 }).status]).toEqual([1, 1]);
    expect(f.dma.writes.length).toBe(4);
  });

  test.each([
    [1, 3],
    [64, 0],
    [20_000, 5],
    [32_768, 1],
  ])('M43 a move of %i bytes copies them and no more', (size, shift) => {
    const f = working();
    const before = f.bytes(SOURCE, size);
    expect(f.run({ ...MOVE, destination: DESTINATION + shift, size })).toMatchObject({ status: 1, bytes: size });
    expect(f.bytes(DESTINATION + shift, size)).toEqual(before);
    expect([f.memory.bytes[DESTINATION + shift - 1], f.memory.bytes[DESTINATION + shift + size]]).toEqual([0, 0]);
  });

  test.each([-1000, -1, 0, 1, 1000])('M43 a move onto itself by %i bytes is as if all was read first', (by) => {
    const f = working();
    const before = f.bytes(SOURCE + 4096, 5000);
    expect(f.run({ ...MOVE, source: SOURCE + 4096, destination: SOURCE + 4096 + by, size: 5000 }).status).toBe(1);
    expect(f.bytes(SOURCE + 4096 + by, 5000)).toEqual(before);
  });

  test('a part that cannot overlap says so', () => {
    const f = working({ overlap: false });
    expect([f.run({ ...MOVE, destination: SOURCE + 63 }).status, f.run({ ...MOVE, destination: SOURCE + 64 }).status]).toEqual([
      0x16, 1,
    ]);
  });

  test('M43 a fill repeats 8 or 16 bytes, and cuts the last', () => {
    const f = working();
    const fill = { op: OPCODES.fill, source: 0x0706_0504_0302_01, destination: DESTINATION, size: 20_011 };
    expect(f.run(fill)).toMatchObject({ status: 1, bytes: 20_011 });
    const pattern = encode(fill).slice(16, 24);
    expect(f.bytes(DESTINATION, 20_012)).toEqual(
      Uint8Array.from({ length: 20_012 }, (_, i) => (i < 20_011 ? pattern[i % 8]! : 0)),
    );
    const wide: Desc = { ...fill, size: 40, flags: RCR | FLAGS.fillPattern16, own: [[40, 8, 0x99]] };
    expect(f.run(wide).status).toBe(1);
    expect([f.memory.bytes[DESTINATION + 8], f.memory.bytes[DESTINATION + 24], f.memory.bytes[DESTINATION + 32]]).toEqual([
      0x99,
      0x99,
      pattern[0],
    ]);
  });

  test('M43 a compare tells whether ranges differ, and where first', () => {
    const f = working();
    const compare: Desc = { op: OPCODES.compare, source: SOURCE, destination: DESTINATION, size: 30_000 };
    f.memory.bytes.copyWithin(DESTINATION, SOURCE, SOURCE + 30_000);
    expect(f.run(compare)).toMatchObject({ status: 1, result: 0, bytes: 30_000 });
    f.memory.bytes[DESTINATION + 20_001]! ^= 1;
    expect(f.run(compare)).toMatchObject({ status: 1, result: 1, bytes: 20_001 });
  });

  test('M43 a compare with a pattern does the same', () => {
    const f = working();
    f.memory.bytes.fill(0x5a, DESTINATION, DESTINATION + 100);
    const bytes = new DataView(new Uint8Array(8).fill(0x5a).buffer);
    const compare: Desc = { op: OPCODES.comparePattern, source: DESTINATION, size: 100 };
    const run = (): unknown => {
      const words = Uint32Array.of(
        0,
        0x0600_000c,
        CR,
        0,
        DESTINATION,
        0,
        bytes.getUint32(0),
        bytes.getUint32(4),
        100,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
      );
      f.device.portals.movdir64b(0x1000, words);
      f.clock.elapse(10);
      return f.record();
    };
    expect(run()).toMatchObject({ status: 1, result: 0, bytes: 100 });
    f.memory.bytes[DESTINATION + 99] = 0;
    expect(run()).toMatchObject({ status: 1, result: 1, bytes: 99 });
    expect(f.run(compare)).toMatchObject({ result: 1, bytes: 0 });
  });

  test('M44 with check result, what is not as expected is a success with a false predicate', () => {
    const f = working();
    const compare: Desc = {
      op: OPCODES.compare,
      source: SOURCE,
      destination: DESTINATION,
      size: 64,
      flags: RCR | FLAGS.checkResult,
    };
    expect(f.run(compare)).toMatchObject({ status: 2, result: 1 });
    expect(f.run({ ...compare, own: [[40, 1, 1]] })).toMatchObject({ status: 1, result: 1 });
  });

  test('a difference before the page that is missing is found', () => {
    const f = working();
    f.memory.unmap(DESTINATION + PAGE);
    expect(f.run({ op: OPCODES.compare, source: SOURCE, destination: DESTINATION, size: 2 * PAGE })).toMatchObject({
      status: 1,
      result: 1,
      fault: 0,
    });
  });

  test('M43 a dualcast copies twice, to places alike in a page', () => {
    const f = working();
    const dualcast: Desc = { op: OPCODES.dualcast, source: SOURCE, destination: DESTINATION + 8, size: 20_000 };
    expect(f.run({ ...dualcast, own: [[40, 8, OTHER]] }).status).toBe(0x17);
    expect(f.run({ ...dualcast, own: [[40, 8, OTHER + 8]] })).toMatchObject({ status: 1, bytes: 20_000 });
    for (const at of [DESTINATION, OTHER]) expect(f.bytes(at + 8, 20_000)).toEqual(f.bytes(SOURCE, 20_000));
  });

  // The check value of CRC-32C, of its catalogue; the others by a bitwise implementation of the same parameters.
  test.each([
    ['plain', 0, 0],
    ['from a seed', 0, 0x1234_5678],
    ['without inversion', FLAGS.crcBypassInversion, 0x1234_5678],
    ['without reflection of the data', FLAGS.crcBypassReflection, 0],
  ])('M43 the CRC of "123456789", %s', (_what, flag, seed) => {
    const f = working();
    const text = new TextEncoder().encode('123456789');
    f.memory.bytes.set(text, SOURCE);
    const record = f.run({ op: OPCODES.crc, flags: RCR | flag, source: SOURCE, size: 9, own: [[40, 4, seed]] });
    expect(record).toMatchObject({ status: 1, bytes: 9, extra: slowCrc(text, seed, flag) });
    if (seed === 0 && flag === 0) expect(record.extra).toBe(0xe306_9283);
  });

  test.each([0, FLAGS.crcBypassInversion, FLAGS.crcBypassReflection, FLAGS.crcBypassInversion | FLAGS.crcBypassReflection])(
    'M43 the CRC of any length from any address on, with flags %i',
    (flag) => {
      const f = working();
      for (const size of [1, 2, 7, 8, 9, 15, 16, 17, 63, 0x3fff, 0x4000, 0x4001, 0x7ff1]) {
        const source = SOURCE + (size % 5);
        const record = f.run({ op: OPCODES.crc, flags: RCR | flag, source, size, own: [[40, 4, 0x89ab_cdef]] });
        expect([size, record.extra]).toEqual([size, slowCrc(f.bytes(source, size), 0x89ab_cdef, flag)]);
      }
    },
  );

  test('M43 a CRC goes on from the seed in memory; copy and CRC copies too', () => {
    const f = working();
    const all = f.run({ op: OPCODES.crc, source: SOURCE, size: 20_000 }).extra;
    const half = f.run({ op: OPCODES.crc, source: SOURCE, size: 10_000 }).extra;
    f.memory.view.setUint32(OTHER, half, true);
    const rest: Desc = { op: OPCODES.copyCrc, source: SOURCE + 10_000, destination: DESTINATION, size: 10_000 };
    expect(f.run({ ...rest, flags: RCR | FLAGS.crcReadSeed, own: [[48, 8, OTHER]] })).toMatchObject({ status: 1, extra: all });
    expect(f.bytes(DESTINATION, 10_000)).toEqual(f.bytes(SOURCE + 10_000, 10_000));
  });

  test('M43 a delta tells the differences, and applied makes one range the other', () => {
    const f = working({ delta: true });
    f.memory.bytes.copyWithin(DESTINATION, SOURCE, SOURCE + 0x8000);
    const create: Desc = { op: OPCODES.createDelta, source: SOURCE, destination: DESTINATION, size: 0x8000 };
    const own = (max: number) => ({
      own: [
        [40, 8, OTHER],
        [48, 4, max],
      ] as const,
    });
    expect(f.run({ ...create, ...own(80) })).toMatchObject({ status: 1, result: 0, extra: 0, bytes: 0x8000 });
    for (const at of [0, 5000, 0x7ff8]) f.memory.bytes[DESTINATION + at]! ^= 0xff;
    expect(f.run({ ...create, ...own(80) })).toMatchObject({ status: 1, result: 1, extra: 30, bytes: 0x8000 });
    expect([0, 10, 20].map((at) => f.memory.view.getUint16(OTHER + at, true))).toEqual([0, 625, 0xfff]);
    const apply: Desc = { op: OPCODES.applyDelta, source: OTHER, destination: SOURCE, size: 0x8000, own: [[40, 4, 30]] };
    expect(f.run(apply)).toMatchObject({ status: 1, bytes: 30 });
    expect(f.bytes(SOURCE, 0x8000)).toEqual(f.bytes(DESTINATION, 0x8000));
    f.memory.bytes.fill(0xee, DESTINATION, DESTINATION + 0x8000);
    expect(f.run({ ...create, ...own(85) })).toMatchObject({ status: 1, result: 2, extra: 80, bytes: 64 });
    expect([f.memory.bytes[OTHER + 79], f.memory.bytes[OTHER + 80]]).toEqual([0xee, 0]);
    const checked = { ...create, flags: RCR | FLAGS.checkResult, own: [...own(80).own, [56, 1, 0x3]] as const };
    expect(f.run(checked)).toMatchObject({ status: 2, result: 2 });
  });

  test.each<[string, Desc, number]>([
    [
      'a source that is not aligned',
      { op: OPCODES.createDelta, source: SOURCE + 4, destination: OTHER, size: 64, own: [[48, 4, 80]] },
      0x1c,
    ],
    [
      'a size that is no multiple of 8',
      { op: OPCODES.createDelta, source: SOURCE, destination: OTHER, size: 60, own: [[48, 4, 80]] },
      0x13,
    ],
    [
      'a record of less than 80 bytes',
      { op: OPCODES.createDelta, source: SOURCE, destination: OTHER, size: 64, own: [[48, 4, 79]] },
      0x15,
    ],
    [
      'a record in pieces',
      { op: OPCODES.applyDelta, source: OTHER, destination: DESTINATION, size: 64, own: [[40, 4, 15]] },
      0x15,
    ],
    [
      'offsets that do not increase',
      { op: OPCODES.applyDelta, source: OTHER, destination: DESTINATION, size: 64, own: [[40, 4, 20]] },
      0x07,
    ],
    [
      'an offset behind the end',
      { op: OPCODES.applyDelta, source: OTHER + 0x100, destination: DESTINATION, size: 64, own: [[40, 4, 10]] },
      0x08,
    ],
  ])('a delta is refused for %s', (_what, desc, status) => {
    const f = working({ delta: true });
    f.memory.view.setUint16(OTHER + 0x100, 8, true);
    expect(f.run(desc).status).toBe(status);
  });

  test.each([0, 1, 2, 3])('M43 tags of blocks %i are inserted, checked, updated and stripped', (kind) => {
    const f = working();
    const block = DSA.DIF_BLOCKS[kind]!;
    const tags = [
      [56, 4, 0xabba],
      [62, 2, 0xface],
    ] as const;
    const from = [
      [48, 4, 0xabba],
      [54, 2, 0xface],
    ] as const;
    const insert: Desc = {
      op: OPCODES.difInsert,
      source: SOURCE,
      destination: DESTINATION,
      size: 2 * block,
      own: [[42, 1, kind], ...tags],
    };
    expect(f.run(insert)).toMatchObject({ status: 1, bytes: 2 * block });
    const tag = DESTINATION + 2 * block + 8;
    expect([f.memory.view.getUint16(tag), f.memory.view.getUint16(tag + 2), f.memory.view.getUint32(tag + 4)]).toEqual([
      slowGuard(f.bytes(SOURCE + block, block)),
      0xface,
      0xabbb,
    ]);
    expect([f.memory.view.getUint32(CR + 24, true), f.memory.view.getUint16(CR + 30, true)]).toEqual([0xabbc, 0xface]);
    const size = 2 * (block + 8);
    const check: Desc = { op: OPCODES.difCheck, source: DESTINATION, size, own: [[42, 1, kind], ...from] };
    expect(f.run(check)).toMatchObject({ status: 1, bytes: size });
    const strip: Desc = { ...check, op: OPCODES.difStrip, destination: OTHER };
    expect(f.run(strip).status).toBe(1);
    expect(f.bytes(OTHER, 2 * block)).toEqual(f.bytes(SOURCE, 2 * block));
    const to = [
      [56, 4, 7],
      [62, 2, 9],
    ] as const;
    const update: Desc = { ...strip, op: OPCODES.difUpdate, own: [[41, 1, 0x80], [42, 1, kind], ...from, ...to] };
    expect(f.run(update).status).toBe(1);
    expect(f.memory.view.getUint32(OTHER + size - 4)).toBe(7);
    f.memory.bytes[DESTINATION + block + 8]! ^= 1;
    expect(f.run(check)).toMatchObject({ status: 0x09, result: 1, bytes: block + 8 });
    expect(
      f.run({
        ...check,
        own: [
          [42, 1, kind],
          [48, 4, 1],
          [54, 2, 1],
        ],
      }),
    ).toMatchObject({ status: 0x09, result: 6, bytes: 0 });
    expect(f.run({ ...check, size: size - 1 }).status).toBe(0x13);
  });

  test('a drain reads back what it names', () => {
    const f = working();
    const drain: Desc = { op: OPCODES.drain, flags: RCR | FLAGS.drainReadback1, source: SOURCE };
    expect(f.run(drain).status).toBe(1);
    f.memory.unmap(SOURCE);
    expect(f.run(drain)).toMatchObject({ status: 0x1f, fault: SOURCE });
  });
});

/** CRC-32C, bit by bit, as the specification of the operation words it. */
function slowCrc(bytes: Uint8Array, seed: number, flag: number): number {
  const reverse = (value: number, width: number): number => {
    let out = 0;
    for (let i = 0; i < width; i++) if ((value & (2 ** i)) !== 0) out += 2 ** (width - 1 - i);
    return out;
  };
  let crc = (flag & FLAGS.crcBypassInversion) !== 0 ? reverse(seed, 32) : ~seed >>> 0;
  for (const byte of bytes) {
    crc = (crc ^ ((flag & FLAGS.crcBypassReflection) !== 0 ? reverse(byte, 8) : byte)) >>> 0;
    for (let i = 0; i < 8; i++) crc = ((crc >>> 1) ^ ((crc & 1) * 0x82f6_3b78)) >>> 0;
  }
  return (flag & FLAGS.crcBypassInversion) !== 0 ? reverse(crc, 32) : ~crc >>> 0;
}

/** CRC-16 of T10, bit by bit. */
function slowGuard(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let i = 0; i < 8; i++) crc = ((crc << 1) ^ ((crc >>> 15) * 0x8bb7)) & 0xffff;
  }
  return crc;
}
