import { describe, expect, test } from 'vitest';
import { CRAV, type Desc, DsaBench, RCI, RCR } from './dsa-bench.js';

const CHECK = 0x80;

async function ready(options: Parameters<typeof DsaBench.start>[0] = {}): Promise<DsaBench> {
  const bench = await DsaBench.start(options);
  bench.enable([{ size: 64 }]);
  return bench;
}

/** CRC-16 of T10, bit by bit. */
function t10(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let i = 0; i < 8; i++) crc = ((crc << 1) ^ ((crc & 0x8000) === 0 ? 0 : 0x8bb7)) & 0xffff;
  }
  return crc;
}

describe('5.6 memory move and fill', () => {
  test.each([1, 7, 63, 64, 65, 4095, 4096, 4097, 20_000])('M43 %d bytes, and nothing beside them', async (size) => {
    await using bench = await ready();
    const data = bench.seed(bench.source + 3, size);
    bench.put(bench.destination + 4, new Uint8Array(size + 2).fill(0xee));
    expect(bench.run({ op: 3, source: bench.source + 3, destination: bench.destination + 5, size })).toMatchObject({
      status: 1,
      bytes: size,
    });
    expect(bench.bytes(bench.destination + 5, size)).toEqual(data);
    expect([...bench.bytes(bench.destination + 4, 1), ...bench.bytes(bench.destination + 5 + size, 1)]).toEqual([0xee, 0xee]);
  });

  test.each([100, -100, 4096, -4096, 0])('a move over itself by %d is as if all had been read first', async (by) => {
    await using bench = await ready();
    const data = bench.seed(bench.source, 0x3000);
    expect(bench.run({ op: 3, source: bench.source, destination: bench.source + by, size: 0x3000 }).status).toBe(1);
    expect(bench.bytes(bench.source + by, 0x3000)).toEqual(data);
  });

  test('M43 a fill repeats its pattern and cuts the last', async () => {
    await using bench = await ready();
    const fill = { op: 4, destination: bench.destination, source: 0x8_0706_0504_0302, size: 21 };
    expect(bench.run(fill)).toMatchObject({ status: 1, bytes: 21 });
    const pattern = [2, 3, 4, 5, 6, 7, 8, 0];
    const expected = Array.from({ length: 21 }, (_, i) => pattern[i % 8]!);
    expect([...bench.bytes(bench.destination, 22)]).toEqual([...expected, 0]);
    expect(bench.run({ ...fill, flags: RCR | 0x1_0000, size: 20, own: [[40, 4, 0x0d0c_0b0a]] }).status).toBe(1);
    expect([...bench.bytes(bench.destination, 20)]).toEqual([...pattern, 10, 11, 12, 13, 0, 0, 0, 0, 2, 3, 4, 5]);
  });
});

describe('5.6 compare', () => {
  test('M43 M44 the result, where it is, and whether that was expected', async () => {
    await using bench = await ready();
    const data = bench.seed(bench.source, 0x5000);
    bench.put(bench.destination, data);
    const compare = { op: 5, source: bench.source, destination: bench.destination, size: 0x5000 };
    expect(bench.run(compare)).toMatchObject({ status: 1, result: 0, bytes: 0x5000 });
    bench.put(bench.destination + 0x4321, [data[0x4321]! ^ 1]);
    expect(bench.run(compare)).toMatchObject({ status: 1, result: 1, bytes: 0x4321 });
    const check = (expected: number): number => bench.run({ ...compare, flags: RCR | CHECK, own: [[40, 1, expected]] }).status;
    expect([check(0), check(1)]).toEqual([2, 1]);
    bench.put(bench.destination, data);
    expect([check(0), check(1)]).toEqual([1, 2]);
  });

  test('a false predicate has its record without having asked for it, and no error', async () => {
    await using bench = await ready();
    bench.put(bench.source, [1]);
    const compare = { op: 5, source: bench.source, destination: bench.destination, size: 8, flags: CRAV | CHECK };
    expect(bench.run(compare)).toMatchObject({ status: 2, result: 1, bytes: 0 });
    bench.run({ ...compare, flags: CHECK });
    expect(bench.swerror.valid).toBe(0);
  });

  test('M43 a pattern', async () => {
    await using bench = await ready();
    bench.put(bench.source, [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 9]);
    const compare = { op: 6, source: bench.source, destination: 0x7_0605_0403_0201 + 0, size: 12 };
    const low: Desc['own'] = [
      [24, 4, 0x0403_0201],
      [28, 4, 0x0807_0605],
    ];
    expect(bench.run({ ...compare, own: low })).toMatchObject({ status: 1, result: 0, bytes: 12 });
    expect(bench.run({ ...compare, size: 13, own: low })).toMatchObject({ status: 1, result: 1, bytes: 12 });
  });
});

