import { describe, expect, test } from 'vitest';
import { DEDICATED, DsaBench, RCI, RCR, SHARED } from './dsa-bench.js';

/** A descriptor that takes 100 ms with `{ bytesPerUs: 10 }`. */
const slow = (bench: DsaBench) => ({ op: 4, destination: bench.destination, size: 0x4000, source: 0x1234_5678 });
const SLOW = { bytesPerUs: 0x4000 / 100_000 };

describe('3.1 the command register', () => {
  test('M4 without its bit a command does not interrupt', async () => {
    await using bench = await DsaBench.start();
    expect([bench.command(5), bench.r32(0x98), bench.irqs()]).toEqual([0, 0, []]);
  });

  test('M5 with it, once, and the status is there before; a command that is refused interrupts, too', async () => {
    await using bench = await DsaBench.start();
    for (const [command, status] of [
      [0x8050_0000, 0],
      [0x8060_0003, 0x20],
      [0x81f0_0000, 1],
      [0x8200_0000, 4],
    ] as const) {
      bench.w32(0xa0, command);
      expect([bench.r32(0xa8), bench.r32(0x98), bench.irqs()]).toEqual([status, 2, [0]]);
      bench.w32(0x98, 2);
    }
  });

  test('M9 a command while another is active is not executed, and is reported with its interrupt if that is allowed', async () => {
    await using bench = await DsaBench.start(SLOW);
    bench.enable();
    bench.w32(0x88, 1);
    bench.submit(slow(bench));
    expect(bench.command(3)).toBe(0x8000_0000);
    expect(bench.command(2)).toBe(0x8000_0000);
    expect(bench.swerror).toMatchObject({ valid: 1, error: 0x52, descriptor: 0, wqValid: 0 });
    expect([bench.r32(0x98), bench.irqs()]).toEqual([1, [0]]);
    bench.elapse();
    expect([bench.r32(0xa8), bench.r32(0x90), bench.r32(0x98)]).toEqual([0, 1, 1]);
  });

  test('M10 codes that are none, and those that CMDCAP does not name', async () => {
    await using bench = await DsaBench.start();
    const bad = [0, ...Array.from({ length: 19 }, (_, i) => i + 13)];
    expect(bad.map((code) => bench.command(code, 1))).toEqual(bad.map(() => 1));
    await using other = await DsaBench.start({ commandCap: 0x5ffe });
    expect([other.r32(0xb0), (other.r32(0x10) >>> 4) & 1, other.command(13, 1)]).toEqual([0x5ffe, 1, 1]);
  });

  test('M12 reserved bits are refused, and nothing is done', async () => {
    await using bench = await DsaBench.start();
    bench.configure();
    for (let bit = 25; bit < 31; bit++) {
      bench.w32(0xa0, (1 << 20) | (2 ** bit));
      expect([bench.r32(0xa8), bench.r32(0x90)]).toEqual([4, 0]);
    }
  });
});

describe('3.2 enable device', () => {
  test('M13 the sizes of all queues count; all of the entries can be given', async () => {
    await using bench = await DsaBench.start();
    bench.configure([{ size: 64 }, { size: 65 }]);
    expect([bench.command(1), bench.r32(0x90)]).toEqual([0x14, 0]);
    bench.w32(bench.wqcfg(1), 64);
    expect(bench.command(1)).toBe(0);
  });

  test('M14 M15 what is wrong with groups', async () => {
    await using bench = await DsaBench.start();
    const check = (setUp: () => void): number => {
      bench.must(5);
      bench.configure();
      setUp();
      return bench.command(1);
    };
    expect(check(() => bench.w64(bench.grpcfg(0, 0x20), 0n))).toBe(0x15);
    expect(check(() => bench.w64(bench.grpcfg(0), 0n))).toBe(0x15);
    expect(check(() => (bench.w64(bench.grpcfg(1), 1n), bench.w64(bench.grpcfg(1, 0x20), 0n)))).toBe(0x15);
    const second = (wqs: bigint, engines: bigint) => () => {
      bench.w64(bench.grpcfg(0, 0x20), 1n);
      bench.w32(bench.wqcfg(1), 4);
      bench.w64(bench.grpcfg(3), wqs);
      bench.w64(bench.grpcfg(3, 0x20), engines);
    };
    expect(check(second(0b11n, 0b10n))).toBe(0x16);
    expect(check(second(0b10n, 0b11n))).toBe(0x17);
    expect(check(second(0b1_0000_0010n, 0b10n))).toBe(0x16);
    expect(check(second(0b10n, 0b1_0000n))).toBe(0x17);
    expect(
      check(() => {
        bench.w64(bench.grpcfg(0, 0x28), 0x0600_3009n);
        bench.w64(bench.grpcfg(1, 0x28), 0x0600_3109n);
      }),
    ).toBe(0x18);
    expect(check(() => bench.w64(bench.grpcfg(0, 0x28), 0x0600_6009n))).toBe(0);
  });

  test('without the bus it is refused', async () => {
    await using bench = await DsaBench.start();
    bench.configure();
    bench.dev.config.write16(4, 0x0002);
    expect(bench.command(1)).toBe(0x12);
    bench.dev.config.write16(4, 0x0006);
    expect(bench.command(1)).toBe(0);
  });

  test('M16 twice is refused, and what works goes on', async () => {
    await using bench = await DsaBench.start();
    bench.enable();
    expect([bench.command(1), bench.r32(0x90), bench.run({}).status]).toEqual([0x10, 1, 1]);
  });
});

