import { describe, expect, test } from 'vitest';
import { DsaBench } from './dsa-bench.js';

/** Table 2.15, after reset. */
const PROFILE: readonly (readonly [offset: number, value: bigint])[] = [
  [0x10, 0x835f_2106n],
  [0x20, 0x001b_0000_0008_0080n],
  [0x30, 0x0003_6004n],
  [0x38, 4n],
  [0x40, 0x0000_0001_003f_027fn],
  [0x48, 0n],
  [0x50, 0n],
  [0x58, 0n],
  [0x60, 0x0080_0003_0008_0004n],
  [0x68, 0n],
];
const RESET_ZERO = [0x80, 0x88, 0x90, 0x98, 0xa8, 0xb0, 0xc0, 0xc4, 0xc8, 0xcc, 0xd0, 0xd8, 0xe0, 0xe8, 0xf0, 0xf4];

describe('2.1 fixed registers', () => {
  test('M1 the values of the profile, wide and in halves', async () => {
    await using bench = await DsaBench.start();
    expect(bench.r32(0)).toBe(0x100);
    for (const [offset, value] of PROFILE) {
      expect(bench.r64(offset), `0x${offset.toString(16)}`).toBe(value);
      expect(BigInt(bench.r32(offset)) | (BigInt(bench.r32(offset + 4)) << 32n)).toBe(value);
    }
    expect(RESET_ZERO.map((offset) => bench.r32(offset))).toEqual(RESET_ZERO.map(() => 0));
  });

  test('M2 capabilities take no writes, of any width', async () => {
    await using bench = await DsaBench.start({ version: 0x200, commandCap: 0x7ffe, opConfig: true });
    const offsets = [0x00, 0x10, 0x20, 0x30, 0x38, 0x40, 0x48, 0x50, 0x58, 0x60, 0x68, 0xb0];
    const before = offsets.map((offset) => bench.r64(offset));
    for (const offset of offsets) {
      bench.w64(offset, 2n ** 64n - 1n);
      bench.w32(offset, 0xffff_ffff);
      bench.w32(offset + 4, 0xffff_ffff);
      for (let i = 0; i < 8; i += 2) bench.regs.write16(offset + i, 0xffff);
      for (let i = 0; i < 8; i++) bench.regs.write8(offset + i, 0xff);
    }
    expect(offsets.map((offset) => bench.r64(offset))).toEqual(before);
    expect([before[0], before[11]]).toEqual([0x200n, 0x7ffen]);
  });

  test('space without registers reads 0, and nothing is behind a table', async () => {
    await using bench = await DsaBench.start();
    // 0xa0 is written only; the performance monitor is absent; IMS has 256 slots.
    const holes = [
      0x04, 0x08, 0x18, 0x70, 0x84, 0x8c, 0xa0, 0xa4, 0xb4, 0xf8, 0x100, 0x180, 0x1f8, 0x500, 0x900, 0x7000, 0x9000, 0xfff8,
    ];
    for (const offset of holes) bench.w64(offset === 0xa0 ? 0xa4 : offset, 2n ** 64n - 1n);
    expect(holes.map((offset) => bench.r32(offset))).toEqual(holes.map(() => 0));
  });

  test('every register is reached by bytes, halves and words alike', async () => {
    await using bench = await DsaBench.start();
    const at = bench.wqcfg(2, 0);
    for (let i = 0; i < 4; i++) bench.regs.write8(at + i, [0x40, 0x01, 0xff, 0xff][i]!);
    expect([bench.r32(at), bench.regs.read16(at), bench.regs.read8(at + 1)]).toEqual([0x140, 0x140, 0x01]);
    bench.regs.write16(at + 8 + 2, 0x1000);
    expect(bench.r32(at + 8)).toBe(0x1000_0000);
    expect([0, 1, 2, 3].map((i) => bench.regs.read8(0x20 + i))).toEqual([0x80, 0x00, 0x08, 0x00]);
  });
});