describe('5.6 dualcast, cache flush, no-op', () => {
  test('M43 both places; they have the same low 12 bits', async () => {
    await using bench = await ready();
    const data = bench.seed(bench.source, 0x1234);
    const cast = { op: 9, source: bench.source, destination: bench.destination + 8, size: 0x1234 };
    const second = (at: number): Desc['own'] => [[40, 8, at]];
    expect(bench.run({ ...cast, own: second(bench.destination + 0x8008) })).toMatchObject({ status: 1, bytes: 0x1234 });
    expect([bench.bytes(bench.destination + 8, 0x1234), bench.bytes(bench.destination + 0x8008, 0x1234)]).toEqual([data, data]);
    expect(bench.run({ ...cast, own: second(bench.destination + 0x8010) }).status).toBe(0x17);
    expect(bench.run({ ...cast, own: second(bench.nowhere + 8) })).toMatchObject({ status: 0x83, fault: bench.nowhere + 8 });
  });

  test('a flush changes nothing', async () => {
    await using bench = await ready();
    const data = bench.seed(bench.destination, 64);
    expect(bench.run({ op: 0x20, destination: bench.destination, size: 64 }).status).toBe(1);
    expect(bench.bytes(bench.destination, 64)).toEqual(data);
    expect(bench.run({ op: 0x20, destination: bench.destination, size: 0 }).status).toBe(0x13);
  });
});

describe('5.6 CRC', () => {
  const text = Array.from({ length: 9 }, (_, i) => 0x31 + i);

  test('M43 the check value; it goes on from a seed, also one in memory', async () => {
    await using bench = await ready();
    bench.put(bench.source, text);
    const crc = { op: 0x10, source: bench.source, size: 9 };
    expect(bench.run(crc)).toMatchObject({ status: 1, bytes: 9, flags: 0xe306_9283 });
    const first = bench.run({ ...crc, size: 4 }).flags;
    const rest = { ...crc, source: bench.source + 4, size: 5 };
    expect(bench.run({ ...rest, own: [[40, 4, first]] }).flags).toBe(0xe306_9283);
    bench.put(bench.list, new Uint8Array(Uint32Array.of(first).buffer));
    expect(bench.run({ ...rest, flags: RCR | 0x1_0000, own: [[48, 8, bench.list]] }).flags).toBe(0xe306_9283);
  });

  test('M43 copy and CRC copies', async () => {
    await using bench = await ready();
    bench.put(bench.source, text);
    expect(bench.run({ op: 0x11, source: bench.source, destination: bench.destination, size: 9 })).toMatchObject({
      status: 1,
      flags: 0xe306_9283,
    });
    expect([...bench.bytes(bench.destination, 10)]).toEqual([...text, 0]);
  });

  test('without inversion and reflection of the value, and of the data', async () => {
    await using bench = await ready();
    const data = bench.seed(bench.source, 1000);
    const reverse = (value: number, width: number): number =>
      Array.from({ length: width }, (_, i) => Math.floor(value / 2 ** i) & 1).reduce((out, one) => out * 2 + one, 0);
    const raw = (bytes: Uint8Array, start: number): number => {
      let crc = start;
      for (const byte of bytes) {
        crc = (crc ^ byte) >>> 0;
        for (let i = 0; i < 8; i++) crc = ((crc >>> 1) ^ ((crc & 1) * 0x82f6_3b78)) >>> 0;
      }
      return crc;
    };
    const seed = 0x1234_5678;
    const run = (flags: number): number =>
      bench.run({ op: 0x10, source: bench.source, size: 1000, flags: RCR | flags, own: [[40, 4, seed]] }).flags;
    const mirrored = data.map((byte) => reverse(byte, 8));
    expect(run(0)).toBe(~raw(data, ~seed >>> 0) >>> 0);
    expect(run(0x2_0000)).toBe(reverse(raw(data, reverse(seed, 32)), 32));
    expect(run(0x4_0000)).toBe(~raw(mirrored, ~seed >>> 0) >>> 0);
    expect(run(0x6_0000)).toBe(reverse(raw(mirrored, reverse(seed, 32)), 32));
  });
});

