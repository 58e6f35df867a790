import { describe, expect, test } from 'vitest';
import { CRAV, type Desc, DsaBench, RCI, RCR, SHARED, withPasid } from './dsa-bench.js';

const move = (bench: DsaBench) => ({ op: 3, source: bench.source, destination: bench.destination, size: 0x3000 });

/** One whose record is nowhere. */
function lose(bench: DsaBench, desc: Desc, page = 1): void {
  bench.submit({ ...desc, record: bench.nowhere }, { page });
  bench.elapse();
}

async function ready(options: Parameters<typeof DsaBench.start>[0] = {}): Promise<DsaBench> {
  const bench = await DsaBench.start(options);
  bench.enable();
  return bench;
}

describe('5.4 records and interrupts', () => {
  test('M36 who asked for what', async () => {
    await using bench = await ready();
    const run = (flags: number): [status: number, irqs: number[]] => [bench.run({ flags, handle: 3 }).status, bench.irqs()];
    expect([run(RCR), run(CRAV | RCI), run(RCI), run(CRAV), run(0), run(RCR | RCI)]).toEqual([
      [1, []],
      [0, [3]],
      [0, [3]],
      [0, []],
      [0, []],
      [1, [3]],
    ]);
    expect(bench.swerror.valid).toBe(0);
  });

  test('a failure has its record where one may be written, asked for or not; and its interrupt', async () => {
    await using bench = await ready();
    expect([bench.run({ op: 0x0b, flags: CRAV | RCI, handle: 3 }).status, bench.irqs()]).toEqual([0x10, [3]]);
    // A record that was asked for, and is nowhere.
    expect(bench.run({ op: 0x0b, flags: 8 | RCI, handle: 3 }).status).toBe(0);
    expect([bench.swerror.error, bench.irqs()]).toEqual([0x10, [3]]);
  });

  test('a record fills its 32 bytes and no more', async () => {
    await using bench = await ready();
    bench.put(bench.record, new Uint8Array(96).fill(0xee));
    bench.submit({ record: bench.record + 32 });
    bench.elapse();
    expect([...bench.bytes(bench.record, 96)]).toEqual([
      ...new Array<number>(32).fill(0xee),
      1,
      ...new Array<number>(31).fill(0),
      ...new Array<number>(32).fill(0xee),
    ]);
  });
});

describe('5.4 page faults', () => {
  test('M42 the source, the destination: where, how far, and nothing behind', async () => {
    await using bench = await ready();
    const end = bench.arena.address + 0x4_0000;
    const data = bench.seed(end - 0x1100, 0x1100);
    expect(bench.run({ ...move(bench), source: end - 0x1100 })).toMatchObject({
      status: 3,
      bytes: 0x1100,
      fault: end,
      result: 0,
    });
    expect(bench.bytes(bench.destination, 0x1101)).toEqual(Uint8Array.from([...data, 0]));
    expect(bench.run({ ...move(bench), destination: end - 0x10 })).toMatchObject({ status: 0x83, bytes: 0x10, fault: end });
    expect(bench.run({ ...move(bench), op: 4, destination: end - 0x10 })).toMatchObject({
      status: 0x83,
      bytes: 0x10,
      fault: end,
    });
    expect(bench.run({ ...move(bench), op: 5, destination: bench.nowhere })).toMatchObject({
      status: 3,
      bytes: 0,
      fault: bench.nowhere,
    });
    expect(bench.run({ op: 0x10, source: end - 9, size: 10 })).toMatchObject({ status: 3, bytes: 9, fault: end });
    expect(bench.sim.iommuFaults.length).toBeGreaterThan(0);
  });

  test('an address that does not exist', async () => {
    await using bench = await ready();
    const own = [[28, 4, 0xffff_ffff]] as const;
    expect(bench.run({ ...move(bench), own })).toMatchObject({ status: 0x83, bytes: 0 });
    expect(bench.bytes(bench.destination, 16)).toEqual(new Uint8Array(16));
  });

  test('M39 blocking on a fault is a flag of queues that may', async () => {
    await using bench = await ready({ blockOnFault: true });
    expect(bench.run({ ...move(bench), flags: RCR | 2 })).toMatchObject({ status: 0x11, flags: 2 });
  });
});