describe('3.2 enable queue', () => {
  test('M18 what is wrong with a queue; it can be enabled when that is put right', async () => {
    await using bench = await DsaBench.start({ maxTransfer: 2 ** 16, maxBatch: 256 });
    bench.configure([
      { limits: 0x90 },
      { size: 0 },
      { mode: 0x01 },
      { mode: SHARED },
      { limits: 0x11 },
      { limits: 0x130 },
      { mode: 0x13 },
    ]);
    expect(bench.command(6, 0)).toBe(0x20);
    bench.must(1);
    expect([8, 1, 2, 3, 4, 5, 6].map((wq) => bench.command(6, wq))).toEqual([2, 0x22, 0x23, 0x26, 0x28, 0x27, 0x25]);
    expect([bench.command(6, 0), bench.command(6, 0)]).toEqual([0, 0x21]);
    bench.w32(bench.wqcfg(2, 2), DEDICATED);
    bench.w32(bench.wqcfg(2, 3), 0);
    expect(bench.command(6, 2)).toBe(0);
    expect(Array.from({ length: 8 }, (_, wq) => bench.r32(bench.wqcfg(wq, 6)) >>> 30)).toEqual([1, 0, 1, 0, 0, 0, 0, 0]);
  });

  test('the operand is a number, not a mask', async () => {
    await using bench = await DsaBench.start();
    bench.configure([{}, {}, {}, {}]);
    bench.must(1);
    bench.must(6, 3);
    expect([0, 1, 2, 3].map((wq) => bench.r32(bench.wqcfg(wq, 6)) >>> 30)).toEqual([0, 0, 0, 1]);
    expect(bench.command(6, 0x1_0000)).toBe(2);
  });

  test('a queue with an occupancy interrupt that it does not have, or that switches ATS off, is refused', async () => {
    await using bench = await DsaBench.start();
    bench.configure();
    bench.must(1);
    bench.w32(bench.wqcfg(0, 5), 0x1_0001);
    expect(bench.command(6, 0)).toBe(0x2b);
    bench.w32(bench.wqcfg(0, 5), 0);
    bench.w32(bench.wqcfg(0, 2), DEDICATED | 4);
    expect(bench.command(6, 0)).toBe(0x2c);
  });
});