describe('2.6 GENCFG, GENCTRL, GENSTATUS', () => {
  test('GENCFG keeps its fields and nothing of garbage', async () => {
    await using bench = await DsaBench.start();
    bench.w32(0x80, 0xffff_ffff);
    expect(bench.r32(0x80)).toBe(0x30ff);
    bench.w32(0x80, 0xdead_cf00);
    expect(bench.r32(0x80)).toBe(0);
  });

  test('M17 GENCFG is frozen while the device is enabled, GENCTRL is not', async () => {
    await using bench = await DsaBench.start();
    bench.enable();
    bench.w32(0x80, 0x20ff);
    bench.w32(0x88, 0xffff_ffff);
    expect([bench.r32(0x80), bench.r32(0x88)]).toEqual([0x1000, 7]);
    bench.must(2);
    expect([bench.r32(0x80), bench.r32(0x88)]).toEqual([0x1000, 7]);
    bench.w32(0x80, 0);
    expect(bench.r32(0x80)).toBe(0);
  });

  test('GENSTATUS takes no writes', async () => {
    await using bench = await DsaBench.start();
    bench.w32(0x90, 0xffff_ffff);
    expect(bench.r32(0x90)).toBe(0);
    bench.enable();
    bench.w32(0x90, 0);
    expect(bench.r32(0x90)).toBe(1);
  });

  test('a halt names the reset that it needs, and the lesser one does not help', async () => {
    await using bench = await DsaBench.start();
    bench.enable();
    bench.w32(0x88, 2);
    bench.pins.halt('flr');
    expect([bench.r32(0x90), bench.r32(0x98), bench.irqs()]).toEqual([0x7, 0x10, [0]]);
    expect(bench.command(1)).not.toBe(0);
    bench.command(5);
    expect(bench.r32(0x90) & 3).toBe(3);
    await bench.reset();
    expect(bench.r32(0x90)).toBe(0);
  });

  test('a halt that GENCTRL does not name is silent', async () => {
    await using bench = await DsaBench.start();
    bench.enable();
    bench.pins.halt();
    expect([bench.r32(0x90), bench.r32(0x98), bench.irqs()]).toEqual([0x3, 0, []]);
    bench.submit({});
    bench.elapse();
    expect(bench.completion().status).toBe(0);
    bench.must(5);
    expect(bench.r32(0x90)).toBe(0);
  });
});

describe('2.6 INTCAUSE', () => {
  test('M6 bits are cleared by writing 1, by any width, and no others', async () => {
    await using bench = await DsaBench.start({ commandCap: 0x7ffe });
    bench.w32(0xa0, 0x8050_0000);
    bench.pins.revokeHandles();
    expect(bench.r32(0x98)).toBe(0x8000_0002);
    bench.w32(0x98, 0);
    bench.w32(0x98, 0x3d);
    expect(bench.r32(0x98)).toBe(0x8000_0002);
    bench.regs.write8(0x9b, 0x80);
    expect(bench.r32(0x98)).toBe(2);
    bench.w32(0x98, 0xffff_ffff);
    expect(bench.r32(0x98)).toBe(0);
    expect(bench.irqs()).toEqual([0, 0]);
  });

  test('commands and revoked handles interrupt, whatever GENCTRL says', async () => {
    await using bench = await DsaBench.start({ commandCap: 0x7ffe });
    bench.w32(0xa0, 0x8050_0000);
    expect(bench.irqs()).toEqual([0]);
    bench.pins.revokeHandles();
    expect([bench.irqs(), bench.r32(0x88)]).toEqual([[0], 0]);
  });
});