describe('5.6 delta', () => {
  test('M43 what differs, and its way back', async () => {
    await using bench = await ready({ delta: true });
    const data = bench.seed(bench.source, 0x1000);
    bench.put(bench.destination, data);
    const record = bench.list;
    const create: Desc = {
      op: 7,
      source: bench.source,
      destination: bench.destination,
      size: 0x1000,
      own: [
        [40, 8, record],
        [48, 4, 80],
      ],
    };
    expect(bench.run(create)).toMatchObject({ status: 1, result: 0, bytes: 0x1000, flags: 0 });
    bench.put(bench.destination + 0x10, [1, 2, 3, 4]);
    bench.put(bench.destination + 0xfff, [0xaa]);
    const changed = bench.bytes(bench.destination, 0x1000);
    expect(bench.run(create)).toMatchObject({ status: 1, result: 1, flags: 20 });
    expect([...bench.bytes(record, 20)]).toEqual([2, 0, ...changed.slice(0x10, 0x18), 0xff, 1, ...changed.slice(0xff8)]);
    expect(bench.run({ op: 8, source: record, destination: bench.source, size: 0x1000, own: [[40, 4, 20]] }).status).toBe(1);
    expect(bench.bytes(bench.source, 0x1000)).toEqual(changed);
  });

  test('what does not fit, and what cannot be', async () => {
    await using bench = await ready({ delta: true });
    bench.seed(bench.source, 0x1000);
    const create = (size: number, max: number, offset = 0, flags = RCR, mask = 0): { status: number; result: number } =>
      bench.run({
        op: 7,
        source: bench.source + offset,
        destination: bench.destination,
        size,
        flags,
        own: [
          [40, 8, bench.list],
          [48, 4, max],
          [56, 1, mask],
        ],
      });
    expect(create(0x1000, 80)).toMatchObject({ status: 1, result: 2, flags: 80 });
    expect([create(0x1000, 79).status, create(0x1004, 80).status, create(0x1000, 80, 4).status]).toEqual([0x15, 0x13, 0x1c]);
    expect([create(0x1000, 80, 0, RCR | CHECK, 0b011).status, create(0x1000, 80, 0, RCR | CHECK, 0b100).status]).toEqual([2, 1]);
    const apply = (record: readonly number[], size = 16): number => {
      bench.put(bench.list, record);
      return bench.run({ op: 8, source: bench.list, destination: bench.destination, size, own: [[40, 4, record.length]] }).status;
    };
    const entry = (unit: number): number[] => [unit & 255, unit >> 8, 1, 1, 1, 1, 1, 1, 1, 1];
    expect([
      apply([...entry(0), ...entry(1)]),
      apply([...entry(1), ...entry(0)]),
      apply([...entry(1), ...entry(1)]),
      apply(entry(2)),
    ]).toEqual([1, 7, 7, 8]);
  });
});