describe('3.2 masks of queues', () => {
  test('M20 both are disabled and keep their configuration', async () => {
    await using bench = await DsaBench.start();
    bench.enable([{ size: 1 }, { size: 2 }, { size: 3 }, { size: 4 }]);
    bench.must(7, 0x9);
    expect([0, 1, 2, 3].map((wq) => bench.r32(bench.wqcfg(wq, 6)) >>> 30)).toEqual([0, 1, 1, 0]);
    expect([bench.r32(bench.wqcfg(3)), bench.r32(bench.wqcfg(3, 2))]).toEqual([4, DEDICATED]);
    bench.must(6, 3);
    expect(bench.run({}, { wq: 3 }).status).toBe(1);
  });

  test('M20 bits 19:16 are the block of 16', async () => {
    await using bench = await DsaBench.start({ workQueues: 40 });
    bench.enable(Array.from({ length: 40 }, () => ({ size: 2 })));
    bench.must(7, 0x1_0001);
    bench.must(7, 0x2_0080);
    const off = Array.from({ length: 40 }, (_, wq) => wq).filter((wq) => bench.r32(bench.wqcfg(wq, 6)) >>> 30 === 0);
    expect(off).toEqual([16, 39]);
    expect([bench.command(8, 0x2_0100), bench.command(8, 0x3_0001), bench.command(8, 0x2_0080)]).toEqual([2, 2, 0x32]);
  });

  test('M21 what is not enabled; and nothing is done when one of several is not', async () => {
    await using bench = await DsaBench.start();
    expect([2, 3, 4, 7, 8, 9, 10, 11, 12].map((code) => bench.command(code, 1))).toEqual(new Array(9).fill(0x31));
    bench.configure([{}, {}]);
    bench.must(1);
    bench.must(6, 0);
    expect([7, 8, 9, 10].map((code) => bench.command(code, 2))).toEqual([0x32, 0x32, 0x32, 0x32]);
    expect([bench.command(7, 3), bench.r32(bench.wqcfg(0, 6)) >>> 30]).toEqual([0x32, 1]);
  });

  test('M22 a queue that is reset forgets its configuration, others do not', async () => {
    await using bench = await DsaBench.start();
    bench.enable([{}, {}]);
    bench.must(10, 1);
    expect([1, 2, 3, 4, 5, 6].map((word) => bench.r32(bench.wqcfg(0, word)))).toEqual([0, 0, 0, 0, 0, 0]);
    expect([bench.r32(bench.wqcfg(1, 2)), bench.r32(bench.wqcfg(1, 6)) >>> 30]).toEqual([DEDICATED, 1]);
    expect(bench.command(6, 0)).toBe(0x23);
    bench.w32(bench.wqcfg(0, 2), DEDICATED);
    bench.must(6, 0);
    expect(bench.run({}).status).toBe(1);
  });
});

describe('3.3 drains and aborts', () => {
  test('M47 the status is active until records and interrupts of all are there', async () => {
    await using bench = await DsaBench.start(SLOW);
    bench.enable([{}], 0x1000, 1);
    const records = [0, 1, 2].map((i) => bench.record + 0x100 * i);
    for (const record of records) bench.submit({ ...slow(bench), record, flags: RCR | RCI, handle: 1 });
    bench.w32(0xa0, 0x8080_0001);
    bench.elapse(150_000);
    expect([bench.r32(0xa8), bench.irqs()]).toEqual([0x8000_0000, [1]]);
    // Later ones are not waited for.
    bench.submit({ ...slow(bench), record: bench.record + 0x300 });
    bench.elapse(200_000);
    expect([bench.r32(0xa8), bench.irqs()]).toEqual([0, [1, 1, 0]]);
    expect([0, 1, 2, 3].map((i) => bench.completion(0x100 * i).status)).toEqual([1, 1, 1, 0]);
  });

  test('M53 what is aborted is neither done nor told; its queue goes on, and others do not notice', async () => {
    await using bench = await DsaBench.start(SLOW);
    bench.enable([{}, {}], 0x1000, 1);
    bench.submit({ ...slow(bench), flags: RCR | RCI, handle: 1 });
    bench.submit({ ...slow(bench), record: bench.record + 0x100 }, { wq: 1 });
    bench.elapse(50_000);
    bench.must(9, 1);
    expect(bench.r32(bench.wqcfg(0, 6)) & 0xffff).toBe(0);
    bench.submit({ record: bench.record + 0x200 });
    bench.elapse();
    expect([bench.completion().status, bench.completion(0x100).status, bench.completion(0x200).status]).toEqual([0, 1, 1]);
    expect([bench.irqs(), bench.swerror.valid]).toEqual([[], 0]);
  });

  test('disable device drains, and says so meanwhile', async () => {
    await using bench = await DsaBench.start(SLOW);
    bench.enable();
    bench.submit(slow(bench));
    bench.w32(0xa0, 0x8020_0000);
    expect([bench.r32(0xa8), bench.r32(0x90)]).toEqual([0x8000_0000, 2]);
    bench.submit({ record: bench.record + 0x100 });
    bench.elapse();
    expect([bench.completion().status, bench.completion(0x100).status]).toEqual([1, 0]);
    expect([bench.r32(0xa8), bench.r32(0x90), bench.r32(bench.wqcfg(0, 6)) >>> 30, bench.irqs()]).toEqual([0, 0, 0, [0]]);
    expect(bench.r32(bench.wqcfg(0, 2))).toBe(DEDICATED);
  });

  test('reset device aborts', async () => {
    await using bench = await DsaBench.start(SLOW);
    bench.enable();
    bench.submit({ ...slow(bench), flags: RCR | RCI, handle: 1 });
    bench.elapse(50_000);
    bench.must(5);
    bench.elapse();
    expect([bench.completion().status, bench.irqs(), bench.word(bench.destination)]).toEqual([0, [], 0]);
  });

  test('M25 after a function reset what is submitted is lost', async () => {
    await using bench = await DsaBench.start();
    bench.enable();
    await bench.reset();
    expect([bench.run({}).status, bench.command(8, 1), bench.command(10, 1)]).toEqual([0, 0x31, 0x31]);
    bench.enable();
    expect(bench.run({}).status).toBe(1);
  });
});