describe('2.8 the error register', () => {
  test('M7 M8 the first stays, later ones are an overflow; both are acknowledged, and the next is recorded', async () => {
    await using bench = await ready();
    bench.run({ op: 0x0b, flags: 0 });
    expect([bench.swerror, bench.r32(0x98), bench.irqs()]).toMatchObject([
      { valid: 1, overflow: 0, error: 0x10, opcode: 0x0b, wq: 0, descriptor: 1, wqValid: 1, batch: 0, write: 0 },
      0,
      [],
    ]);
    bench.w32(0x88, 1);
    bench.run({ op: 0x0c, flags: 0 });
    expect([bench.swerror, bench.r32(0x98), bench.irqs()]).toMatchObject([{ overflow: 1, opcode: 0x0b }, 1, [0]]);
    bench.w64(0xc0, 3n);
    expect(bench.swerror).toMatchObject({ valid: 0, overflow: 0 });
    bench.run({ op: 0x0d, flags: 0 });
    expect(bench.swerror).toMatchObject({ valid: 1, overflow: 0, opcode: 0x0d });
    bench.w64(0xc8, 2n ** 64n - 1n);
    bench.w32(0xc0, 1);
    expect(bench.swerror).toMatchObject({ valid: 0, index: 0, flags: 0 });
  });

  test('overflow alone can be acknowledged', async () => {
    await using bench = await ready();
    for (let i = 0; i < 2; i++) bench.run({ op: 0x0b, flags: 0 });
    bench.w32(0xc0, 2);
    expect(bench.swerror).toMatchObject({ valid: 1, overflow: 0 });
  });

  test('flags, address and direction of what could not be told', async () => {
    await using bench = await ready();
    bench.run({ flags: 0x40 });
    expect(bench.swerror).toMatchObject({ error: 0x11, flags: 0x40 });
    bench.w32(0xc0, 3);
    bench.run({ op: 4, flags: 0, destination: bench.nowhere, size: 8 });
    expect(bench.swerror).toMatchObject({ error: 3, write: 1, address: BigInt(bench.nowhere) });
    bench.w32(0xc0, 3);
    lose(bench, {});
    expect(bench.swerror).toMatchObject({ error: 0x1a, write: 1, address: BigInt(bench.nowhere) });
    bench.w32(0xc0, 3);
    bench.run({ record: bench.record + 16 });
    expect([bench.swerror.error, bench.bytes(bench.record, 64)]).toEqual([0x1b, new Uint8Array(64)]);
  });

  test('the PASID and privilege of shared work are those of its descriptor', async () => {
    await using bench = await DsaBench.start({ pasid: true });
    bench.enable([{ mode: SHARED, threshold: 8 }]);
    bench.enqcmd({ op: 0x0b, flags: 0, pasid: 0x8001_2345 });
    bench.elapse();
    expect([bench.swerror, (bench.r32(0xc0) >>> 6) & 1]).toMatchObject([{ pasid: 0x1_2345, error: 0x10 }, 1]);
  });
});