describe('5.6 DIF', () => {
  const APP = 0xface;
  const REF = 0xabba;
  const sourceTags: Desc['own'] = [
    [48, 4, REF],
    [54, 2, APP],
  ];
  const destinationTags: Desc['own'] = [
    [56, 4, REF],
    [62, 2, APP],
  ];
  const tags = (block: Uint8Array, ref: number, app = APP): number[] => {
    const guard = t10(block);
    return [guard >> 8, guard & 255, app >> 8, app & 255, ref >>> 24, (ref >>> 16) & 255, (ref >>> 8) & 255, ref & 255];
  };

  test('the check value of T10', () => {
    expect(t10(Uint8Array.from({ length: 9 }, (_, i) => 0x31 + i))).toBe(0xd0db);
  });

  test.each([
    [0, 512],
    [1, 520],
    [2, 4096],
    [3, 4104],
  ])('M43 blocks %d: inserted, checked, stripped', async (kind, block) => {
    await using bench = await ready();
    const data = bench.seed(bench.source, 2 * block);
    const insert = { op: 0x13, source: bench.source, destination: bench.destination, size: 2 * block };
    expect(bench.run({ ...insert, own: [[42, 1, kind], ...destinationTags] })).toMatchObject({ status: 1, bytes: 2 * block });
    const [one, two] = [data.subarray(0, block), data.subarray(block)];
    const expected = [...one, ...tags(one, REF), ...two, ...tags(two, REF + 1)];
    expect([...bench.bytes(bench.destination, 2 * block + 17)]).toEqual([...expected, 0]);
    const size = 2 * block + 16;
    const check = { op: 0x12, source: bench.destination, size, own: [[42, 1, kind], ...sourceTags] } satisfies Desc;
    expect(bench.run(check)).toMatchObject({ status: 1, result: 0, bytes: size });
    bench.put(bench.source, new Uint8Array(2 * block));
    expect(bench.run({ ...check, op: 0x14, destination: bench.source }).status).toBe(1);
    expect(bench.bytes(bench.source, 2 * block)).toEqual(data);
    expect(bench.run({ ...check, size: size - 1 }).status).toBe(0x13);
  });

  test('flags: a guard that begins with ones, and one that is inverted', async () => {
    await using bench = await ready();
    const data = bench.seed(bench.source, 512);
    const guard = (flags: number): number => {
      bench.run({ op: 0x13, source: bench.source, destination: bench.destination, size: 512, own: [[42, 1, flags]] });
      const [high, low] = bench.bytes(bench.destination + 512, 2);
      return high! * 256 + low!;
    };
    // To begin with ones is to have the complement of the first two bytes in front.
    const ones = data.map((byte, i) => (i < 2 ? byte ^ 0xff : byte));
    expect([guard(0), guard(8), guard(4), guard(12)]).toEqual([t10(data), t10(data) ^ 0xffff, t10(ones), t10(ones) ^ 0xffff]);
  });

  test('what is wrong is a DIF error, after the blocks before it', async () => {
    await using bench = await ready();
    const data = bench.seed(bench.source, 1024);
    bench.run({ op: 0x13, source: bench.source, destination: bench.destination, size: 1024, own: destinationTags });
    const check = (): { status: number; bytes: number } =>
      bench.run({ op: 0x12, source: bench.destination, size: 1040, own: sourceTags });
    for (const at of [520 + 10, 520 + 512, 520 + 515, 520 + 519]) {
      const [was] = bench.bytes(bench.destination + at, 1);
      bench.put(bench.destination + at, [was! ^ 0x40]);
      expect(check(), `${at}`).toMatchObject({ status: 9, bytes: 520 });
      bench.put(bench.destination + at, [was!]);
    }
    expect(check().status).toBe(1);
    expect(data.length).toBe(1024);
    // A mask lets its bits of the application tag be anything.
    bench.put(bench.destination + 515, [0xcf]);
    expect(bench.run({ op: 0x12, source: bench.destination, size: 1040, own: [...sourceTags, [52, 2, 1]] }).status).toBe(1);
  });

  test('a reference tag that is fixed does not count on; updated tags are others', async () => {
    await using bench = await ready();
    const data = bench.seed(bench.source, 1024);
    bench.run({
      op: 0x13,
      source: bench.source,
      destination: bench.destination,
      size: 1024,
      own: [[41, 1, 0x80], ...destinationTags],
    });
    const [one, two] = [data.subarray(0, 512), data.subarray(512)];
    expect([...bench.bytes(bench.destination, 1040)]).toEqual([...one, ...tags(one, REF), ...two, ...tags(two, REF)]);
    const update: Desc = {
      op: 0x15,
      source: bench.destination,
      destination: bench.source,
      size: 1040,
      own: [[40, 1, 0x80], ...sourceTags, [56, 4, 7], [62, 2, 0x1234]],
    };
    expect(bench.run(update).status).toBe(1);
    expect([...bench.bytes(bench.source, 1040)]).toEqual([...one, ...tags(one, 7, 0x1234), ...two, ...tags(two, 8, 0x1234)]);
  });
});