describe('3.2 interrupt handles', () => {
  test('M11 M51 a handle is asked for, used, taken back and asked for again', async () => {
    await using bench = await DsaBench.start({ commandCap: 0x7ffe });
    bench.enable();
    const ask = (index: number): number => {
      const status = bench.command(13, index);
      expect(status & 0x8000_00ff).toBe(0);
      return status >>> 8;
    };
    expect([0, 9, 0xffff, 0x1_0100].map((index) => bench.command(13, index) & 0xff)).toEqual([0x41, 0x41, 0x41, 0x41]);
    const handle = ask(1);
    expect([bench.run({ flags: RCR | RCI, handle }).status, bench.irqs()]).toEqual([1, [1]]);
    bench.pins.revokeHandles();
    expect([bench.r32(0x98), bench.irqs()]).toEqual([0x8000_0000, [0]]);
    expect([bench.run({ flags: RCR | RCI, handle }).status, bench.irqs()]).toEqual([0x19, []]);
    const again = ask(1);
    expect(again).not.toBe(handle);
    expect([bench.run({ flags: RCR | RCI, handle: again }).status, bench.irqs()]).toEqual([1, [1]]);
    // The old one stays worthless.
    expect(bench.run({ flags: RCR | RCI, handle }).status).toBe(0x19);
  });

  test('a handle is worth nothing before it is given and after it is released, and not of the other table', async () => {
    await using bench = await DsaBench.start({ commandCap: 0x7ffe });
    bench.enable();
    const handle = bench.command(13, 2) >>> 8;
    expect(bench.command(14, 0x1_0000 | handle) & 0xff).not.toBe(0);
    expect([bench.run({ flags: RCR | RCI, handle }).status, bench.irqs()]).toEqual([1, [2]]);
    bench.must(14, handle);
    expect([bench.run({ flags: RCR | RCI, handle }).status, bench.irqs()]).toEqual([0x19, []]);
    expect(bench.command(14, handle) & 0xff).not.toBe(0);
    expect(bench.run({ flags: RCR | RCI, handle: 3 }).status).toBe(0x19);
  });

  test('slot 0 of the store is as any other', async () => {
    await using bench = await DsaBench.start({ commandCap: 0x7ffe });
    bench.enable();
    const { indices, taken } = bench.store(1);
    const status = bench.command(13, 0x1_0000 | indices[0]!);
    expect([indices, status & 0xff]).toEqual([[0], 0]);
    expect(bench.run({ flags: RCR | RCI, handle: status >>> 8 }, { page: 3 }).status).toBe(1);
    expect([taken(), bench.irqs()]).toEqual([[0], []]);
  });
});

test('M27 without the bus while it is enabled: once, and only while it is enabled', async () => {
  await using bench = await DsaBench.start();
  bench.dev.config.write16(4, 0x0002);
  expect(bench.swerror.valid).toBe(0);
  bench.dev.config.write16(4, 0x0006);
  bench.enable();
  bench.w32(0x88, 1);
  bench.dev.config.write16(4, 0x0002);
  bench.dev.config.write16(4, 0x0002);
  expect(bench.swerror).toMatchObject({ valid: 1, overflow: 0, error: 0x51, descriptor: 0, wqValid: 0 });
  expect(bench.r32(0x98)).toBe(1);
  // Messages need the bus.
  expect(bench.irqs()).toEqual([]);
});