describe('2.9 the event log', () => {
  const BAD = { op: 0x0b, flags: 0 };
  const ENTRIES = 64;
  async function logging(options: { genctrl?: number; pasid?: boolean; eventLog?: 64 | 128 | 256 } = {}): Promise<DsaBench> {
    const { genctrl = 4, pasid = false, eventLog = 64 } = options;
    const bench = await DsaBench.start({ pasid, eventLog });
    bench.w64(0xe0, BigInt(bench.destination));
    bench.w64(0xe8, BigInt(ENTRIES));
    bench.w32(0x88, genctrl);
    if (pasid) bench.space(7);
    bench.enable([pasid ? { mode: withPasid(7) } : {}], 0x3000);
    return bench;
  }
  const entry = (bench: DsaBench, index: number, word: number, bytes = 64): number =>
    bench.word(bench.destination + bytes * index + 4 * word);

  test('M65 an entry, its tail, its bit and its interrupt', async () => {
    await using bench = await logging();
    expect(bench.r64(0xf0)).toBe(0n);
    bench.run({ ...BAD, handle: 5 });
    expect([bench.r64(0xf0), bench.r32(0x98), bench.irqs(), bench.swerror.valid]).toEqual([0x4000_0001_0000_0000n, 0x20, [0], 0]);
    expect([0, 1, 2, 4].map((word) => entry(bench, 0, word))).toEqual([0x100c, 0x0b, 0, 0]);
    expect([entry(bench, 0, 8) & 0xff, entry(bench, 1, 0)]).toEqual([0x10, 0]);
    bench.w32(0xf4, 0x4000_0000);
    bench.w32(0xf0, 1);
    expect(bench.r64(0xf0)).toBe(0x1_0000_0001n);
  });

  test('M65 without its bit in GENCTRL there is no cause and no interrupt', async () => {
    await using bench = await logging({ genctrl: 3 });
    bench.run(BAD);
    expect([bench.r32(0xf4), bench.r32(0x98), bench.irqs()]).toEqual([0x4000_0001, 0, []]);
  });

  test('what is told more: invalid flags; handle, what was asked for and which table', async () => {
    await using bench = await logging({ pasid: true });
    bench.run({ flags: 0x40 });
    expect([entry(bench, 0, 0), entry(bench, 0, 1) >>> 8, entry(bench, 0, 3)]).toEqual([0x118c, 7, 0x40]);
    bench.w32(bench.slot(3, 12), 4);
    lose(bench, { flags: RCR | RCI, handle: 3 }, 3);
    expect([entry(bench, 1, 0), entry(bench, 1, 3), entry(bench, 1, 4)]).toEqual([0x1aac, 0x7_0003, bench.nowhere % 2 ** 32]);
    expect(entry(bench, 1, 8)).toBe(1);
  });

  test('M64 full: the register has it, with overflow; with room it goes on, and wraps', async () => {
    await using bench = await logging();
    for (let i = 0; i < 63; i++) bench.run(BAD);
    expect([bench.r32(0xf4) & 0xffff, bench.swerror.valid]).toEqual([63, 0]);
    bench.run(BAD);
    expect([bench.r32(0xf4) & 0xffff, bench.swerror]).toMatchObject([63, { valid: 1, overflow: 1 }]);
    bench.w32(0xf0, 2);
    bench.run(BAD);
    bench.run({ ...BAD, op: 0x0c });
    expect([bench.r32(0xf4) & 0xffff, entry(bench, 0, 1)]).toEqual([1, 0x0c]);
    bench.run(BAD);
    expect(bench.r32(0xf4) & 0xffff).toBe(1);
  });

  test('M66 it begins anew when it is switched on, and keeps its place while it is on', async () => {
    await using bench = await logging();
    bench.run(BAD);
    bench.w64(0xe0, 0n);
    bench.w64(0xe8, 99n);
    expect([bench.r64(0xe0), bench.r64(0xe8)]).toEqual([BigInt(bench.destination), 64n]);
    bench.must(2);
    bench.w32(0x80, 0x1000);
    expect(bench.r32(0xf4) & 0xffff).toBe(1);
    bench.w64(0xe8, 99n);
    bench.w32(0x80, 0x3000);
    expect([bench.r64(0xe8), bench.r64(0xf0) & 0xffff_0000_ffffn]).toEqual([99n, 0n]);
  });

  test.each([128, 256] as const)('entries of %d bytes', async (bytes) => {
    await using bench = await logging({ eventLog: bytes });
    expect((bench.r32(0x10) >>> 13) & 3).toBe(Math.log2(bytes / 32));
    bench.run(BAD);
    bench.run({ ...BAD, op: 0x0c });
    expect([entry(bench, 0, 1, bytes), entry(bench, 1, 1, bytes)]).toEqual([0x0b, 0x0c]);
  });

  test('its place keeps nothing of what is no address, and its reserved bits', async () => {
    await using bench = await DsaBench.start();
    bench.w64(0xe0, 2n ** 64n - 1n);
    bench.w64(0xe8, 2n ** 64n - 1n);
    expect([bench.r64(0xe0), bench.r64(0xe8)]).toEqual([0xffff_ffff_ffff_f003n, 0xf_ffff_ffffn]);
    bench.w64(0xf0, 2n ** 64n - 1n);
    expect(bench.r64(0xf0)).toBe(0xffffn);
    bench.must(5);
    expect([bench.r64(0xe0), bench.r64(0xe8), bench.r64(0xf0)]).toEqual([0n, 0n, 0n]);
  });

  test('without PASIDs a record that cannot be written is never logged: kernels fall over it', async () => {
    await using bench = await logging();
    lose(bench, {});
    expect([bench.r32(0xf4), bench.swerror.error]).toEqual([0, 0x1a]);
  });
});

describe('5.5 the order of checks', () => {
  test('the first that fails is told', async () => {
    await using bench = await ready();
    const bad = { flags: RCR | 0x40, size: 0, handle: 99, own: [[38, 2, 1]] } as const;
    expect(bench.run({ ...bad, op: 0x0b }).status).toBe(0x10);
    expect(bench.run({ ...bad, op: 3, record: bench.record + 8 }).status).toBe(0);
    expect(bench.swerror.error).toBe(0x1b);
    expect(bench.run({ ...bad, op: 3 }).status).toBe(0x11);
    expect(bench.run({ ...bad, op: 3, flags: RCR | RCI }).status).toBe(0x12);
    expect(bench.run({ op: 3, flags: RCR | RCI, handle: 99 }).status).toBe(0x13);
    expect(bench.run({ op: 1, size: 1, source: 8, flags: RCR | RCI, handle: 99 }).status).toBe(0x14);
    expect(bench.run({ op: 4, size: 8, destination: bench.nowhere, flags: RCR | RCI, handle: 99 }).status).toBe(0x19);
    expect(bench.irqs()).toEqual([]);
  });

  test('M40 sizes: up to what the queue allows, which is at most what the part does', async () => {
    await using bench = await DsaBench.start({ maxTransfer: 2 ** 14 });
    bench.enable([{ limits: 12 }, { limits: 14 }]);
    const run = (size: number, wq: number): number => bench.run({ op: 4, destination: bench.destination, size }, { wq }).status;
    expect([run(0, 0), run(1, 0), run(4096, 0), run(4097, 0), run(0x4000, 1), run(0x4001, 1)]).toEqual([
      0x13, 1, 1, 0x13, 1, 0x13,
    ]);
  });
});