describe('5.6 batch', () => {
  async function batch(
    members: readonly Desc[],
    more: Desc = {},
  ): Promise<{ bench: DsaBench; record: ReturnType<DsaBench['run']> }> {
    const bench = await ready();
    const bytes = new Uint8Array(64 * members.length);
    members.forEach((member, i) => {
      const record = bench.record + 64 * (i + 1);
      bytes.set(new Uint8Array(bench.encode({ record, ...member }).buffer), 64 * i);
    });
    bench.put(bench.list, bytes);
    return { bench, record: bench.run({ op: 1, source: bench.list, size: members.length, ...more }) };
  }
  const statuses = (bench: DsaBench, count: number): number[] =>
    Array.from({ length: count }, (_, i) => bench.completion(64 * (i + 1)).status);

  test('M46 members are done one by one, and counted', async () => {
    const { bench, record } = await batch([{}, { flags: RCR | RCI, handle: 2 }, {}], { flags: RCR | RCI, handle: 1 });
    await using _ = bench;
    expect([record.status, record.bytes, statuses(bench, 3)]).toEqual([1, 3, [1, 1, 1]]);
    expect(bench.irqs()).toEqual([2, 1]);
  });

  test('M46 members of a kind that cannot be fail, and the batch says so', async () => {
    const { bench, record } = await batch([{ op: 1, size: 2 }, { op: 2 }, {}]);
    await using _ = bench;
    expect([record.status, record.bytes, statuses(bench, 3)]).toEqual([5, 3, [0x10, 0x10, 1]]);
  });

  test('a fence lets the rest go when one before it has failed; without one all are done', async () => {
    const { bench, record } = await batch([{ op: 0x0b }, {}, { flags: RCR | 1 }, {}]);
    await using _ = bench;
    expect([record.status, record.bytes, statuses(bench, 4)]).toEqual([5, 2, [0x10, 1, 0, 0]]);
    const { bench: good, record: all } = await batch([{}, { flags: RCR | 1 }]);
    await using __ = good;
    expect([all.status, statuses(good, 2)]).toEqual([1, [1, 1]]);
  });

  test('a fence outside a batch is a flag that is not there', async () => {
    await using bench = await ready();
    expect(bench.run({ flags: RCR | 1 })).toMatchObject({ status: 0x11, flags: 1 });
  });

  test('M46 its count, its place and its flags', async () => {
    await using bench = await ready();
    const run = (desc: Desc): number => bench.run({ op: 1, source: bench.list, size: 2, ...desc }).status;
    // The limit of this queue is 32.
    expect([run({ size: 1 }), run({ size: 33 }), run({ size: 0 }), run({ source: bench.list + 32 })]).toEqual([
      0x14, 0x14, 0x14, 0x18,
    ]);
    expect([run({ flags: RCR | CHECK }), run({ flags: RCR | 2 })]).toEqual([0x11, 0x11]);
    expect(bench.run({ op: 1, source: bench.nowhere, size: 2 })).toMatchObject({ status: 6, fault: bench.nowhere, bytes: 0 });
  });

  test('what of a member cannot be told is in the error register, with its number', async () => {
    const { bench, record } = await batch([{}, { op: 0x0b, flags: 0 }]);
    await using _ = bench;
    expect([record.status, bench.swerror]).toMatchObject([5, { valid: 1, batch: 1, index: 1, error: 0x10, opcode: 0x0b, wq: 0 }]);
  });
});