describe('2.10 to 2.13 tables', () => {
  test('M3 a group reads back, at once and in halves; reserved flags stay 0', async () => {
    await using bench = await DsaBench.start();
    bench.w64(bench.grpcfg(2, 0x20), 0x9n);
    expect(bench.r64(0x400 + 2 * 64 + 0x20)).toBe(9n);
    bench.w32(bench.grpcfg(3, 0x00), 0xf0);
    bench.w32(bench.grpcfg(3, 0x04), 0);
    expect(bench.r64(bench.grpcfg(3))).toBe(0xf0n);
    bench.w64(bench.grpcfg(1, 0x28), 2n ** 64n - 1n);
    expect(bench.r64(bench.grpcfg(1, 0x28)) & 0xffff_ffcc_f00f_0040n).toBe(0n);
    bench.w64(bench.grpcfg(1, 0x28), 0x0600_0009n);
    expect(bench.r64(bench.grpcfg(1, 0x28))).toBe(0x0600_0009n);
    bench.w64(bench.grpcfg(1, 0x30), 2n ** 64n - 1n);
    expect(bench.r64(bench.grpcfg(1, 0x30))).toBe(0n);
  });

  test('M19 dword 6 is never written; of the others what is a field, and nothing while the queue is enabled', async () => {
    await using bench = await DsaBench.start();
    for (let word = 0; word < 8; word++) bench.w32(bench.wqcfg(5, word), 0xffff_ffff);
    const words = Array.from({ length: 8 }, (_, word) => bench.r32(bench.wqcfg(5, word)));
    expect([words[0], words[1], words[2], words[6], words[7]]).toEqual([0xffff, 0xffff, 0x3fff_ffff, 0, 0]);
    bench.must(5);
    bench.enable();
    const before = Array.from({ length: 8 }, (_, word) => bench.r32(bench.wqcfg(0, word)));
    for (let word = 0; word < 8; word++) bench.w32(bench.wqcfg(0, word), 0xffff_ffff);
    expect(Array.from({ length: 8 }, (_, word) => bench.r32(bench.wqcfg(0, word)))).toEqual(before);
    expect(before[6]! >>> 30).toBe(1);
  });

  test('the size of a queue is frozen with the device, the rest of it with the queue', async () => {
    await using bench = await DsaBench.start();
    bench.configure([{}, {}]);
    bench.must(1);
    bench.w32(bench.wqcfg(1, 0), 99);
    bench.w32(bench.wqcfg(1, 2), 0xf1);
    expect([bench.r32(bench.wqcfg(1, 0)), bench.r32(bench.wqcfg(1, 2))]).toEqual([16, 0xf1]);
    bench.w64(bench.grpcfg(0), 0n);
    expect(bench.r64(bench.grpcfg(0))).toBe(3n);
  });

  test('permissions of messages are kept without their reserved bits, also while the device is enabled', async () => {
    await using bench = await DsaBench.start();
    bench.enable();
    bench.w32(bench.perm(8), 0xffff_ffff);
    bench.w32(bench.perm(8) + 4, 0xffff_ffff);
    expect([bench.r32(0x300 + 64), bench.r32(0x304 + 64)]).toEqual([0xffff_f00c, 0]);
    bench.must(5);
    expect(bench.r32(bench.perm(8))).toBe(0);
  });

  test('operations per queue are there with 64 bytes a queue, and frozen with it', async () => {
    await using bench = await DsaBench.start({ opConfig: true, version: 0x200 });
    expect(bench.wqcfg(1) - bench.wqcfg(0)).toBe(64);
    for (let word = 8; word < 16; word++) bench.w32(bench.wqcfg(0, word), word === 8 ? 0x9 : 0);
    bench.enable();
    bench.w32(bench.wqcfg(0, 8), 0xffff_ffff);
    expect(bench.r32(bench.wqcfg(0, 8))).toBe(9);
    bench.seed(bench.source, 64);
    const move = { op: 3, source: bench.source, destination: bench.destination, size: 64 };
    expect([bench.run({}).status, bench.run(move).status, bench.run({ ...move, op: 5 }).status]).toEqual([1, 1, 0x10]);
  });

  test('M60 slots of the store: masked after reset, reserved and pending bits take no writes', async () => {
    await using bench = await DsaBench.start();
    expect([0, 1, 255].map((n) => [0, 4, 8, 12].map((at) => bench.r32(bench.slot(n, at))))).toEqual(
      [0, 1, 2].map(() => [0, 0, 0, 1]),
    );
    bench.w32(bench.slot(255, 12), 0xffff_fffd);
    expect(bench.r32(bench.slot(255, 12))).toBe(0xffff_f00d);
    bench.w32(bench.slot(255, 12), 0x1234_5009 | 2);
    expect(bench.r32(bench.slot(255, 12))).toBe(0x1234_5009);
    // The store is not the device's configuration: a reset command leaves it.
    bench.must(5);
    expect(bench.r32(bench.slot(255, 12))).toBe(0x1234_5009);
    await bench.reset();
    expect(bench.r32(bench.slot(255, 12))).toBe(1);
  });
});

describe('3.3 resets', () => {
  test('M22 M23 a reset command forgets all that was configured, and keeps what PCI has', async () => {
    await using bench = await DsaBench.start();
    bench.w64(0xe0, 0x5000n);
    bench.w64(0xe8, 64n);
    bench.enable([{}], 0x3000);
    bench.w32(0x88, 7);
    bench.w32(bench.perm(1), 0x7008);
    bench.submit({ op: 0x0b, flags: 0 });
    bench.elapse();
    expect([bench.r32(0x98), bench.r64(0xe8), bench.r32(0x90)]).not.toContain(0);
    bench.irqs();
    bench.w32(0xa0, 0x8050_0000);
    expect([bench.r32(0x98), bench.r32(0xa8), bench.irqs()]).toEqual([2, 0, [0]]);
    const cleared = [
      0x80,
      0x88,
      0x90,
      0xc0,
      0xe0,
      0xe8,
      0xf0,
      0xf4,
      bench.wqcfg(0, 0),
      bench.wqcfg(0, 2),
      bench.wqcfg(0, 3),
      bench.wqcfg(0, 6),
    ];
    expect(cleared.map((offset) => bench.r32(offset))).toEqual(cleared.map(() => 0));
    expect([bench.r64(bench.grpcfg(0)), bench.r64(bench.grpcfg(0, 0x20)), bench.r32(bench.perm(1))]).toEqual([0n, 0n, 0]);
    expect(bench.dev.findCapability(0x11)).toBeDefined();
  });

  test('M24 a function-level reset is as power-on', async () => {
    await using bench = await DsaBench.start();
    bench.enable();
    bench.w32(0x88, 7);
    bench.w32(bench.slot(3, 0), 0xfee0_0000);
    bench.w32(bench.slot(3, 12), 0);
    bench.command(31);
    await bench.reset();
    expect([...RESET_ZERO, bench.wqcfg(0), bench.wqcfg(0, 6), bench.grpcfg(0)].map((offset) => bench.r32(offset))).toEqual(
      [...RESET_ZERO, 0, 0, 0].map(() => 0),
    );
    expect([bench.r32(bench.slot(3)), bench.r32(bench.slot(3, 12))]).toEqual([0, 1]);
    for (const [offset, value] of PROFILE) expect(bench.r64(offset)).toBe(value);
  });

  test('read-only configuration comes back with a reset, and takes no writes', async () => {
    await using bench = await DsaBench.start({ readOnlyConfig: true });
    expect(bench.r64(0x10) & (1n << 31n)).toBe(0n);
    const words = (): number[] => [0, 1, 2, 3].map((word) => bench.r32(bench.wqcfg(0, word)));
    const groups = (): bigint[] => [0, 0x20, 0x28].map((at) => bench.r64(bench.grpcfg(0, at)));
    const [before, group] = [words(), groups()];
    expect(group.slice(0, 2)).toEqual([0xffn, 0xfn]);
    for (let word = 0; word < 2; word++) bench.w32(bench.wqcfg(0, word), 0);
    bench.w64(bench.grpcfg(0), 0n);
    bench.must(1);
    bench.must(6, 0);
    expect(bench.run({}).status).toBe(1);
    bench.must(5);
    expect([words(), groups()]).toEqual([before, group]);
  });
});

describe('2.15 variants', () => {
  test('that of real parts has their GENCAP but for what is reserved there, and their event log', async () => {
    await using bench = await DsaBench.start({ blockOnFault: true, imsMult: 8, eventLog: 64 });
    expect(bench.r64(0x10) & 0xffff_ffffn).toBe(0x915f_2107n);
  });

  test('128 queues have 2 MiB of portals, and each its configuration', async () => {
    await using bench = await DsaBench.start({ workQueues: 128, wqSizeTotal: 1024, msixVectors: 129 });
    expect([bench.portals.sizeBytes, bench.r64(0x20) & 0xff_ffffn]).toEqual([0x20_0000, 0x80_0400n]);
    for (let wq = 0; wq < 128; wq++) bench.w32(bench.wqcfg(wq), wq + 1);
    expect(Array.from({ length: 128 }, (_, wq) => bench.r32(bench.wqcfg(wq)))).toEqual(
      Array.from({ length: 128 }, (_, wq) => wq + 1),
    );
  });
});
